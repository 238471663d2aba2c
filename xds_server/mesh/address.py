"""The unit the mesh serves: one workload or service, as the bytes of its Address message."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec

from xds_server.exceptions import InputError
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.derive import Fetch


class Address(msgspec.Struct, frozen=True, gc=False):
    """
    A workload or service under its resource name.

    ``body`` is the deterministic serialization of ``istio.workload.Address``: equal content has
    equal bytes on every replica. The rest is what lookups need without decoding it:
    ``aliases`` (``network/ip``), the resource names of the ``services`` a workload belongs to,
    and the ``node`` that serves a workload. A service has neither.
    """

    name: str
    body: bytes
    aliases: tuple[str, ...]
    services: tuple[str, ...] = ()
    node: str = ""


def workload_address(workload: api.Workload, aliases: Iterable[str]) -> Address:
    return Address(
        name=workload.uid,
        body=api.Address(workload=workload).SerializeToString(deterministic=True),
        aliases=tuple(aliases),
        services=tuple(sorted(workload.services)),
        node=workload.node,
    )


def service_address(service: api.Service, aliases: Iterable[str]) -> Address:
    return Address(
        name=f"{service.namespace}/{service.hostname}",
        body=api.Address(service=service).SerializeToString(deterministic=True),
        aliases=tuple(aliases),
    )


def parse_ip(text: str, what: str) -> IPv4Address | IPv6Address:
    """
    Parse one IP address, strictly: no leading zeros, no zone, no prefix (facts: wds, section 10).

    Raises:
        InputError: naming ``what`` holds the text.

    """
    if "%" not in text:
        try:
            return ip_address(text)
        except ValueError:
            pass
    raise InputError(f"{what} is {text!r}: expected an IP address")


def parse_block(text: str, what: str) -> tuple[IPv4Address | IPv6Address, int | None]:
    """
    Parse an address or a CIDR block: its first address, and the prefix length where it is of several.

    Raises:
        InputError: naming ``what`` holds the text.

    """
    _, slash, length = text.partition("/")
    try:
        if slash and length.isascii() and length.isdigit() and "%" not in text:
            network = ip_network(text, strict=False)
            whole = network.prefixlen == network.max_prefixlen
            return network.network_address, None if whole else network.prefixlen
        if not slash:
            return parse_ip(text, what), None
    except (ValueError, InputError):
        pass
    raise InputError(f"{what} is {text!r}: expected an IP address or a CIDR block")


def usable_ips(fetch: Fetch, texts: Iterable[str], what: str) -> list[IPv4Address | IPv6Address]:
    """Parse what can be parsed; the rest is left out and noted."""
    parsed = []
    for text in texts:
        try:
            parsed.append(parse_ip(text, what))
        except InputError as problem:
            fetch.note(str(problem))
    return parsed


def ip_text(address: IPv4Address | IPv6Address) -> str:
    """Return the canonical text; an IPv4-mapped address keeps its dotted tail on every Python."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)
