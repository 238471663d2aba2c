"""
One pure function for each program: from a node's inputs and names to the value its kernel is to hold.

A module begins with the ways packets take; beside every rule stands its number, as docs/datapath.md has
it, and what it is for.
"""

from collections.abc import Callable, Mapping

from xds_server.datapath.inputs import NodeInputs, Role
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program
from xds_server.datapath.programs.ambient_node import ambient_node
from xds_server.datapath.programs.cpu_node import cpu_node
from xds_server.datapath.programs.dpu_node import dpu_node
from xds_server.datapath.programs.originals import ambient_node_original, cpu_node_original, dpu_node_original
from xds_server.datapath.programs.pod_routes import pod_routes
from xds_server.datapath.programs.tunnelled import cpu_node_tunnelled, dpu_node_tunnelled
from xds_server.datapath.programs.ztunnel_netns import ztunnel_netns

MakeProgram = Callable[[NodeInputs, Names], Program]

PROGRAMS: Mapping[str, MakeProgram] = {
    each.__name__: each
    for each in (
        ambient_node,
        cpu_node,
        dpu_node,
        ambient_node_original,
        cpu_node_original,
        dpu_node_original,
        cpu_node_tunnelled,
        dpu_node_tunnelled,
        ztunnel_netns,
        pod_routes,
    )
}

DEFAULT_PROGRAMS: Mapping[Role, str] = {
    Role.CPU: "cpu_node",
    Role.DPU: "dpu_node",
    Role.SINGLE: "ambient_node",
}
"""What a node of each role gets unless another is asked for."""
