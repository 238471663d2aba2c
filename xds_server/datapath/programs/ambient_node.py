"""
A node without a DPU: its meshed pods and the ztunnel that serves them are on it together.

    meshed pod ─► istioout ══► ztunnel ─► UPLINK        out, first packet; then by VETH
    UPLINK ─► istioin ══► ztunnel ─► VETH ─► meshed pod  in, first packet; then by VETH

``beside_ztunnel`` has the rules. The node carries no packets of others, so nothing is to be added.
"""

from xds_server.datapath.inputs import NodeInputs
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program
from xds_server.datapath.programs.beside_ztunnel import beside_ztunnel
from xds_server.datapath.programs.edition import corrected
from xds_server.datapath.programs.skeleton import check_single, settings
from xds_server.datapath.programs.without_ztunnel import without_ztunnel


def ambient_node(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the program of a single node.

    Raises:
        InputError: the node's role is another.

    """
    check_single("ambient_node", inputs)
    if inputs.ztunnel is None:
        sysctls = settings("rp_filter", 0, ("default", "all", *inputs.pod_devices))
        return without_ztunnel("ambient_node", inputs, names, sysctls)
    return beside_ztunnel("ambient_node", inputs.ztunnel, inputs, names, corrected(names))
