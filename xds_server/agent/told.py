"""What the control plane says of a node."""

from dataclasses import dataclass

from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api


@dataclass(frozen=True, slots=True)
class Told:
    """The two resources together."""

    program: api.NodeProgram
    ranges: api.PodRanges
