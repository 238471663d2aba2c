"""Who may have whose identity, case by case, and the words of each refusal (field facts, B5 and B6)."""

import pytest

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.exceptions import DeniedError, UnauthenticatedError
from xds_server.identity.authorization import Authorizer
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.explain import explain
from xds_server.identity.spiffe import Identity, parse_identity
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Pod

TRUSTED = frozenset({"istio-system/ztunnel"})


def pod(name: str, node: str, account: str = "", phase: str = "Running", more: str = "") -> str:
    namespace = "istio-system" if name.startswith("z") else "shop"
    host = "true" if name == "host" else "false"
    return f"""
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, uid: {name}-uid{more}}}
spec: {{nodeName: "{node}", serviceAccountName: {account or name}, hostNetwork: {host}}}
status: {{phase: {phase}}}
---
"""


MESH = "".join(
    [
        pod("zdpu", "dpu", "ztunnel"),
        pod("zplain", "plain", "ztunnel"),
        pod("paired", "cpu"),
        pod("second", "cpu2"),
        pod("own", "dpu"),
        pod("other", "plain"),
        pod("pending", "cpu", phase="Pending"),
        pod("host", "cpu"),
        pod("deleting", "cpu", more=', deletionTimestamp: "2026-01-01T00:00:00Z"'),
        pod("succeeded", "cpu", phase="Succeeded"),
        pod("failed", "cpu", phase="Failed"),
        pod("unbound", "", phase="Pending"),
    ]
)


