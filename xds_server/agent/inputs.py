"""
What a node's programs are made from: what the control plane says, joined with what only the node knows.

Pure. A device that is not there yet is left out: when it comes, the kernel has news of it.
"""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import TypeVar

from xds_server.agent.local import Local
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Role, WithoutZtunnel, Ztunnel
from xds_server.datapath.program import Address, Network
from xds_server.exceptions import InputError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

T = TypeVar("T", IPv4Address, IPv6Address)

_ROLES = {
    api.NodeProgram.CPU: Role.CPU,
    api.NodeProgram.DPU: Role.DPU,
    api.NodeProgram.SINGLE: Role.SINGLE,
}


def node_inputs(
    program: api.NodeProgram, ranges: api.PodRanges, local: Local, without_ztunnel: WithoutZtunnel
) -> NodeInputs:
    """
    Return the inputs of a node.

    Raises:
        InputError: what the control plane says does not make a program, or does not fit this node.

    """
    node = program.node
    addresses = _addresses(program.addresses)
    address = _need(_first(addresses, IPv4Address), f"node {node} has no InternalIP of IPv4")
    uplink = program.uplink or local.own.get(address)
    uplink = _need(uplink, f"node {node}: no device here has its address {address}")
    pod_cidr = _need(
        next((each for each in _networks(program.pod_cidrs) if isinstance(each, IPv4Network)), None),
        f"node {node} has no podCIDR of IPv4: expected one, by which its pods are known",
    )
    role, peer, peer_v6 = _pair(program)
    ztunnel = _ztunnel(program, role, local)
    pods = tuple(_pods(program, local))
    taken = {pod.address for pod in pods} | ({ztunnel.address} if ztunnel else set())
    return NodeInputs(
        role=role,
        address=address,
        address_v6=_first(addresses, IPv6Address),
        peer=peer,
        peer_v6=peer_v6,
        uplink=uplink,
        pod_cidr=pod_cidr,
        # The plugin may give it to a device with the first pod: until then it is known all the same.
        host_ip=_own_within(pod_cidr, local) or _gateway(program, pod_cidr),
        ztunnel=ztunnel,
        when_ztunnel_is_gone=without_ztunnel,
        pods=pods,
        devices=tuple(sorted(_other_devices(pod_cidr, local, taken))),
        ranges=_ranges(ranges, addresses, reaches_v6=role is not Role.CPU or peer_v6 is not None),
        capture_dns=program.options.capture_dns,
    )


def _pair(program: api.NodeProgram) -> tuple[Role, IPv4Address | None, IPv6Address | None]:
    role = _ROLES.get(program.role)
    if role is None:
        raise InputError(f"node {program.node}: role {program.role} is unknown to this agent")
    if role is Role.SINGLE or not program.peers:
        # A DPU node that no CPU node is paired with carries its own pods alone.
        return (Role.SINGLE, None, None) if role is not Role.CPU else _no_peer(program)
    for peer in program.peers:
        # Of several CPU nodes one may not be there yet: any other stands for all.
        addresses = _addresses(peer.addresses)
        address = _first(addresses, IPv4Address)
        if address is not None:
            return role, address, _first(addresses, IPv6Address)
    named = " or ".join(peer.node for peer in program.peers)
    raise InputError(f"node {named}, its peer, has no InternalIP of IPv4")


def _no_peer(program: api.NodeProgram) -> tuple[Role, None, None]:
    raise InputError(f"node {program.node} is a CPU node without a peer: expected its DPU node")


def _ztunnel(program: api.NodeProgram, role: Role, local: Local) -> Ztunnel | None:
    """One that runs elsewhere has no device here; one that runs here is not reached without."""
    if not program.HasField("ztunnel") or not program.ztunnel.ready:
        return None
    address = _first(_addresses(program.ztunnel.addresses), IPv4Address)
    if address is None:
        return None
    if role is Role.CPU:
        return Ztunnel(address=address)
    device = local.pods.get(address)
    return Ztunnel(address=address, device=device) if device else None


def _pods(program: api.NodeProgram, local: Local) -> Iterator[MeshedPod]:
    # An address that was given to a new pod may be told of with the old one for a moment.
    by_address = {address: pod for pod in program.pods for address in _addresses(pod.addresses)}
    for address, pod in by_address.items():
        yield MeshedPod(address=address, uid=pod.uid, device=local.pods.get(address, ""))


def _other_devices(pod_cidr: IPv4Network, local: Local, taken: set[Address]) -> set[str]:
    return {device for address, device in local.pods.items() if address in pod_cidr and address not in taken}


def _own_within(pod_cidr: IPv4Network, local: Local) -> IPv4Address | None:
    found = (each for each in local.own if isinstance(each, IPv4Address) and each in pod_cidr)
    return min(found, default=None)


def _gateway(program: api.NodeProgram, pod_cidr: IPv4Network) -> IPv4Address:
    stated = _addresses((program.pod_gateway,) if program.pod_gateway else ())
    return _first(stated, IPv4Address) or pod_cidr.network_address + 1


def _ranges(ranges: api.PodRanges, own: Collection[Address], *, reaches_v6: bool) -> tuple[PodRange, ...]:
    """Of two nodes with one range, as there are while one is made anew under another name, one has it."""
    found: dict[Network, PodRange] = {}
    for each in _reached(ranges, reaches_v6=reaches_v6):
        if each.node in own:
            found[each.cidr] = each
        found.setdefault(each.cidr, each)
    return tuple(found.values())


def _reached(ranges: api.PodRanges, *, reaches_v6: bool) -> Iterator[PodRange]:
    """Ranges of a family in which their node, or the way to it, has no address are reached by nobody."""
    for each in ranges.ranges:
        nodes, dpus = _addresses(each.addresses), _addresses(each.dpu_addresses)
        for cidr in _networks(each.pod_cidrs):
            node, dpu = _of_family(nodes, cidr), _of_family(dpus, cidr)
            is_reached = node is not None and (cidr.version == 4 or reaches_v6) and (dpu or not dpus)
            if node is not None and is_reached:
                yield PodRange(cidr=cidr, node=node, dpu=dpu)


def _addresses(packed: Iterable[bytes]) -> tuple[Address, ...]:
    try:
        return tuple(ip_address(each) for each in packed)
    except ValueError as error:
        raise InputError(f"address: {error}: expected 4 or 16 bytes") from None


def _networks(cidrs: Iterable[api.Cidr]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network((each.address, each.length)) for each in cidrs)
    except ValueError as error:
        raise InputError(f"range: {error}: expected an address and a length") from None


def _of_family(addresses: Iterable[Address], cidr: Network) -> Address | None:
    return next((each for each in addresses if each.version == cidr.version), None)


def _first(addresses: Iterable[Address], family: type[T]) -> T | None:
    return next((each for each in addresses if isinstance(each, family)), None)


V = TypeVar("V")


def _need(value: V | None, otherwise: str) -> V:
    if value is None:
        raise InputError(otherwise)
    return value
