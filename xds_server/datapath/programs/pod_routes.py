"""
Routes to the pods of other nodes, as kindnet makes them: a CPU node is reached by its DPU, and by it alone.

    node      to a DPU's or single's pods    to a CPU's pods
    CPU       by the own DPU                 by the own DPU
    DPU       by that node                   by that CPU's DPU; its own CPU itself
    single    by that node                   by that CPU's DPU

So whatever a CPU node receives or sends crosses its DPU, both ways.
"""

from xds_server.datapath.inputs import NodeInputs, PodRange, Role
from xds_server.datapath.names import Names
from xds_server.datapath.program import MAIN, Address, Program, Route


def pod_routes(inputs: NodeInputs, names: Names) -> Program:
    """Return the routes of a node to the pods of all others, of both families."""
    others = (each for each in inputs.ranges if each.node not in (inputs.address, inputs.address_v6))
    routes = tuple(
        Route(
            table=MAIN,
            destination=each.cidr,
            via=_next_hop(inputs, each),
            device=inputs.uplink,
            family=each.cidr.version,
        )
        for each in others
    )
    return Program(name="pod_routes", routes=routes)


def _next_hop(inputs: NodeInputs, each: PodRange) -> Address | None:
    if inputs.role is Role.CPU:
        return inputs.peer if each.cidr.version == 4 else inputs.peer_v6
    # A DPU node may serve several CPU nodes, of which only the first is its peer.
    is_own = each.dpu in (inputs.address, inputs.address_v6) or each.node in (inputs.peer, inputs.peer_v6)
    return each.node if each.dpu is None or is_own else each.dpu
