"""
gRPC: decode a request, feed the session, write what it answers. No rule of xDS lives here.

``server`` opens the ports, ``ads`` is the service, ``stream`` one stream's reading and writing,
``publisher`` makes changes visible to all streams together, ``admission`` bounds big writes.
"""
