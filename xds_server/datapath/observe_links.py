"""Links and addresses as netlink tells them: the tunnels of ours, and what of others may be in their way."""

import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from xds_server.datapath import requests
from xds_server.datapath.netlink import Netlink, attribute, attributes
from xds_server.datapath.program import Address, Interface, Link, TunnelType

NO_ADDRESS = IPv4Interface("0.0.0.0/32")

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_NAME, _MTU, _INFO, _NAMESPACE = 3, 4, 18, 37
_INFO_KIND, _INFO_DATA = 1, 2
_ADDRESS_OF_FAR_END, _ADDRESS_OF_LINK = 1, 2
_GLOBAL_SCOPE = 0


@dataclass(frozen=True, slots=True)
class _TunnelLayout:
    """Numbers of a tunnel's attributes."""

    vni: int
    remote: int
    remote_v6: int
    port: int
    external: int


_LAYOUTS: Mapping[str, _TunnelLayout] = {
    TunnelType.GENEVE: _TunnelLayout(1, 2, 7, 5, 6),
    TunnelType.VXLAN: _TunnelLayout(1, 2, 16, 15, 25),
}
_VRF_TABLE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """``remote`` is None for one that has many far ends or none; ``external`` for one that takes any vni."""

    type: TunnelType
    vni: int
    remote: Address | None
    port: int
    external: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A link of anybody's; ``table`` is that of a VRF, else 0."""

    index: int
    name: str
    kind: str
    mtu: int
    up: bool
    tunnel: Tunnel | None = None
    table: int = 0
    namespace: int | None = None
    """Number of the namespace of its other end, where that is another."""
    addresses: tuple[Interface, ...] = ()

    def as_ours(self, wanted: Link | None) -> Link | None:
        """Return it as a link of ours; None when it is no tunnel with one far end."""
        tunnel = self.tunnel
        if tunnel is None or tunnel.remote is None or tunnel.external:
            return None
        address = next(iter(self.addresses), NO_ADDRESS)
        return Link(
            name=self.name,
            type=tunnel.type,
            vni=tunnel.vni,
            remote=tunnel.remote,
            port=tunnel.port,
            # A further address does no harm.
            address=wanted.address if wanted and wanted.address in self.addresses else address,
            mtu=self.mtu,
            up=self.up,
        )


def devices_of(netlink: Netlink) -> Mapping[int, Device]:
    """
    Return all links by their numbers.

    Raises:
        RefusedError: the kernel does not tell.

    """
    addresses: dict[int, list[Interface]] = {}
    for index, address in read_addresses(netlink.dump(requests.GET_ADDRESS, requests.all_addresses())):
        addresses.setdefault(index, []).append(address)
    found = (read_device(body, addresses) for body in netlink.dump(requests.GET_LINK, requests.all_links()))
    return {device.index: device for device in found}


def read_addresses(bodies: Iterable[bytes]) -> Iterator[tuple[int, Interface]]:
    """Yield the number of a link with each of its addresses, but for those of a link alone."""
    for body in bodies:
        packed, length, index = read_address(body)
        if packed:
            interface = IPv4Interface if len(packed) == 4 else IPv6Interface
            yield index, interface((packed, length))


def read_address(body: bytes) -> tuple[bytes, int, int]:
    """Return an address, its length and the number of its link; it is empty when it is of that link alone."""
    _family, length, _flags, scope, index = _ADDRESS.unpack_from(body)
    if scope != _GLOBAL_SCOPE:
        return b"", length, index
    found = attributes(body, _ADDRESS.size)
    return found.get(_ADDRESS_OF_LINK) or found.get(_ADDRESS_OF_FAR_END, b""), length, index


def read_name(body: bytes) -> tuple[int, str]:
    """Return the number of a link and its name, and look at nothing else."""
    _family, _hardware, index, _flags, _change = _LINK.unpack_from(body)
    return index, _text(attribute(body, _LINK.size, _NAME))


def read_device(body: bytes, addresses: Mapping[int, list[Interface]]) -> Device:
    """Return a link from the body of its message."""
    _family, _hardware, index, flags, _change = _LINK.unpack_from(body)
    found = attributes(body, _LINK.size)
    info = attributes(found.get(_INFO, b""))
    kind, data = _text(info.get(_INFO_KIND)), attributes(info.get(_INFO_DATA, b""))
    return Device(
        index=index,
        name=_text(found.get(_NAME)),
        kind=kind,
        mtu=number(found.get(_MTU)),
        up=bool(flags & requests.UP),
        tunnel=_tunnel(kind, data),
        table=number(data.get(_VRF_TABLE)) if kind == "vrf" else 0,
        namespace=number(found[_NAMESPACE]) if _NAMESPACE in found else None,
        addresses=tuple(addresses.get(index, ())),
    )


def address(packed: bytes | None) -> Address | None:
    """Return an address from its bytes; None for none, and for the unspecified one."""
    return unpacked(packed) if packed and any(packed) else None


def unpacked(packed: bytes) -> Address:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def number(packed: bytes | None) -> int:
    """Return a number from its bytes, in the order of this machine."""
    return int.from_bytes(packed or b"", sys.byteorder)


def _tunnel(kind: str, data: Mapping[int, bytes]) -> Tunnel | None:
    layout = _LAYOUTS.get(kind)
    if layout is None:
        return None
    external = data.get(layout.external)
    return Tunnel(
        type=TunnelType(kind),
        vni=number(data.get(layout.vni)),
        remote=address(data.get(layout.remote)) or address(data.get(layout.remote_v6)),
        port=int.from_bytes(data.get(layout.port, b""), "big"),
        # A flag of geneve's, a number of vxlan's.
        external=external is not None and (not external or bool(number(external))),
    )


def _text(packed: bytes | None) -> str:
    return (packed or b"").rstrip(b"\0").decode(errors="replace")
