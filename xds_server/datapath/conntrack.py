"""
Connections the kernel tracks: a mark for those of some addresses.

One look at the table does for all addresses: ``conntrack`` takes a run for each place of each.
"""

import struct
from collections.abc import Collection, Iterator
from errno import ENOENT
from pathlib import Path

from xds_server.datapath.netlink import NETFILTER, Netlink, RefusedError, attributes
from xds_server.datapath.program import Address, Mark
from xds_server.datapath.sysctls import read_sysctl

_GET, _CHANGE = 0x101, 0x100
"""Of the subsystem for connections."""
_HEADER = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_ORIGINAL, _REPLY, _MARK, _ZONE, _MARK_MASK = 1, 2, 8, 18, 21
_ADDRESSES = 1
_NESTED = 0x8000
_COUNT, _PRINTED = "net/netfilter/nf_conntrack_count", Path("/proc/thread-self/net/nf_conntrack")
_FEW, _SOME = 5_000, 16


def tag_connections(addresses: Collection[Address], mark: Mark) -> int:
    """
    Put a mark on the connections of some addresses that have none of its bits; return how many there were.

    Raises:
        RefusedError: the kernel does not let connections be marked.

    """
    packed = frozenset(address.packed for address in addresses)
    tagged = 0
    with Netlink.of(NETFILTER) as netlink:
        for body in netlink.dump(_GET, _unmarked(mark)) if _may_have_some(addresses) else ():
            found = attributes(body, _HEADER.size)
            if packed.isdisjoint(_addresses(found)) or _marked(found) & mark.mask:
                continue
            try:
                netlink.ask(_CHANGE, 0, _change(body[0], found, mark))
                tagged += 1
            except RefusedError as error:
                if error.code != ENOENT:  # it ended meanwhile
                    raise
    return tagged


def _may_have_some(addresses: Collection[Address]) -> bool:
    """
    Tell whether it is worth a look.

    To give a table out by netlink the kernel locks a quarter of a million places, however few of them are
    taken; to print a small one takes it a fifth of the time. A new pod has no connections.
    """
    count = read_sysctl(_COUNT)
    is_cheap = count is not None and int(count) <= _FEW and len(addresses) <= _SOME
    if not is_cheap or any(address.version == 6 for address in addresses):
        return True
    try:
        printed = _PRINTED.read_bytes()
    except OSError:  # not every kernel prints it
        return True
    return any(f"={address} ".encode() in printed for address in addresses)


def _unmarked(mark: Mark) -> bytes:
    return _HEADER.pack(0, 0, 0) + _number(_MARK, 0) + _number(_MARK_MASK, mark.mask)


def _change(family: int, found: dict[int, bytes], mark: Mark) -> bytes:
    same = _attribute(_ORIGINAL | _NESTED, found[_ORIGINAL])
    if _ZONE in found:
        same += _attribute(_ZONE, found[_ZONE])
    changed = _number(_MARK, mark.value) + _number(_MARK_MASK, mark.mask)
    return _HEADER.pack(family, 0, 0) + same + changed


def _addresses(found: dict[int, bytes]) -> Iterator[bytes]:
    for direction in (_ORIGINAL, _REPLY):
        yield from attributes(attributes(found.get(direction, b"")).get(_ADDRESSES, b"")).values()


def _marked(found: dict[int, bytes]) -> int:
    return int.from_bytes(found.get(_MARK, b""), "big")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, value.to_bytes(4, "big"))


def _attribute(kind: int, value: bytes) -> bytes:
    padding = b"\0" * (-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding
