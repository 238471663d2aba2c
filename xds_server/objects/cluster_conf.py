"""
The placement map: which DPU node serves which CPU node.

A value as ``cluster-conf.yaml`` states it; names may still be missing (the mesh resolves them
from Node objects by InternalIP). Addresses are in canonical text form.
"""

import msgspec


class Pair(msgspec.Struct, frozen=True, gc=False):
    """One CPU node and the DPU node that serves it; ``line`` is where the file states it."""

    cpu_node_ip: str
    dpu_node_ip: str
    cpu_node_name: str | None = None
    dpu_node_name: str | None = None
    line: int = 0


class Single(msgspec.Struct, frozen=True, gc=False):
    """A node without a DPU: its own ztunnel serves it."""

    node_ip: str
    node_name: str | None = None
    line: int = 0


class PlacementMap(msgspec.Struct, frozen=True, gc=False):
    """The whole map. Order is that of the file."""

    pairs: tuple[Pair, ...] = ()
    singles: tuple[Single, ...] = ()
