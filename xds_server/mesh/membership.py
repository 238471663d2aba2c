"""
What holds for every workload of the cluster, whatever object describes it: what it belongs to.

Most follows from namespace and labels alone, which the pods of one ReplicaSet share: it is worked
out once for them, so a pod costs one fetch for all of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from xds_server.exceptions import LocalError
from xds_server.mesh.networks import Networks
from xds_server.mesh.policies.policies import Policies
from xds_server.mesh.targets import ServiceTarget, Targets
from xds_server.mesh.waypoint_allowances import WaypointAllowances
from xds_server.mesh.waypoints.bindings import Waypoints, WorkloadBinding
from xds_server.objects.kubernetes import Pod
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.distinct import Distinct
from xds_server.store.graph import Graph

Labels = Mapping[str, str]


class Membership(NamedTuple):
    """The services, waypoints, policies and networks that workloads belong to."""

    networks: Networks
    targets: Targets
    waypoints: Waypoints
    policies: Policies
    allowances: WaypointAllowances | None = None
    """None where no policy is made for waypoints."""

    @property
    def settings(self) -> MeshSettings:
        return self.networks.settings


class Bonds(NamedTuple):
    """What a workload is bound to by labels and network."""

    waypoint: WorkloadBinding
    policies: tuple[str, ...]
    network_gateway: api.GatewayAddress | None


class LabelSet(msgspec.Struct, frozen=True, gc=False):
    """The labels of some pods of one namespace; None where they have none at all."""

    namespace: str
    labels: dict[str, str] | None


class PodBonds(NamedTuple):
    """What all pods of one label set are bound to, on the local ``network``."""

    network: str
    targets: tuple[ServiceTarget, ...]
    bonds: Bonds


class PodMembership:
    """What pods belong to, by their labels."""

    def __init__(self, graph: Graph, pods: Collection[Pod], membership: Membership) -> None:
        self._membership = membership
        self._sets = Distinct(graph, "label sets", pods, _name, _label_set)
        self._bonds: Collection[PodBonds] = Mapped(graph, "label set bonds", self._sets, self._bonds_of)

    def of(self, fetch: Fetch, key: str) -> PodBonds:
        """
        Return what the pod ``namespace/name`` is bound to.

        Raises:
            LocalError: that failed; nobody must serve it as if it were bound to nothing.

        """
        bonds = fetch.one(self._bonds, self._sets.name_for(key))
        if bonds is None:
            raise LocalError(f"what the labels of pod {key} bind it to is not known")
        return bonds

    def _bonds_of(self, fetch: Fetch, _name: str, row: LabelSet) -> PodBonds:
        membership, labels = self._membership, row.labels or {}
        network = membership.networks.local(fetch)
        by_entries = membership.settings.service_entries_select_pods
        targets = membership.targets.selecting(fetch, row.namespace, labels)
        return PodBonds(
            network=network,
            targets=tuple(target for target in targets if by_entries or not target.is_entry),
            bonds=Bonds(
                waypoint=membership.waypoints.of_workload(fetch, row.namespace, labels),
                policies=tuple(membership.policies.names_for(fetch, row.namespace, row.labels)),
                network_gateway=membership.networks.gateway_of(fetch, network),
            ),
        )


def stated_bonds(
    fetch: Fetch, membership: Membership, message: api.Workload, labels: Labels | None, at: Labels | None
) -> Bonds:
    """
    Return what a workload that is no pod is bound to.

    ``labels`` select policies. ``at`` are those that bind to a waypoint; None is never bound to one.
    """
    namespace = message.namespace
    waypoint = WorkloadBinding() if at is None else membership.waypoints.of_workload(fetch, namespace, at)
    return Bonds(
        waypoint=waypoint,
        policies=tuple(membership.policies.names_for(fetch, namespace, labels)),
        network_gateway=membership.networks.gateway_of(fetch, message.network),
    )


def bind(fetch: Fetch, membership: Membership, message: api.Workload, bonds: Bonds) -> None:
    """Fill in what a workload is bound to, its services being filled in already."""
    binding = bonds.waypoint
    if binding.problem:
        fetch.note(binding.problem)
    if binding.waypoint is not None:
        message.waypoint.CopyFrom(binding.waypoint)
    if binding.application_tunnel is not None:
        message.application_tunnel.CopyFrom(binding.application_tunnel)
    if bonds.network_gateway is not None:
        message.network_gateway.CopyFrom(bonds.network_gateway)
    message.authorization_policies.extend(bonds.policies)
    if membership.allowances is not None:
        names = membership.allowances.names_for(fetch, binding.gateway, message.services)
        message.authorization_policies.extend(names)


def _name(pod: Pod) -> str:
    """No namespace has a zero character, nor has a label that the API server has taken."""
    labels = pod.metadata.labels
    if labels is None:
        return pod.namespace
    return "\0".join((f"{pod.namespace}\0", *(f"{name}={value}" for name, value in sorted(labels.items()))))


def _label_set(pod: Pod) -> LabelSet:
    return LabelSet(pod.namespace, pod.metadata.labels)
