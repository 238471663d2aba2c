"""
The network namespace of the ztunnel pod: packets of others become connections of its own.

    istioout ══► pistioout ─ M2 TPROXY 15001 ─ 0x400 ─► local       what a meshed pod opens
    istioin  ══► pistioin  ─ M1 TPROXY 15008 ─ 0x400 ─► local       HBONE to a meshed pod
    istioin  ══► pistioin  ─ M3 TPROXY 15006 ─ 0x400 ─► local       plain TCP to a meshed pod
    VETH ──► eth0 ─ M4, M5 0x4d3 ─ rule 20003 ─► local              packets after that; answers
    ztunnel ─ 0x401 ─ rule 20001 ─► pistioout ══► istioout          answers, where it marks its sockets
    ztunnel ─ 0x402 ─ rule 20002 ─► pistioin  ══► istioin
    ztunnel ─► eth0 ──► VETH                                        all else it sends

TPROXY leaves the packet as it is and gives it to the socket that listens at the port; the socket's own
address is then where the packet was going to.
"""

from ipaddress import IPv4Address, IPv4Network

from xds_server.datapath.inputs import NodeInputs, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Link, Mark, PolicyRule, Program, Route, Table
from xds_server.datapath.programs.skeleton import TCP, Rule, chains, jumps, put, settings
from xds_server.exceptions import InputError

_NAME = "ztunnel_netns"


def ztunnel_netns(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the program of the ztunnel pod, made from the inputs of the node it runs on.

    Nothing is left of it without a ztunnel: its namespace is gone.

    Raises:
        InputError: the node is a CPU node, on which no ztunnel runs.

    """
    if inputs.ztunnel is None:
        return Program(name=_NAME)
    if not inputs.ztunnel.device:
        raise InputError(f"program {_NAME}: role is {inputs.role}: expected the node ztunnel runs on")
    every = (
        *chains(names, Table.NAT, {"OUTPUT": _output(names)}),
        *chains(names, Table.MANGLE, {"PREROUTING": _prerouting(inputs.ztunnel, names)}),
    )
    devices = (names.pod_device, names.pod_inbound_link, names.pod_outbound_link)
    return Program(
        name=_NAME,
        links=_tunnels(inputs.host_ip, names),
        # Sources of packets that come in are behind other devices, or behind this very one.
        sysctls=settings("rp_filter", 0, ("default", "all", *devices)),
        chains=every,
        jumps=jumps(names, every),
        rules=_rules(names),
        routes=_routes(inputs.host_ip, names),
    )


def _prerouting(ztunnel: Ztunnel, names: Names) -> tuple[Rule, ...]:
    inbound: Rule = ("-i", names.pod_inbound_link, *TCP)
    hbone: Rule = ("-m", "tcp", "--dport", str(names.inbound_port))
    # Not to the pod itself: those are answers to what ztunnel sent in its own name.
    to_others: Rule = ("!", "-d", f"{ztunnel.address}/32", "-i", names.pod_device)
    return (
        # M1: HBONE; in front of M3, which takes every other port.
        (*inbound, *hbone, *_take(names, names.inbound_port)),
        # M2: what meshed pods open.
        ("-i", names.pod_outbound_link, *TCP, *_take(names, names.outbound_port)),
        # M3: TCP of those who are not meshed.
        (*inbound, *_take(names, names.plaintext_port)),
        # M4: for a socket that has another's address.
        (*to_others, *TCP, *put(names.original_source)),
        # M5: so that it learns of a smaller path MTU, and of what cannot be reached.
        (*to_others, "-p", "icmp", "-m", "conntrack", "--ctstate", "RELATED", *put(names.original_source)),
    )


def _output(names: Names) -> tuple[Rule, ...]:
    to_itself = ("-m", "tcp", "--dport", str(names.same_node_port))
    # R1: to a pod of the same node ztunnel opens HBONE to itself.
    return ((*TCP, *to_itself, "-j", "REDIRECT", "--to-ports", str(names.inbound_port)),)


def _take(names: Names, port: int) -> Rule:
    where = ("--on-port", str(port), "--on-ip", "127.0.0.1")
    return ("-j", "TPROXY", *where, "--tproxy-mark", str(names.tproxy))


def _tunnels(host: IPv4Address, names: Names) -> tuple[Link, ...]:
    ends = (
        (names.pod_inbound_link, names.inbound_vni, names.pod_inbound_address),
        (names.pod_outbound_link, names.outbound_vni, names.pod_outbound_address),
    )
    return tuple(
        Link(
            name=name,
            type=names.tunnel_type,
            vni=vni,
            remote=host,
            port=names.tunnel_port,
            address=address,
            mtu=names.tunnel_mtu,
        )
        for name, vni, address in ends
    )


def _rules(names: Names) -> tuple[PolicyRule, ...]:
    tables: tuple[tuple[Mark, int], ...] = (
        (names.tproxy, names.pod_local_table),
        (names.outbound_socket, names.pod_outbound_table),
        (names.inbound_socket, names.pod_inbound_table),
        (names.original_source, names.pod_local_table),
    )
    return tuple(
        PolicyRule(priority=names.tproxy_priority + place, fwmark=mark, table=table)
        for place, (mark, table) in enumerate(tables)
    )


def _routes(host: IPv4Address, names: Names) -> tuple[Route, ...]:
    tunnels = (
        (names.pod_outbound_table, names.outbound_address, names.pod_outbound_link),
        (names.pod_inbound_table, names.inbound_address, names.pod_inbound_link),
    )
    # The tunnels' own packets, which have the mark of the inner ones.
    outer = tuple(
        Route(table=table, destination=IPv4Network(host), device=names.pod_device, scope_link=True)
        for table, _, _ in tunnels
    )
    return (
        # Every address is one of ours: a packet for another's is delivered here.
        Route(table=names.pod_local_table, device="lo", local=True),
        *outer,
        *(Route(table=table, via=end.ip, device=link) for table, end, link in tunnels),
    )
