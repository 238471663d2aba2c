"""
The first edition of the original project, rule for rule: a tunnel between CPU node and DPU node.

    meshed pod ─ B13 0x100 ─ rule 101 ─► table 101 ─► dputunnel ══► cputunnel ─ E15 ─► ztunnel
    dputunnel ─ B1 0x200 ─ rule 100 ─► main ──► pod         what ztunnel answers by its tunnels
    UPLINK ─ B8 0x210, B10 0x220 ─ rule 100 ─► main ──► pod what ztunnel sends in its own way
    pod ─ B6 0x40 ─ rule 102 ─► table 102 ══► DPU           answers to it
    istioin, istioout ─ E1, E3 0x240 ─ rule 99 ─► table 104 ─► cputunnel ══► dputunnel

With a ztunnel that marks its sockets it cannot carry what comes from other nodes: E1 and E3 send every
answer to the CPU, those to other nodes too.
"""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from xds_server.datapath.inputs import NodeInputs, Role, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Link, PolicyRule, Program, Route
from xds_server.datapath.programs.edition import Edition, original
from xds_server.datapath.programs.originals import (
    original_beside_ztunnel,
    original_cpu_sysctls,
    with_all_chains,
)
from xds_server.datapath.programs.skeleton import (
    RETURN,
    TCP,
    UDP,
    Rule,
    connection_has,
    from_meshed,
    has,
    mangle_chains,
    nat_chains,
    paired,
    pods_set,
    put,
    settings,
    to_meshed,
    to_proxy,
)
from xds_server.datapath.programs.without_ztunnel import without_ztunnel


def cpu_node_tunnelled(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the first edition of a CPU node, program (b).

    Raises:
        InputError: the node's role is another.

    """
    dpu = paired("cpu_node_tunnelled", inputs, Role.CPU)
    if inputs.ztunnel is None:
        sysctls = original_cpu_sysctls(inputs, (inputs.uplink,))
        return without_ztunnel("cpu_node_tunnelled", inputs, names, sysctls)
    edition = original(inputs, names)
    program = Program(
        name="cpu_node_tunnelled",
        links=(_tunnel(names, names.dpu_link, dpu, names.pair_cpu_address),),
        sysctls=original_cpu_sysctls(inputs, (inputs.uplink, names.dpu_link)),
        sets=(pods_set(inputs, names),),
        chains=(
            *nat_chains(inputs, names),
            *mangle_chains(
                names,
                _cpu_prerouting(inputs.ztunnel, inputs, names, edition),
                edition.from_node,
                names.skip_connection,
                names.from_proxy,
            ),
        ),
        # The inbound table is looked up although nothing is in it.
        rules=(_outer_rule(names), edition.around, *to_proxy(names), edition.to_meshed),
        routes=(
            _outer_route(names, dpu, inputs.uplink),
            Route(table=names.outbound_table, via=names.pair_dpu_address.ip, device=names.dpu_link),
            Route(table=names.proxy_table, via=dpu, device=inputs.uplink),
        ),
    )
    return with_all_chains(program, names)


def dpu_node_tunnelled(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the first edition of a DPU node, program (d).

    Raises:
        InputError: the node's role is another.

    """
    cpu = paired("dpu_node_tunnelled", inputs, Role.DPU)
    # To the CPU by the tunnel, whoever it is for.
    edition = replace(original(inputs, names), from_tunnel=names.to_cpu)
    program = original_beside_ztunnel("dpu_node_tunnelled", inputs, names, edition)
    if inputs.ztunnel is None:
        return program
    link = (names.cpu_link,)
    return replace(
        program,
        links=(*program.links, _tunnel(names, names.cpu_link, cpu, names.pair_dpu_address)),
        sysctls=(*program.sysctls, *settings("rp_filter", 0, link), *settings("accept_local", 1, link)),
        rules=(
            _outer_rule(names),
            PolicyRule(priority=names.cpu_tunnel_priority, fwmark=names.to_cpu, table=names.cpu_tunnel_table),
            *program.rules,
        ),
        routes=(
            _outer_route(names, cpu, inputs.uplink),
            Route(table=names.cpu_tunnel_table, via=names.pair_cpu_address.ip, device=names.cpu_link),
            *program.routes,
        ),
    )


def _cpu_prerouting(ztunnel: Ztunnel, inputs: NodeInputs, names: Names, edition: Edition) -> tuple[Rule, ...]:
    from_uplink: Rule = ("-i", inputs.uplink)
    return (
        # B1, B2: what comes by the tunnel is for a pod of this node.
        ("-i", names.dpu_link, *put(names.skip)),
        ("-i", names.dpu_link, *RETURN),
        # B3: the tunnel's own packets: a mark would send them into the tunnel again.
        (*UDP, "-m", "udp", "--dport", str(names.tunnel_port), *RETURN),
        # B4, B5: later packets and answers of a connection that goes around.
        (*connection_has(names.skip_connection), *put(names.skip)),
        (*has(names.skip), *RETURN),
        # B6, B7: answers to what ztunnel sent, and later packets of what it answered.
        ("!", *from_uplink, *connection_has(names.from_proxy), *put(names.to_proxy)),
        (*has(names.to_proxy), *RETURN),
        # B8, B9: what ztunnel sends in somebody else's name; the connection is to remember it.
        ("!", "-s", f"{ztunnel.address}/32", *from_uplink, *to_meshed(names), *put(names.from_proxy)),
        (*has(names.skip), *RETURN),
        # B10: what ztunnel sends in its own name.
        (*from_uplink, *to_meshed(names), *put(names.skip_connection)),
        # B11, B12: DNS and other UDP.
        (*edition.not_for_proxy, *put(names.skip_connection)),
        (*has(names.skip), *RETURN),
        # B13: whatever else a meshed pod sends.
        (*TCP, *from_meshed(names), *edition.opened_by_pod, *put(names.outbound)),
    )


def _tunnel(names: Names, name: str, remote: IPv4Address, address: IPv4Interface) -> Link:
    return Link(
        name=name,
        type=names.tunnel_type,
        vni=names.pair_vni,
        remote=remote,
        port=names.tunnel_port,
        address=address,
        mtu=names.tunnel_mtu,
    )


def _outer_rule(names: Names) -> PolicyRule:
    return PolicyRule(priority=names.outer_priority, table=names.outer_table)


def _outer_route(names: Names, peer: IPv4Address, uplink: str) -> Route:
    """Keep the tunnel's own packets, which have the mark of the inner ones, out of the tunnel."""
    return Route(table=names.outer_table, destination=IPv4Network(peer), device=uplink, scope_link=True)
