"""What is known of nodes beside what they say of themselves."""

import msgspec


class NodeDown(msgspec.Struct, frozen=True, gc=False):
    """A node whose pods cannot be reached, because it or the DPU that carries its traffic is down."""

    reason: str
