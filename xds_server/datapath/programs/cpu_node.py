"""
A CPU node: its meshed pods' TCP goes to the ztunnel on the DPU, and comes from there.

    meshed pod ─ C*10 0x100 ─ rule 101 ─► table 101 ══► DPU            a connection it opens
    any pod    ─ C*5  0x40  ─ rule 102 ─► table 102 ══► DPU            packets after that; answers
    other pod  ─ no mark    ─ rule 103 ─► table 100 ══► DPU            to a meshed pod of this node
    DPU ══► UPLINK ─ C*3 0x210 ─ rule 100 ─► main ──► pod              what the DPU has dealt with
    UPLINK ─ C*7 0x220 ─ rule 100 ─► main ──► pod                      NodePort: direct, both ways
    pod ─ C*8 0x220 ─ rule 100 ─► main                                 UDP, ICMP: around
    the node itself ─ O1 0x220 ─ rule 100 ─► main ──► pod              probes: around

The next hop is the DPU itself, so there is no tunnel, and the packet is as the pod made it.
"""

from ipaddress import IPv4Address

from xds_server.datapath.inputs import NodeInputs, Role
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program, Route, Sysctl
from xds_server.datapath.programs.edition import Edition, corrected
from xds_server.datapath.programs.skeleton import (
    OPENING,
    RETURN,
    TCP,
    Rule,
    connection_has,
    from_meshed,
    has,
    jumps,
    mangle_chains,
    nat_chains,
    paired,
    pod_route,
    pods_set,
    put,
    settings,
    to_proxy,
)
from xds_server.datapath.programs.without_ztunnel import without_ztunnel


def cpu_node(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the program of a CPU node.

    Raises:
        InputError: the node's role is another.

    """
    dpu = paired("cpu_node", inputs, Role.CPU)
    if inputs.ztunnel is None:
        return without_ztunnel("cpu_node", inputs, names, _sysctls(inputs))
    edition = corrected(names)
    chains = (
        *nat_chains(inputs, names),
        *mangle_chains(
            names,
            _prerouting(inputs, names, edition),
            edition.from_node,
            names.skip_connection,
            names.from_proxy,
        ),
    )
    return Program(
        name="cpu_node",
        sysctls=_sysctls(inputs),
        sets=(pods_set(inputs, names),),
        chains=chains,
        jumps=jumps(names, chains),
        rules=(edition.around, *to_proxy(names), edition.to_meshed),
        routes=_routes(inputs, names, dpu),
    )


def _prerouting(inputs: NodeInputs, names: Names, edition: Edition) -> tuple[Rule, ...]:
    from_uplink: Rule = ("-i", inputs.uplink)
    return (
        # C*1, C*2: later packets and answers of a connection that goes around.
        (*connection_has(names.skip_connection), *put(names.skip)),
        (*has(names.skip), *RETURN),
        # C*3, C*4: what comes to a pod from outside came through the DPU; the connection is to remember it.
        ("-d", str(inputs.pod_cidr), *from_uplink, *put(names.from_proxy)),
        (*has(names.skip), *RETURN),
        # C*5, C*6: so the answers go back by the DPU, and later packets of a meshed pod with them. Of any
        # pod: the proxy keeps the source, and a pod of this node that is not meshed may be the other end.
        ("!", *from_uplink, *connection_has(names.from_proxy), *put(names.to_proxy)),
        (*has(names.to_proxy), *RETURN),
        # C*7: what else comes from outside was sent to the node, for a NodePort or a process of its own.
        (*from_uplink, *OPENING, *put(names.skip_connection)),
        # C*8, C*9: the proxy takes TCP alone.
        (*edition.not_for_proxy, *put(names.skip_connection)),
        (*has(names.skip), *RETURN),
        # C*10: what a meshed pod opens goes to the proxy.
        (*TCP, *from_meshed(names), *edition.opened_by_pod, *put(names.outbound)),
    )


def _routes(inputs: NodeInputs, names: Names, dpu: IPv4Address) -> tuple[Route, ...]:
    # Without a mark: pods of this node that are not meshed, also by the address of a service. ``src`` is
    # what the node's own processes take, so that O1 and the pod's answer know them.
    by_dpu = tuple(
        pod_route(address, names.inbound_table, dpu, inputs.uplink, inputs.host_ip)
        for address, _ in inputs.pods_v4
    )
    return (
        Route(table=names.outbound_table, via=dpu, device=inputs.uplink),
        Route(table=names.proxy_table, via=dpu, device=inputs.uplink),
        *by_dpu,
    )


def _sysctls(inputs: NodeInputs) -> tuple[Sysctl, ...]:
    pods = sorted({*inputs.pod_devices, *inputs.devices})
    return (
        # The way to a pod and the way from it differ; the stricter of ``all`` and device counts.
        *settings("rp_filter", 0, ("default", "all", inputs.uplink, *pods)),
        # The DPU sends packets that have a pod of this node as their source.
        *settings("accept_local", 1, (inputs.uplink,)),
        # A pod's packet comes in and goes out by one device: nobody is to be told of a shorter way.
        *settings("send_redirects", 0, ("all", inputs.uplink)),
    )
