"""How a workload takes traffic of the mesh (facts wds, 2.6)."""

from collections.abc import Mapping

from xds_server.objects.kubernetes import Annotations
from xds_server.protobuf.workloadapi import workload_pb2 as api

_TUNNEL_LABEL = "networking.istio.io/tunnel"


def tunnel(labels: Mapping[str, str], annotations: Annotations) -> tuple[api.TunnelProtocol, bool]:
    """Return the protocol, and whether the workload itself speaks it."""
    if "http" in labels.get(_TUNNEL_LABEL, "").split(","):
        return api.TunnelProtocol.HBONE, True
    if annotations.redirection == "enabled":
        return api.TunnelProtocol.HBONE, False
    return api.TunnelProtocol.NONE, False
