"""
The protocol, without I/O: one session a stream, fed with requests, asked for responses.

A session holds what its client asked for and how far it is told; the rest is the catalog's.
``delta`` and ``state_of_the_world`` are the two variants of xDS, ``acknowledgement`` what a
client answered, ``clients`` who is connected.
"""
