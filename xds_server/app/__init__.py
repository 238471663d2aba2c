"""
The one place that builds the parts of ``offmesh serve`` and joins them.

``inputs`` chooses where objects and the placement map come from, ``leading`` what only the leader
does, ``watchdog`` takes a sick server out, ``server`` joins all and keeps the order of starting and
stopping, ``serving`` has the probes answered and the mesh named before.
"""

from xds_server.app.serving import serve

__all__ = ["serve"]
