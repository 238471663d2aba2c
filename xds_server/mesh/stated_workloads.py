"""
Workloads that are stated, not run by Kubernetes: WorkloadEntries and endpoints of ServiceEntries.

Rules: facts wds, 2.3. Both state the same fields, and take names, tunnel and policies from the
labels of the object they are in.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.address import Address, ip_text, parse_ip, workload_address
from xds_server.mesh.membership import Membership, bind, stated_bonds
from xds_server.mesh.names import canonical_name, canonical_revision
from xds_server.mesh.tunnels import tunnel
from xds_server.objects.kubernetes import Annotations
from xds_server.objects.networking import WorkloadEntrySpec
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.derive import Fetch


class Statement(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    A stated workload, and the object that states it.

    ``labels`` are the object's, None where it has none at all; ``waypoint_labels`` those that bind
    to a waypoint, None where nothing does.
    """

    uid: str
    name: str
    namespace: str
    workload_name: str
    labels: Mapping[str, str] | None
    waypoint_labels: Mapping[str, str] | None
    annotations: Annotations
    network: str
    spec: WorkloadEntrySpec


def stated_workload(
    fetch: Fetch, membership: Membership, said: Statement, services: Mapping[str, api.PortList]
) -> Address:
    settings, spec, labels = membership.settings, said.spec, said.labels or {}
    ip = _ip(spec.address or "")
    protocol, native = tunnel(labels, said.annotations)
    message = api.Workload(
        uid=said.uid,
        name=said.name,
        namespace=said.namespace,
        addresses=[ip.packed] if ip else [],
        hostname="" if ip else spec.address or "",
        network=said.network,
        tunnel_protocol=protocol,
        native_tunnel=native,
        trust_domain=settings.served_trust_domain,
        service_account=spec.service_account or "",
        canonical_name=canonical_name(labels, said.workload_name),
        canonical_revision=canonical_revision(labels),
        workload_type=api.WorkloadType.POD,
        workload_name=said.workload_name,
        services=services,
        status=api.WorkloadStatus.HEALTHY,
        cluster_id=settings.cluster_id,
        locality=_locality(spec.locality or ""),
    )
    if spec.weight:
        message.capacity.value = spec.weight
    bonds = stated_bonds(fetch, membership, message, said.labels, said.waypoint_labels)
    bind(fetch, membership, message, bonds)
    return workload_address(message, (f"{said.network}/{ip_text(ip)}",) if ip else ())


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    """What is no address is a host name."""
    try:
        return parse_ip(text, "address")
    except InputError:
        return None


def _locality(text: str) -> api.Locality | None:
    region, zone, subzone = (*text.split("/", 3), "", "", "")[:3]
    return api.Locality(region=region, zone=zone, subzone=subzone) if region or zone or subzone else None
