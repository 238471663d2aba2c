"""What is known of nodes beside what they say of themselves."""

import msgspec


class NodeDown(msgspec.Struct, frozen=True, gc=False):
    """A node whose pods cannot be reached, because it or the DPU that carries its traffic is down."""

    reason: str


class ProgramHeld(msgspec.Struct, frozen=True, gc=False):
    """A DPU node whose agent has said that its kernel carries the pods of these CPU nodes."""

    cpu_nodes: frozenset[str]
