"""Which policies a workload names, and what a change of a policy costs (facts wds, 5.5)."""

import pytest

from tests.helpers.graphs import assert_indexes_are_right, assert_nothing_is_left
from tests.helpers.policies import PoliciesUnderTest
from xds_server.mesh.policies.waypoint_policies import (
    WaypointAccounts,
    waypoint_policy,
    waypoint_policy_names,
)
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Action, Authorization, Scope

STATIC = "istio-system/istio_converted_static_strict"


def policy(name: str, labels: str, rest: str = "") -> str:
    namespace, _, own = name.partition("/")
    return (
        f"{{kind: AuthorizationPolicy, metadata: {{name: {own}, namespace: {namespace}}}, "
        f"spec: {{selector: {{matchLabels: {labels}}}{rest}}}}}"
    )


def strict(name: str, spec: str = "{mtls: {mode: STRICT}}", created: str = "2024-01-01T00:00:00Z") -> str:
    namespace, _, own = name.partition("/")
    return (
        f"{{kind: PeerAuthentication, metadata: {{name: {own}, namespace: {namespace}, "
        f"creationTimestamp: '{created}'}}, spec: {spec}}}"
    )


def test_a_workload_names_those_that_select_it_in_its_namespace_and_in_the_root() -> None:
    policies = PoliciesUnderTest(
        policy("not-ns/wrong-ns", "{app: foo}"),
        policy("ns/local-ns", "{app: foo}"),
        policy("istio-system/root-ns", "{app: foo}"),
        policy("ns/other", "{app: not-foo}"),
    )
    assert policies.names_for("ns", {"app": "foo"}) == ["istio-system/root-ns", "ns/local-ns"]
    assert policies.names_for("istio-system", {"app": "foo"}) == ["istio-system/root-ns"]


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ("{app: a}", {"app": "a"}, True),
        ("{app: a}", {"app": "a", "version": "v1"}, True),
        ("{app: a, version: v1}", {"app": "a", "version": "v1"}, True),
        ("{app: a, version: v1}", {"app": "a"}, False),
        ("{app: a, version: v1}", {"version": "v1"}, False),
        ("{app: a, version: v1}", {"app": "a", "version": "v2"}, False),
        ("{app: ''}", {"app": ""}, True),
        ("{app: ''}", {"version": "v1"}, False),
        ("{app: a}", {}, False),
        # As istiod has it, a workload without labels would be selected by all that select by labels.
        ("{app: a}", None, False),
        # These apply to their namespace by their scope.
        ("{}", {"app": "a"}, False),
    ],
)
def test_all_labels_of_the_selector_must_be_there(
    selector: str, labels: dict[str, str] | None, selected: bool
) -> None:
    policies = PoliciesUnderTest(policy("ns/p", selector))
    assert policies.names_for("ns", labels) == ["ns/p"] * selected


@pytest.mark.parametrize(
    "rest",
    [", action: AUDIT", ", targetRefs: [{kind: Service, name: a}]", ", targetRef: {kind: Gateway, name: a}"],
)
def test_what_is_not_served_is_not_named(rest: str) -> None:
    policies = PoliciesUnderTest(policy("ns/p", "{app: a}", rest))
    assert policies.served() == {}
    assert policies.names_for("ns", {"app": "a"}) == []


def test_policies_of_mutual_tls_come_last() -> None:
    policies = PoliciesUnderTest(
        policy("ns/zzz", "{app: a}"), policy("istio-system/zzz", "{app: a}"), strict("ns/strict")
    )
    assert policies.names_for("ns", {"app": "a"}) == ["istio-system/zzz", "ns/zzz", STATIC]


def test_every_policy_that_selects_is_served_for_workloads_that_name_it() -> None:
    policies = PoliciesUnderTest(policy("ns/p", "{app: a}"), policy("ns/broken", "{app: a}", ", action: 7"))
    for name in policies.names_for("ns", {"app": "a"}):
        assert policies.served()[name].scope == Scope.WORKLOAD_SELECTOR


# What a change costs, in names made anew


@pytest.fixture
def busy() -> PoliciesUnderTest:
    policies = PoliciesUnderTest(
        policy("ns1/p", "{app: a}"),
        policy("istio-system/root", "{tier: front}"),
        strict("ns1/n"),
        strict("ns1/m"),
    )
    for namespace in ("ns1", "ns2"):
        for number in range(10):
            labels = {"app": "ab"[number % 2], "number": str(number)}
            policies.put_workload(f"{namespace}/{number}", namespace, labels)
    return policies


@pytest.mark.parametrize(
    ("edit", "rerun"),
    [
        (policy("ns1/p", "{app: a}", ", rules: [{}]"), 0),
        (policy("ns1/p", "{app: b}"), 10),
        (policy("ns1/new", "{app: a, number: '3'}"), 1),
        (policy("ns2/new", "{app: a}"), 5),
        (policy("istio-system/new", "{app: a}"), 10),
        ("{kind: AuthorizationPolicy, metadata: {name: all, namespace: ns1}, spec: {action: DENY}}", 0),
        (strict("ns1/o", "{mtls: {mode: PERMISSIVE}}", "2025-01-01T00:00:00Z"), 0),
        (strict("ns1/o", "{mtls: {mode: PERMISSIVE}}", "2020-01-01T00:00:00Z"), 10),
        (strict("ns2/o"), 10),
        (strict("istio-system/o", "{mtls: {mode: UNSET}}"), 0),
        # Namespace ns1 has a mode of its own.
        (strict("istio-system/o"), 10),
        (strict("ns2/w", "{selector: {matchLabels: {number: '3'}}, mtls: {mode: STRICT}}"), 1),
    ],
)
def test_a_change_reruns_only_the_workloads_it_may_touch(
    busy: PoliciesUnderTest, edit: str, rerun: int
) -> None:
    before = busy.names.runs
    busy.put(edit)
    assert busy.names.runs - before == rerun


def test_nothing_is_left_of_what_is_gone(busy: PoliciesUnderTest) -> None:
    assert_indexes_are_right(busy.graph)
    for kind in busy.registry:
        with busy.graph.transaction():
            for key in list(kind):
                kind.delete(key)
    assert_nothing_is_left(busy.graph)


# Policies for waypoints


def test_a_waypoint_is_allowed_by_all_its_identities() -> None:
    row = waypoint_policy(WaypointAccounts("ns1", "waypoint", ("a", "b")), "td")
    assert row is not None
    message = Authorization.FromString(row.body)
    assert row.name == "ns1/istio_allow_waypoint_ns1_waypoint"
    assert (message.scope, message.action) == (Scope.WORKLOAD_SELECTOR, Action.ALLOW)
    ((clause,),) = (group.rules for group in message.groups)
    assert [match.exact for match in clause.matches[0].principals] == ["td/ns/ns1/sa/a", "td/ns/ns1/sa/b"]


def test_a_waypoint_without_service_accounts_has_no_policy() -> None:
    nobody = WaypointAccounts("ns1", "waypoint", ())
    assert waypoint_policy(nobody, "td") is None
    assert waypoint_policy_names([nobody]) == []


def test_a_workload_names_its_own_waypoints_policy_and_those_of_its_services_once() -> None:
    own, other = WaypointAccounts("ns1", "own", ("a",)), WaypointAccounts("ns2", "other", ("a",))
    assert waypoint_policy_names([own, other, own, other]) == [
        "ns1/istio_allow_waypoint_ns1_own",
        "ns2/istio_allow_waypoint_ns2_other",
    ]