@pytest.fixture
def mesh() -> MeshUnderTest:
    made = MeshUnderTest(MESH)
    with made.registry.graph.transaction():
        made.registry.of(Pair).set("1", Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"))
        made.registry.of(Pair).set("2", Pair("10.0.0.2", "10.0.0.9", "cpu2", "dpu"))
    return made


def authorizer(mesh: MeshUnderTest) -> Authorizer:
    return Authorizer(mesh.mesh.identities, "cluster.local", TRUSTED)


def claims(name: str, account: str = "", uid: str = "") -> TokenClaims:
    namespace = "istio-system" if name.startswith("z") else "shop"
    bound = BoundPod(f"{namespace}/{name}", uid or f"{name}-uid")
    return TokenClaims(namespace, account or ("ztunnel" if name.startswith("z") else name), bound, 9e9)


def of(account: str, namespace: str = "shop", domain: str = "cluster.local") -> str:
    return f"spiffe://{domain}/ns/{namespace}/sa/{account}"


def ask(mesh: MeshUnderTest, name: str, wanted: str) -> Identity:
    rule = authorizer(mesh)
    return rule.authorize(rule.authenticate_pod(claims(name)), wanted)


@pytest.mark.parametrize("account", ["paired", "second", "own", "pending", "host", "deleting"])
def test_a_node_account_has_what_its_node_carries(mesh: MeshUnderTest, account: str) -> None:
    assert ask(mesh, "zdpu", of(account)) == parse_identity(of(account))


DENIED = {
    "on a node of nobody's pair": (of("other"), "no pod of shop/other there"),
    "not bound": (of("unbound"), "bound to dpu or cpu or cpu2"),
    "succeeded": (of("succeeded"), "not finished"),
    "failed": (of("failed"), "not finished"),
    "unknown": (of("nobody"), "no pod of shop/nobody"),
    "of another namespace": (of("paired", "default"), "default/paired"),
    "of another trust domain": (of("paired", domain="evil.local"), "trust domain: 'evil.local'"),
    "a trust domain that begins alike": (of("paired", domain="cluster.local.evil"), "trust domain"),
    "with dots": ("spiffe://cluster.local/ns/shop/sa/../paired", "expected spiffe://"),
    "with an escape": ("spiffe://cluster.local/ns/shop/sa/pa%69red", "expected spiffe://"),
    "in unicode": ("spiffe://cluster.local/ns/shop/sa/p\u0430ired", "expected spiffe://"),
    "with a query": (of("paired") + "?x", "expected spiffe://"),
    "with a line break": (of("paired") + "\n", "expected spiffe://"),
    "in capitals": (of("Paired"), "expected spiffe://"),
    "ten thousand characters": (of("a" * 10_000), "expected spiffe://"),
    "empty": ("", "expected spiffe://"),
    "a DNS name": ("istiod.istio-system.svc", "expected spiffe://"),
}


@pytest.mark.parametrize(("wanted", "told"), DENIED.values(), ids=DENIED.keys())
def test_anything_else_is_denied_and_the_failing_check_named(
    mesh: MeshUnderTest, wanted: str, told: str
) -> None:
    with pytest.raises(DeniedError) as denied:
        ask(mesh, "zdpu", wanted)
    assert told in str(denied.value)
    assert len(str(denied.value)) < 1_000


def test_a_workload_has_its_own_identity_and_no_other(mesh: MeshUnderTest) -> None:
    assert ask(mesh, "paired", of("paired"))
    with pytest.raises(DeniedError, match="caller: shop/paired, expected its own identity"):
        ask(mesh, "paired", of("own"))


def test_a_node_account_has_its_own_identity_too(mesh: MeshUnderTest) -> None:
    assert ask(mesh, "zplain", of("ztunnel", "istio-system"))


def test_the_map_acts_at_once(mesh: MeshUnderTest) -> None:
    with mesh.registry.graph.transaction():
        mesh.registry.of(Pair).set("1", Pair("10.0.0.1", "10.0.0.8", "cpu", "other-dpu"))
    with pytest.raises(DeniedError):
        ask(mesh, "zdpu", of("paired"))
    assert ask(mesh, "zdpu", of("second"))


def test_a_pod_that_moved_away_takes_its_identity_with_it(mesh: MeshUnderTest) -> None:
    put(mesh.registry, pod("paired", "plain"))
    with pytest.raises(DeniedError):
        ask(mesh, "zdpu", of("paired"))
    assert ask(mesh, "zplain", of("paired"))


def test_rights_end_with_the_callers_pod_though_its_token_is_good(mesh: MeshUnderTest) -> None:
    rule = authorizer(mesh)
    caller = rule.authenticate_pod(claims("zdpu"))
    assert rule.authorize(caller, of("paired"))
    remove(mesh.registry, Pod, "istio-system/zdpu")
    with pytest.raises(DeniedError, match="not there"):
        rule.authorize(caller, of("paired"))


def test_a_certificate_carries_no_rights_of_a_node(mesh: MeshUnderTest) -> None:
    rule = authorizer(mesh)
    ztunnel = parse_identity(of("ztunnel", "istio-system"))
    caller = Caller(identity=ztunnel, proof=Proof.CERTIFICATE, expires_at=9e9)
    assert rule.authorize(caller, str(ztunnel)) == ztunnel
    with pytest.raises(DeniedError, match="by certificate, which names no node"):
        rule.authorize(caller, of("paired"))


def test_a_certificate_is_good_while_a_pod_of_its_identity_is_there(mesh: MeshUnderTest) -> None:
    rule = authorizer(mesh)
    caller = Caller(identity=parse_identity(of("paired")), proof=Proof.CERTIFICATE, expires_at=9e9)
    assert rule.authorize(caller, of("paired"))
    remove(mesh.registry, Pod, "shop/paired")
    with pytest.raises(DeniedError, match="no pod of shop/paired"):
        rule.authorize(caller, of("paired"))


def test_nobody_is_trusted_where_no_account_is(mesh: MeshUnderTest) -> None:
    rule = Authorizer(mesh.mesh.identities, "cluster.local", frozenset())
    caller = rule.authenticate_pod(claims("zdpu"))
    with pytest.raises(DeniedError, match="to be asked by a trusted node account"):
        rule.authorize(caller, of("paired"))


UNAUTHENTICATED = {
    "deleted": (claims("gone"), "not there"),
    "another pod of the same name": (claims("paired", uid="old"), "another pod of the same name"),
    "another account": (claims("paired", account="own"), "of another service account than shop/own"),
    "finished": (claims("succeeded"), "finished"),
    "bound to no node": (claims("unbound"), "bound to no node"),
}


@pytest.mark.parametrize(("token", "told"), UNAUTHENTICATED.values(), ids=UNAUTHENTICATED.keys())
def test_a_token_is_worth_what_its_pod_is(mesh: MeshUnderTest, token: TokenClaims, told: str) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        authorizer(mesh).authenticate_pod(token)
    assert told in str(refused.value)


def test_a_certificate_makes_a_caller_of_this_mesh_alone(mesh: MeshUnderTest) -> None:
    rule = authorizer(mesh)
    caller = rule.authenticate_certificate(parse_identity(of("paired")), 9e9)
    assert (caller.proof, caller.node, caller.pod) == (Proof.CERTIFICATE, "", None)
    with pytest.raises(UnauthenticatedError, match="trust domain: 'evil\\.local'"):
        rule.authenticate_certificate(parse_identity(of("paired", domain="evil.local")), 9e9)
    with pytest.raises(UnauthenticatedError, match="no pod of shop/succeeded"):
        rule.authenticate_certificate(parse_identity(of("succeeded")), 9e9)


def test_the_caller_is_on_the_node_of_its_pod_as_we_see_it(mesh: MeshUnderTest) -> None:
    caller = authorizer(mesh).authenticate_pod(claims("zdpu"))
    assert caller.node == "dpu"
    assert str(caller.identity) == of("ztunnel", "istio-system")


def test_a_pod_without_account_is_of_the_default_one() -> None:
    mesh = MeshUnderTest("kind: Pod\nmetadata: {name: bare, namespace: shop}\nspec: {nodeName: n}")
    rule = authorizer(mesh)
    caller = rule.authenticate_pod(TokenClaims("shop", "default", BoundPod("shop/bare", "shop.bare"), 9e9))
    assert rule.authorize(caller, of("default")).account == "shop/default"


def told(mesh: MeshUnderTest, node: str, wanted: str) -> dict[str, tuple[bool, str]]:
    explanation = explain(authorizer(mesh), node, wanted)
    return {check.name: (check.passed, check.found) for check in explanation.checks}


def test_an_explanation_lists_every_check(mesh: MeshUnderTest) -> None:
    assert told(mesh, "dpu", of("paired")) == {
        "identity": (True, of("paired")),
        "node": (True, "a DPU node that serves cpu, cpu2"),
        "node account": (True, "istio-system/zdpu"),
        "trust domain": (True, "'cluster.local'"),
        "pod istio-system/zdpu": (True, "running on node dpu"),
        "caller": (True, "istio-system/ztunnel"),
        "pods dpu carries": (True, "a pod of shop/paired there"),
        "pods of the account": (True, "1 Running on cpu"),
    }


def test_an_explanation_goes_on_after_a_check_that_fails(mesh: MeshUnderTest) -> None:
    checks = told(mesh, "nowhere", of("other", domain="evil.local"))
    assert [name for name, (passed, _) in checks.items() if not passed] == [
        "node",
        "node account",
        "trust domain",
        "pods nowhere carries",
    ]
    assert checks["pods of the account"] == (True, "1 Running on plain")


def test_what_is_no_identity_is_explained_as_far_as_can_be(mesh: MeshUnderTest) -> None:
    assert told(mesh, "cpu", "nonsense") == {
        "identity": (False, "'nonsense'"),
        "node": (True, "a CPU node served by dpu"),
        "node account": (False, "none"),
    }
