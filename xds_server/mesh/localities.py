"""Localities: where a node stands, from its labels (facts wds, 2.8)."""

import msgspec

from xds_server.objects.kubernetes import Node
from xds_server.store.derive import Fetch


class Locality(msgspec.Struct, frozen=True, gc=False):
    region: str
    zone: str
    subzone: str


def node_locality(_fetch: Fetch, _key: str, node: Node) -> Locality | None:
    locality = Locality(
        region=node.labels.get("topology.kubernetes.io/region", ""),
        zone=node.labels.get("topology.kubernetes.io/zone", ""),
        subzone=node.labels.get("topology.istio.io/subzone", ""),
    )
    return locality if locality.region or locality.zone or locality.subzone else None
