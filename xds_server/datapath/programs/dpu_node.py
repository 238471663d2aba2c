"""
A DPU node: the ztunnel on it serves the pods of its CPU node.

    CPU ══► UPLINK ─► istioout ══► ztunnel ─► UPLINK ══► far     out, first packet; then by VETH
    far ══► UPLINK ─► istioin  ══► ztunnel ─► UPLINK ══► CPU     in, first packet; then by VETH
    any ══► UPLINK ─► UPLINK ══► any     T1: UDP, pods that are not meshed, hosts

``beside_ztunnel`` has the rules; to them come those for a node that carries the packets of another.
Pods of the DPU node itself are served alike.
"""

from dataclasses import replace

from xds_server.datapath.inputs import NodeInputs, Role
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program, Sysctl, Table
from xds_server.datapath.programs.beside_ztunnel import beside_ztunnel
from xds_server.datapath.programs.edition import corrected
from xds_server.datapath.programs.skeleton import ACCEPT, Rule, chains, jumps, paired, settings
from xds_server.datapath.programs.without_ztunnel import without_ztunnel


def dpu_node(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the program of a DPU node.

    Raises:
        InputError: the node's role is another.

    """
    paired("dpu_node", inputs, Role.DPU)
    transit = _transit(inputs)
    if inputs.ztunnel is None:
        sysctls = (*settings("rp_filter", 0, ("default", "all", *inputs.pod_devices)), *_sysctls(inputs))
        return without_ztunnel("dpu_node", inputs, names, sysctls, transit)
    program = beside_ztunnel("dpu_node", inputs.ztunnel, inputs, names, corrected(names))
    every = (*chains(names, Table.FILTER, {"FORWARD": transit}), *program.chains)
    return replace(
        program,
        sysctls=(*program.sysctls, *_sysctls(inputs)),
        chains=every,
        jumps=jumps(names, every),
    )


def _transit(inputs: NodeInputs) -> tuple[Rule, ...]:
    return (
        # T1: a host of another CPU node reaches a pod by the DPUs and is answered past them. kube-proxy drops
        # what it has seen half of.
        ("-i", inputs.uplink, "-o", inputs.uplink, *ACCEPT),
    )


def _sysctls(inputs: NodeInputs) -> tuple[Sysctl, ...]:
    return (
        # Meshed pods' packets come in here, while the way to the pods is by a tunnel.
        *settings("rp_filter", 0, (inputs.uplink,)),
        # A packet in transit comes in and goes out by one device: nobody is to be told of a shorter way.
        *settings("send_redirects", 0, ("all", inputs.uplink)),
    )
