"""Callers of two clusters, case by case: whose pod, whose node, and whose identities (field facts, U24)."""

import logging
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put
from tests.helpers.tokens import ScriptedCluster
from tests.helpers.two_clusters import TwoClusters, node, pod, put_dpu
from xds_server.exceptions import DeniedError, LocalError, UnauthenticatedError
from xds_server.identity.audit import Audit, Way
from xds_server.identity.authorization import Authorizer
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.explain import Explanation, explain
from xds_server.identity.parts import IdentityParts
from xds_server.identity.spiffe import parse_identity
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.mesh.placement import DPU_CLUSTER
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import DpuPod
from xds_server.settings import IdentitySettings, ServeSettings

TRUSTED = frozenset({"istio-system/ztunnel"})
FIRST = ""
ZTUNNEL = "istio-system/ztunnel"


@pytest.fixture
def mesh() -> TwoClusters:
    """In both clusters there is a node ``dpu``, and on it a pod ``istio-system/z`` with a UID of its own."""
    made = TwoClusters(
        pod("istio-system/z", "dpu", "ztunnel", uid="first"),
        pod("istio-system/own", "cpu", "ztunnel", uid="own"),
        pod("shop/web", "cpu", "web"),
        pod("shop/beside", "dpu", "beside"),
        pod("shop/alone", "plain", "alone"),
        dpu=[
            pod("istio-system/z", "dpu", "ztunnel", uid="second"),
            pod("istio-system/spare", "cpu", "ztunnel", uid="spare"),
            pod("shop/agent", "dpu", "web", uid="agent"),
            pod("shop/there", "dpu", "there", uid="there"),
        ],
    )
    made.place(Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"), Single("10.0.0.5", "plain"))
    return made


def authorizer(mesh: TwoClusters) -> Authorizer:
    return Authorizer(mesh.mesh.identities, "cluster.local", TRUSTED)


def claims(cluster: str, key: str, uid: str, account: str = ZTUNNEL) -> TokenClaims:
    namespace, _, name = account.partition("/")
    return TokenClaims(namespace, name, BoundPod(key, uid, cluster), 9e9)


def of(account: str) -> str:
    namespace, _, name = account.partition("/")
    return f"spiffe://cluster.local/ns/{namespace}/sa/{name}"


DPU_ZTUNNEL = claims(DPU_CLUSTER, "istio-system/z", "second")
FIRST_ZTUNNEL = claims(FIRST, "istio-system/z", "first")
CPU_ZTUNNEL = claims(FIRST, "istio-system/own", "own")
SPARE_ZTUNNEL = claims(DPU_CLUSTER, "istio-system/spare", "spare")
DPU_AGENT = claims(DPU_CLUSTER, "shop/agent", "agent", "shop/web")

RULE = [
    ("a DPU ztunnel", DPU_ZTUNNEL, {"shop/web", ZTUNNEL}),
    ("a ztunnel on a first-cluster node called as the DPU node", FIRST_ZTUNNEL, {"shop/beside", ZTUNNEL}),
    ("a CPU node's own ztunnel", CPU_ZTUNNEL, {"shop/web", ZTUNNEL}),
    ("a ztunnel on a DPU-cluster node called as the CPU node", SPARE_ZTUNNEL, {ZTUNNEL}),
    ("a pod of the DPU cluster with a namesake account", DPU_AGENT, set()),
]


@pytest.mark.parametrize(("caller", "has"), [pytest.param(*case, id=name) for name, *case in RULE])
def test_a_caller_has_these_identities_and_no_others(
    mesh: TwoClusters, caller: TokenClaims, has: set[str]
) -> None:
    rule = authorizer(mesh)
    proved = rule.authenticate_pod(caller)
    granted = set()
    for account in ("shop/web", "shop/beside", "shop/alone", "shop/there", ZTUNNEL):
        try:
            granted.add(rule.authorize(proved, of(account)).account)
        except DeniedError as error:
            assert str(error)
    assert granted == has


SAME_NAME = "another pod of the same name"
REFUSED = {
    "a UID of the first cluster": (claims(DPU_CLUSTER, "istio-system/z", "first"), SAME_NAME),
    "a UID of the DPU cluster": (claims(FIRST, "istio-system/z", "second"), SAME_NAME),
    "a pod of the first cluster alone": (claims(DPU_CLUSTER, "istio-system/own", "own"), "not there"),
    "a pod of the DPU cluster alone": (claims(FIRST, "istio-system/spare", "spare"), "not there"),
    "a namesake's account": (claims(DPU_CLUSTER, "shop/there", "there", "shop/web"), "than shop/web"),
}


@pytest.mark.parametrize(("token", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_pod_is_looked_for_in_the_cluster_that_proved_it_alone(
    mesh: TwoClusters, token: TokenClaims, told: str
) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        authorizer(mesh).authenticate_pod(token)
    assert told in str(refused.value)
    assert ("(DPU cluster)" in str(refused.value)) is (token.pod.cluster == DPU_CLUSTER)


def test_rights_end_with_the_pod_of_the_dpu_cluster_though_its_namesake_stays(mesh: TwoClusters) -> None:
    rule = authorizer(mesh)
    caller = rule.authenticate_pod(DPU_ZTUNNEL)
    assert rule.authorize(caller, of("shop/web"))
    with mesh.registry.graph.transaction():
        mesh.registry.of(DpuPod).delete("istio-system/z")
    with pytest.raises(DeniedError, match=r"pod istio-system/z \(DPU cluster\): not there"):
        rule.authorize(caller, of("shop/web"))


def test_a_denial_names_the_cluster_and_what_would_have_been_carried(mesh: TwoClusters) -> None:
    rule = authorizer(mesh)
    with pytest.raises(DeniedError, match=r"pods dpu \(DPU cluster\) carries: .* bound to cpu and"):
        rule.authorize(rule.authenticate_pod(DPU_ZTUNNEL), of("shop/beside"))
    with pytest.raises(DeniedError, match="bound to a CPU node paired with it"):
        rule.authorize(rule.authenticate_pod(SPARE_ZTUNNEL), of("shop/web"))
    with pytest.raises(DeniedError, match=r"shop/web \(DPU cluster\), expected a trusted node account"):
        rule.authorize(rule.authenticate_pod(DPU_AGENT), of("shop/web"))


@pytest.mark.parametrize(("account", "good"), [(ZTUNNEL, True), ("shop/there", False), ("shop/web", True)])
def test_a_certificate_is_good_while_somebody_may_have_its_identity(account: str, good: bool) -> None:
    """Of the DPU cluster only node accounts may; all others there are strangers."""
    mesh = TwoClusters(
        pod("shop/web", "cpu", "web"),
        dpu=[pod("istio-system/z", "dpu", "ztunnel"), pod("shop/there", "dpu", "there")],
    )
    rule, identity = authorizer(mesh), parse_identity(of(account))
    if good:
        assert rule.authorize(rule.authenticate_certificate(identity, 9e9), of(account))
    else:
        with pytest.raises(UnauthenticatedError, match="no pod of shop/there"):
            rule.authenticate_certificate(identity, 9e9)


def test_namesakes_are_two_callers(mesh: TwoClusters) -> None:
    """Who floods is limited alone."""
    rule = authorizer(mesh)
    same = claims(FIRST, "istio-system/z", "second")
    put(mesh.registry, pod("istio-system/z", "dpu", "ztunnel", uid="second"))
    keys = {rule.authenticate_pod(token).key for token in (DPU_ZTUNNEL, same)}
    assert len(keys) == 2


def test_the_audit_log_names_the_cluster(mesh: TwoClusters, caplog: pytest.LogCaptureFixture) -> None:
    caller = authorizer(mesh).authenticate_pod(DPU_ZTUNNEL)
    with caplog.at_level(logging.WARNING):
        Audit().denied(Way.SECRET, caller, of("shop/beside"), "why")
    assert "to pod istio-system/z (DPU cluster) on node dpu" in caplog.text


class TestExplain:
    def ask(self, mesh: TwoClusters, on: str, account: str, cluster: str | None = None) -> Explanation:
        return explain(authorizer(mesh), on, of(account), cluster)

    def role(self, mesh: TwoClusters, on: str, cluster: str | None = None) -> str:
        checks = {check.name: check for check in self.ask(mesh, on, "shop/web", cluster).checks}
        return checks["node"].found

    def test_the_cluster_of_a_node_is_told_and_a_namesake_in_the_other(self, mesh: TwoClusters) -> None:
        put_dpu(mesh.registry, node("idle", "192.0.2.7"))
        assert self.role(mesh, "plain") == "in the first cluster a single node"
        assert self.role(mesh, "idle") == "in the DPU cluster a node that is not in the placement map"
        assert self.role(mesh, "nowhere") == "in the first cluster no such node"
        assert self.role(mesh, "dpu", DPU_CLUSTER) == (
            "in the DPU cluster a DPU node that serves cpu; there is another dpu in the first cluster"
        )
        assert self.role(mesh, "cpu") == (
            "in the first cluster a CPU node served by dpu; there is another cpu in the DPU cluster"
        )

    def test_without_a_namesake_no_cluster_need_be_told(self, mesh: TwoClusters) -> None:
        mesh.place(Pair("10.0.0.1", "10.0.0.9", "cpu", "only-there"))
        assert self.ask(mesh, "only-there", "shop/web").cluster == DPU_CLUSTER
        assert self.ask(mesh, "plain", "shop/web").cluster == FIRST

    def test_of_two_namesakes_that_of_the_first_cluster_is_meant(self, mesh: TwoClusters) -> None:
        assert [
            self.ask(mesh, "dpu", "shop/web", cluster).allowed for cluster in (None, FIRST, DPU_CLUSTER)
        ] == [False, False, True]

    def test_every_check_of_a_dpu_node_names_its_cluster(self, mesh: TwoClusters) -> None:
        told = {check.name: check.found for check in self.ask(mesh, "dpu", "shop/web", DPU_CLUSTER).checks}
        assert told == {
            "identity": of("shop/web"),
            "node": self.role(mesh, "dpu", DPU_CLUSTER),
            "node account": "istio-system/z",
            "trust domain": "'cluster.local'",
            "pod istio-system/z (DPU cluster)": "running on node dpu",
            "caller": "istio-system/ztunnel (DPU cluster)",
            "pods dpu (DPU cluster) carries": "a pod of shop/web there",
            "pods of the account": "1 Running on cpu, 1 Running on dpu (DPU cluster)",
        }

    def test_without_a_second_cluster_there_is_no_node_in_it(self) -> None:
        mesh = MeshUnderTest(pod("istio-system/z", "dpu", "ztunnel"))
        rule = Authorizer(mesh.mesh.identities, "cluster.local", TRUSTED)
        told = explain(rule, "dpu", of("shop/web"), DPU_CLUSTER)
        assert [check.found for check in told.checks][1:3] == ["no such node", "none"]


class TestParts:
    @pytest.fixture
    def parts(self, mesh: TwoClusters, tmp_path: Path) -> Callable[..., IdentityParts]:
        identity = IdentitySettings(certs=tmp_path)
        settings = ServeSettings(manifests=(), cluster_conf=Path("conf"), identity=identity)

        def make(mesh: TwoClusters = mesh, *, two: bool = True) -> IdentityParts:
            clusters = [ScriptedCluster() for _ in range(2 if two else 1)]
            return IdentityParts(settings, mesh.mesh, None, *clusters)

        return make

    def test_a_node_accounts_pod_of_the_dpu_cluster_concerns_everybody(
        self, mesh: TwoClusters, parts: Callable[..., IdentityParts], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        received = Mock()
        monkeypatch.setattr("xds_server.identity.secrets.Secrets.receive_rights", received)
        parts()
        put_dpu(mesh.registry, pod("istio-system/new", "dpu", "ztunnel"))
        received.assert_called_once_with(None)

    def test_mesh_and_tokens_must_agree_on_how_many_clusters_there_are(
        self, parts: Callable[..., IdentityParts]
    ) -> None:
        """Else a token of one cluster might be held against the rules for the other."""
        with pytest.raises(LocalError, match="disagree"):
            parts(two=False)


def test_a_caller_by_certificate_is_of_no_second_cluster() -> None:
    caller = Caller(identity=parse_identity(of("shop/web")), proof=Proof.CERTIFICATE, expires_at=0.0)
    assert caller.cluster == FIRST
