"""Whatever a policy says, and however badly, what a ztunnel enforces permits nothing that it forbids."""

from collections.abc import Mapping
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.helpers.full_policies import Guess, applies
from tests.helpers.policies import PoliciesUnderTest
from tests.helpers.random_policies import (
    ANYTHING,
    CONNECTIONS,
    FAULTY,
    GUESSES,
    KEYS,
    PEERS,
    POLICIES,
    REQUEST_OPERATION,
    REQUEST_SOURCE,
    Rules,
    rules,
    spoiled,
)
from tests.helpers.ztunnel_policies import Connection, allows, applying, matches
from xds_server.objects.kubernetes import KubernetesObject
from xds_server.objects.policies import AuthorizationPolicy, PeerAuthentication

LABELS = {"app": "a"}


def converted(action: str, rules: Rules, connection: Connection) -> tuple[bool, str]:
    """Whether the policy that is served for some rules matches a connection, and what is told of it."""
    policies = PoliciesUnderTest()
    policies.put_spec(AuthorizationPolicy, {"action": action, "rules": rules})
    return matches(policies.served()["ns1/p"], connection), policies.problems().get("ns1/p", "")


def permits(policies: PoliciesUnderTest, connection: Connection) -> bool:
    """Whether a ztunnel lets a connection through to a workload of ns1."""
    in_force = applying(policies.served(), "ns1", policies.names_for("ns1", LABELS))
    return allows(in_force, connection)


# Rules


def only_waypoints_judge(entry: Mapping[str, list[str]]) -> bool:
    """Tell of an alternative that no ztunnel can judge any of: it denies nothing there, and that is told."""
    names = [name for name, values in entry.items() if values]
    return bool(names) and all(name in (*REQUEST_SOURCE, *REQUEST_OPERATION) for name in names)


def for_ztunnels(rules: Rules) -> list[Any]:
    """What is left to deny: a rule whose alternatives are all gone is gone too."""
    kept = []
    for rule in rules:
        left = {
            part: [item for item in rule.get(part, ()) if not only_waypoints_judge(item[member])]
            for part, member in (("from", "source"), ("to", "operation"))
        }
        gone = any(rule.get(part) and not left[part] for part in left)
        if not gone and all(item["key"] in KEYS for item in rule.get("when", ())):
            kept.append({**rule, **left})
    return kept


@given(rules(FAULTY), CONNECTIONS, GUESSES)
def test_an_allow_matches_nothing_that_the_whole_policy_does_not(
    rules: Rules, connection: Connection, guess: Guess
) -> None:
    matched, _ = converted("ALLOW", rules, connection)
    assert applies(rules, connection, guess) or not matched


@given(rules(FAULTY), CONNECTIONS, GUESSES)
def test_a_deny_matches_all_that_the_whole_policy_does(
    rules: Rules, connection: Connection, guess: Guess
) -> None:
    matched, _ = converted("DENY", rules, connection)
    assert matched or not applies(for_ztunnels(rules), connection, guess)


@given(st.sampled_from(["ALLOW", "DENY"]), rules(FAULTY), CONNECTIONS, GUESSES)
def test_what_is_not_told_of_is_enforced_exactly(
    action: str, rules: Rules, connection: Connection, guess: Guess
) -> None:
    matched, problems = converted(action, rules, connection)
    assert problems or matched is applies(rules, connection, guess)


# Whole objects


@given(ANYTHING)
def test_whatever_a_policy_holds_one_is_served_for_it(spec: object) -> None:
    policies = PoliciesUnderTest()
    policies.put_spec(AuthorizationPolicy, spec)
    assert policies.served().keys() == {"ns1/p"}


@given(ANYTHING)
def test_whatever_a_peer_authentication_holds_what_workloads_name_is_served(spec: object) -> None:
    policies = PoliciesUnderTest()
    policies.put_spec(PeerAuthentication, spec)
    assert "internal error" not in "".join(policies.problems().values())
    assert set(policies.names_for("ns1", LABELS)) <= policies.served().keys()


def assert_spoiling_permits_nothing(
    kind: type[KubernetesObject], spec: Mapping[str, Any], broken: object, others: list[Any], at: Connection
) -> None:
    policies = PoliciesUnderTest()
    for number, other in enumerate(others):
        policies.put_spec(AuthorizationPolicy, other, f"ns1/other-{number}")
    policies.put_spec(kind, spec)
    permitted = permits(policies, at)
    policies.put_spec(kind, broken)
    assert permitted or not permits(policies, at), f"{broken} permits what {spec} does not"


@given(st.data(), POLICIES, st.lists(POLICIES, max_size=2), CONNECTIONS)
def test_a_fault_in_a_policy_permits_nothing_that_it_forbade(
    data: st.DataObject, spec: dict[str, Any], others: list[Any], connection: Connection
) -> None:
    assume(spec.get("rules") or "action" in spec)
    broken = data.draw(spoiled(spec))
    assert_spoiling_permits_nothing(AuthorizationPolicy, spec, broken, others, connection)


@given(st.data(), PEERS, CONNECTIONS)
def test_a_fault_in_a_peer_authentication_permits_nothing_that_it_forbade(
    data: st.DataObject, spec: dict[str, Any], connection: Connection
) -> None:
    assume(any(spec.values()))
    broken = data.draw(spoiled(spec))
    assert_spoiling_permits_nothing(PeerAuthentication, spec, broken, [], connection)
