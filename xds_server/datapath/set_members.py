"""Members of a set as the kernel tells them: enough to see that they are not what they were."""

import struct

from xds_server.datapath.netlink import Netlink, RefusedError, attributes

_LIST = 0x607
"""Of the subsystem for sets."""
_HEADER = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_PROTOCOL, _NAME, _MEMBERS = 1, 2, 8
_VERSION = 6


def members_of(netlink: Netlink, name: str) -> bytes | None:
    """Return the members of a set as one text of bytes; None when there is no such set."""
    asked = _HEADER.pack(0, 0, 0) + _attribute(_PROTOCOL, bytes((_VERSION,)))
    asked += _attribute(_NAME, name.encode() + b"\0")
    try:
        bodies = netlink.dump(_LIST, asked)
    except RefusedError:
        return None
    return b"".join(attributes(body, _HEADER.size).get(_MEMBERS, b"") for body in bodies)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)
