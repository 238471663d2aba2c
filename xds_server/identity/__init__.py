"""
Identity: who a caller is, whose identity it may have, and the certificates that say so.

Names nothing of gRPC: the transport hands in metadata and takes out values. Rules and files are
apart: what decides is pure, what reads keys, asks a cluster or signs is at the edge.
"""
