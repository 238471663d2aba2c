"""
A node on which ztunnel runs as a pod: two tunnels to it, and the rules that use them.

    pod ─ E15 0x100 ─ rule 101 ─► table 101 ─► istioout ══► ztunnel    what a meshed pod opens
    any ─ no mark   ─ rule 103 ─► table 100 ─► istioin  ══► ztunnel    what is sent to a meshed pod
    any ─ E8  0x40  ─ rule 102 ─► table 102 ─► VETH ──────► ztunnel    packets after that; answers
    ztunnel ─► VETH ─ E10 0x210 ─ rule 100 ─► main                     with somebody else's source
    ztunnel ─► VETH ─ E12 0x220 ─ rule 100 ─► main                     its own traffic
    ztunnel ══► istioin, istioout ─ E1, E3 0x200 ─ rule 100 ─► main    answers, where it marks its sockets
    any ─ E13 0x220 ─ rule 100 ─► main                                 UDP, ICMP: around
    the node itself ─ O1 0x220 ─ rule 100 ─► main                      probes: around

VETH is the host's end of ztunnel's veth. The tunnel a packet comes by tells ztunnel its direction.
"""

from ipaddress import IPv4Network

from xds_server.datapath.inputs import NodeInputs, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Link, Program, Route, Sysctl
from xds_server.datapath.programs.edition import Edition
from xds_server.datapath.programs.skeleton import (
    RETURN,
    TCP,
    UDP,
    Rule,
    connection_has,
    from_meshed,
    has,
    jumps,
    mangle_chains,
    nat_chains,
    pod_route,
    pods_set,
    put,
    settings,
    to_proxy,
)


def beside_ztunnel(
    name: str, ztunnel: Ztunnel, inputs: NodeInputs, names: Names, edition: Edition
) -> Program:
    """Return all that carries packets to ztunnel and away from it; sysctls of other devices are not in it."""
    chains = (
        *nat_chains(inputs, names),
        *mangle_chains(
            names,
            _prerouting(ztunnel, names, edition),
            edition.from_node,
            names.skip_connection,
            names.from_proxy,
        ),
    )
    return Program(
        name=name,
        links=_tunnels(ztunnel, names),
        sysctls=_sysctls(ztunnel, inputs, names),
        sets=(pods_set(inputs, names),),
        chains=chains,
        jumps=jumps(names, chains),
        rules=(edition.around, *to_proxy(names), edition.to_meshed),
        routes=_routes(ztunnel, inputs, names),
    )


def _prerouting(ztunnel: Ztunnel, names: Names, edition: Edition) -> tuple[Rule, ...]:
    from_proxy: Rule = ("-i", ztunnel.device)
    tunnel_port = str(names.tunnel_port)
    return (
        # E1 to E4: a ztunnel that marks its sockets answers by the tunnels. It goes on doing so, hence the
        # connection is not to remember anything.
        ("-i", names.inbound_link, *put(edition.from_tunnel)),
        ("-i", names.inbound_link, *RETURN),
        ("-i", names.outbound_link, *put(edition.from_tunnel)),
        ("-i", names.outbound_link, *RETURN),
        # E5: a tunnel's own packets: a mark would send them into the tunnel again.
        (*UDP, "-m", "udp", "--dport", tunnel_port, *RETURN),
        # E6, E7: later packets and answers of a connection that goes around.
        (*connection_has(names.skip_connection), *put(names.skip)),
        (*has(names.skip), *RETURN),
        # E8, E9: answers to what the proxy sent in a pod's name, and later packets of what it answered, go
        # to the proxy. Not by a tunnel: its sockets are there, nothing is left to be decided.
        ("!", *from_proxy, *connection_has(names.from_proxy), *put(names.to_proxy)),
        (*has(names.to_proxy), *RETURN),
        # E10, E11: what the proxy sends in somebody else's name; the connection is to remember it.
        ("!", "-s", f"{ztunnel.address}/32", *from_proxy, *put(names.from_proxy)),
        (*has(names.skip), *RETURN),
        # E12: what the proxy sends in its own name.
        (*from_proxy, *put(names.skip_connection)),
        # E13, E14: the proxy takes TCP alone.
        (*edition.not_for_proxy, *put(names.skip_connection)),
        (*has(names.skip), *RETURN),
        # E15: what a meshed pod opens goes to the proxy.
        (*TCP, *from_meshed(names), *edition.opened_by_pod, *put(names.outbound)),
    )


def _tunnels(ztunnel: Ztunnel, names: Names) -> tuple[Link, ...]:
    ends = (
        (names.inbound_link, names.inbound_vni, names.inbound_address),
        (names.outbound_link, names.outbound_vni, names.outbound_address),
    )
    return tuple(
        Link(
            name=name,
            type=names.tunnel_type,
            vni=vni,
            remote=ztunnel.address,
            port=names.tunnel_port,
            address=address,
            mtu=names.tunnel_mtu,
        )
        for name, vni, address in ends
    )


def _routes(ztunnel: Ztunnel, inputs: NodeInputs, names: Names) -> tuple[Route, ...]:
    tables = (names.outbound_table, names.proxy_table, names.inbound_table)
    device, proxy = ztunnel.device, IPv4Network(ztunnel.address)
    # A tunnel's outer packet is routed with the mark of the inner one: without these it would be sent into
    # the tunnel again.
    outer = tuple(Route(table=table, destination=proxy, device=device, scope_link=True) for table in tables)
    # No default in the inbound table: other destinations fall through to ``main``. ``src`` is what the
    # node's own processes take, so that O1 knows them.
    via = names.pod_inbound_address.ip
    by_tunnel = tuple(
        pod_route(address, names.inbound_table, via, names.inbound_link, inputs.host_ip)
        for address, _ in inputs.pods_v4
    )
    return (
        *outer,
        Route(table=names.outbound_table, via=names.pod_outbound_address.ip, device=names.outbound_link),
        Route(table=names.proxy_table, via=ztunnel.address, device=device, onlink=True),
        *by_tunnel,
    )


def _sysctls(ztunnel: Ztunnel, inputs: NodeInputs, names: Names) -> tuple[Sysctl, ...]:
    devices = (ztunnel.device, names.inbound_link, names.outbound_link)
    return (
        # The way to a pod is by a tunnel, the way from it is not; the stricter of ``all`` and device counts.
        *settings("rp_filter", 0, ("default", "all", *devices, *inputs.pod_devices)),
        # The proxy may send in the name of an address of this very node.
        *settings("accept_local", 1, devices),
    )
