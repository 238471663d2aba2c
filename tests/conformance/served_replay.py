"""A mesh that is fed with manifests and served to clients, without a port between."""

from collections.abc import Iterable

from tests.conformance.tables import Case, Manifest
from tests.conformance.world import World
from tests.helpers.addresses import ServedMesh
from tests.helpers.session_pair import DeltaPair
from tests.helpers.wire import Received
from xds_server.catalog.resource import ADDRESS


class ServedReplay(ServedMesh):
    """What is applied is published at once."""

    def __init__(self, *manifests: Manifest, **settings: str) -> None:
        super().__init__()
        self.world = World(Case(id="", says="", settings=settings))
        mesh = self.world.replay.mesh
        for addresses in mesh.addresses:
            mesh.graph.listen(addresses, self.catalog.stage_addresses)
        for policies in mesh.authorizations:
            mesh.graph.listen(policies, self.catalog.stage_authorizations)
        if manifests:
            self.apply(*manifests)

    def apply(self, *manifests: Manifest) -> None:
        self.world.apply(manifests)
        self.catalog.publish()

    def delete(self, *names: str) -> None:
        self.world.delete(names)
        self.catalog.publish()


class Ztunnel(DeltaPair):
    """A client that asks as ztunnel does, for one type after the other."""

    def subscribe(
        self, names: Iterable[str] = (), type_url: str = ADDRESS, versions: dict[str, str] | None = None
    ) -> Received:
        self.send(names, type_url=type_url, versions=versions)
        return self.expect()

    def pushes(self) -> list[Received]:
        """Return all that is owed, in order."""
        received = []
        while (one := self.receive()) is not None:
            received.append(one)
        return received


def pod(name: str, ip: str, node: str = "other", **labels: str) -> Manifest:
    """A pod that is ready, in namespace ``default``."""
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def service(name: str, vip: str, **selector: str) -> Manifest:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": vip, "selector": selector, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def policy(name: str, action: str = "ALLOW", **selector: str) -> Manifest:
    return {
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"action": action, **({"selector": {"matchLabels": selector}} if selector else {})},
    }
