"""Trust domain and root namespace stay what they were when a server started, and a change is told."""

import json
import logging
from pathlib import Path

import pytest

from tests.helpers.objects import put, remove
from xds_server.app.mesh_names import NamesInForce, with_mesh_names
from xds_server.debug.readiness import Readiness
from xds_server.identity.server_certificate import names_of
from xds_server.mesh.graph import new_registry
from xds_server.objects.kubernetes import MeshConfigMap
from xds_server.settings import ClusterAccess, ClusterSettings, MeshSettings, ServeSettings
from xds_server.sources.problems import Problems

PLACE = "ConfigMap istio-system/istio"
STARTED = MeshSettings(
    trust_domain="corp.example", system_namespace="istio-system", unsaid=("trust_domain", "root_namespace")
)


def config(mesh: str, name: str = "istio") -> str:
    meta = f"metadata: {{name: {name}, namespace: istio-system}}"
    return f"{{kind: ConfigMap, {meta}, data: {{mesh: {json.dumps(mesh)}}}}}"


class Told:
    """What is told of the ConfigMap in force."""

    def __init__(self, settings: MeshSettings = STARTED) -> None:
        self.registry = new_registry()
        self.problems = Problems()
        NamesInForce(settings, self.registry, self.problems)

    def after(self, text: str) -> list[str]:
        put(self.registry, text)
        return self.lines

    @property
    def lines(self) -> list[str]:
        assert self.problems.by_place.keys() <= {PLACE}
        return [str(problem) for problem in self.problems.by_place.get(PLACE, ())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trustDomain: corp.example", []),
        ("{trustDomain: corp.example, rootNamespace: istio-system, discoverySelectors: 1}", []),
        (
            "trustDomain: other.example",
            ["mesh.trustDomain is 'other.example': expected 'corp.example', with"],
        ),
        ("", ["mesh.trustDomain is 'cluster.local': expected 'corp.example', with"]),
        (
            "{trustDomain: a, rootNamespace: b}",
            ["mesh.trustDomain is 'a'", "mesh.rootNamespace is 'b': expected 'istio-system', with"],
        ),
        (
            "trustDomain: 1",
            ["data.mesh: trustDomain is 1: expected a name like cluster.local; a server that"],
        ),
        ("{", ["data.mesh cannot be read"]),
    ],
)
def test_names_other_than_those_in_force_are_told(text: str, expected: list[str]) -> None:
    lines = Told().after(config(text))
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(f"{PLACE}: {start}")


def test_the_same_is_logged_once_and_gone_when_the_names_are_back(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    with caplog.at_level(logging.WARNING):
        for more in ("", ", rootNamespace: istio-system", ", rootNamespace: ''"):
            assert len(told.after(config(f"{{trustDomain: other.example{more}}}"))) == 1
    assert len(caplog.records) == 1
    assert "restart it to use another" in caplog.text
    assert told.after(config("trustDomain: corp.example")) == []


def test_a_config_map_that_is_deleted_says_the_defaults() -> None:
    told = Told()
    assert told.after(config("trustDomain: corp.example")) == []
    remove(told.registry, MeshConfigMap, "istio-system/istio")
    assert "mesh.trustDomain is 'cluster.local'" in told.lines[0]


def test_other_config_maps_and_names_that_flags_say_are_none_of_it() -> None:
    assert Told().after(config("trustDomain: other.example", "other")) == []
    assert Told(MeshSettings()).after(config("trustDomain: other.example")) == []


CLUSTER = ClusterSettings(access=ClusterAccess(kubeconfig="/nowhere"), istio_resources=False)


@pytest.mark.parametrize(
    ("mesh", "cluster"),
    [
        (MeshSettings(trust_domain="given"), ClusterSettings()),
        (MeshSettings(unsaid=("trust_domain",)), CLUSTER),
    ],
)
async def test_nothing_is_read_where_flags_say_all_or_there_is_no_right_to(
    mesh: MeshSettings, cluster: ClusterSettings
) -> None:
    settings = ServeSettings(manifests=(), cluster_conf=Path("map.yaml"), mesh=mesh, cluster=cluster)
    assert await with_mesh_names(settings, Readiness()) is settings


async def test_manifests_beside_a_cluster_are_what_is_read(tmp_path: Path) -> None:
    text = config("{trustDomain: corp.example, rootNamespace: root}")
    (tmp_path / "istio.yaml").write_text(f"{{apiVersion: v1, {text[1:]}")
    settings = ServeSettings(
        manifests=(tmp_path,),
        cluster_conf=Path("map.yaml"),
        mesh=MeshSettings(unsaid=("trust_domain", "root_namespace")),
        cluster=ClusterSettings(access=ClusterAccess(kubeconfig="/nowhere")),
    )
    named = await with_mesh_names(settings, Readiness())
    assert (named.mesh.trust_domain, named.mesh.root_namespace) == ("corp.example", "root")
    assert "istiod.istio-system.svc" in names_of(named)
