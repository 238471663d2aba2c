"""AuthorizationPolicies: which are served, where they apply, what rules become (facts wds, 5.2-5.4)."""

from typing import Any

import pytest

from tests.helpers.policies import PoliciesUnderTest, groups
from tests.helpers.policy_texts import converted, policy, served, told
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Action, Scope

# 5.2: which are sent, and how far they reach


@pytest.mark.parametrize(
    ("spec", "annotations"),
    [
        ("{}", "{istio.io/dry-run: 'true'}"),
        ("{targetRef: {kind: Gateway, name: waypoint}}", "{}"),
        ("{targetRefs: [{kind: Service, name: a}]}", "{}"),
        ("{action: AUDIT}", "{}"),
        ("{action: CUSTOM, provider: {name: x}}", "{}"),
    ],
)
def test_what_is_not_for_ztunnels_is_not_served(spec: str, annotations: str) -> None:
    assert PoliciesUnderTest(policy(spec, annotations=annotations)).served() == {}


@pytest.mark.parametrize("spec", ["{action: AUDIT}", "{action: CUSTOM}"])
def test_an_action_that_no_ztunnel_knows_is_told(spec: str) -> None:
    assert "expected ALLOW or DENY; a ztunnel does not enforce the policy" in told(spec)


@pytest.mark.parametrize("spec", ["{targetRefs: []}", "{targetRef: null, targetRefs: null}"])
def test_no_reference_is_no_target(spec: str) -> None:
    assert served(spec).scope == Scope.NAMESPACE


@pytest.mark.parametrize(
    ("spec", "namespace", "scope"),
    [
        ("{}", "ns1", Scope.NAMESPACE),
        ("{}", "istio-system", Scope.GLOBAL),
        ("{selector: {matchLabels: {app: a}}}", "ns1", Scope.WORKLOAD_SELECTOR),
        ("{selector: {matchLabels: {app: a}}}", "istio-system", Scope.WORKLOAD_SELECTOR),
        # As a selector for certain workloads these would be in force nowhere.
        ("{selector: {}}", "ns1", Scope.NAMESPACE),
        ("{selector: {matchLabels: {}}}", "ns1", Scope.NAMESPACE),
        ("{selector: {matchLabels: {}}}", "istio-system", Scope.GLOBAL),
    ],
)
def test_the_selector_and_the_namespace_decide_the_scope(spec: str, namespace: str, scope: Scope) -> None:
    message = served(spec, namespace=namespace)
    assert (message.scope, message.name, message.namespace) == (scope, "p", namespace)


@pytest.mark.parametrize(
    ("spec", "action"),
    [
        ("{}", Action.ALLOW),
        ("{action: ''}", Action.ALLOW),
        ("{action: ALLOW}", Action.ALLOW),
        ("{action: DENY}", Action.DENY),
    ],
)
def test_the_action_is_allow_unless_it_is_deny(spec: str, action: Action) -> None:
    assert served(spec).action == action


@pytest.mark.parametrize("spec", ["{}", "{action: DENY}", "{rules: []}", "null"])
def test_without_rules_there_are_no_groups(spec: str) -> None:
    assert groups(served(spec)) == []


@pytest.mark.parametrize(
    ("annotation", "dry_run"),
    [("1", True), ("t", True), ("True", True), ("0", False), ("f", False), ("yes", False), ("", False)],
)
def test_dry_runs_are_served_where_the_mesh_is_set_so(annotation: str, dry_run: bool) -> None:
    policies = PoliciesUnderTest(
        policy(annotations=f"{{istio.io/dry-run: '{annotation}'}}"), dry_run_policies=True
    )
    assert policies.served()["ns1/p"].dry_run is dry_run


def test_a_dry_run_that_cannot_be_read_is_in_force_and_told() -> None:
    policies = PoliciesUnderTest(policy(annotations="{istio.io/dry-run: 'yes'}"))
    assert policies.served()["ns1/p"].dry_run is False
    assert policies.problems() == {
        "ns1/p": "annotation istio.io/dry-run is 'yes': expected true or false; the policy is in force"
    }


# 5.3: rules to groups

EACH_PART = (
    "{when: [{key: source.namespace, values: [a]}, {key: source.ip, values: [1.1.1.1]}], "
    "from: [{source: {principals: [p]}}], to: [{operation: {ports: ['80']}}]}"
)


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
@pytest.mark.parametrize(
    ("rule", "group"),
    [
        ("{}", []),
        ("{from: [], to: [], when: []}", []),
        ("{to: [{operation: {ports: ['80', '81']}}]}", [[{"destination_ports": ["80", "81"]}]]),
        ("{to: [{operation: {notPorts: ['80']}}]}", [[{"not_destination_ports": ["80"]}]]),
        ("{from: [{source: {principals: [a, b*]}}]}", [[{"principals": ["a", "b*"]}]]),
        ("{from: [{source: {notPrincipals: ['*b']}}]}", [[{"not_principals": ["*b"]}]]),
        ("{from: [{source: {namespaces: ['*']}}]}", [[{"namespaces": ["*"]}]]),
        ("{from: [{source: {notNamespaces: [a]}}]}", [[{"not_namespaces": ["a"]}]]),
        ("{from: [{source: {ipBlocks: [10.0.0.9/8]}}]}", [[{"source_ips": ["10.0.0.9/8"]}]]),
        ("{from: [{source: {notIpBlocks: [1.2.3.4]}}]}", [[{"not_source_ips": ["1.2.3.4/32"]}]]),
        ("{from: [{source: {serviceAccounts: [sa, b/sa]}}]}", [[{"service_accounts": ["ns1/sa", "b/sa"]}]]),
        ("{from: [{source: {notServiceAccounts: [sa]}}]}", [[{"not_service_accounts": ["ns1/sa"]}]]),
        ("{when: [{key: source.ip, values: [1.2.3.4]}]}", [[{"source_ips": ["1.2.3.4/32"]}]]),
        ("{when: [{key: source.namespace, values: [a]}]}", [[{"namespaces": ["a"]}]]),
        ("{when: [{key: source.principal, notValues: [a]}]}", [[{"not_principals": ["a"]}]]),
        ("{when: [{key: destination.ip, values: ['::1']}]}", [[{"destination_ips": ["::1/128"]}]]),
        ("{when: [{key: destination.ip, notValues: ['::1']}]}", [[{"not_destination_ips": ["::1/128"]}]]),
        (
            "{when: [{key: destination.port, values: ['80'], notValues: ['81']}]}",
            [[{"destination_ports": ["80"], "not_destination_ports": ["81"]}]],
        ),
        (
            "{from: [{source: {principals: [a], namespaces: [b]}}, {source: {ipBlocks: [1.2.3.4]}}]}",
            [[{"principals": ["a"], "namespaces": ["b"]}, {"source_ips": ["1.2.3.4/32"]}]],
        ),
        (
            EACH_PART,
            [
                [{"destination_ports": ["80"]}],
                [{"principals": ["p"]}],
                [{"namespaces": ["a"]}],
                [{"source_ips": ["1.1.1.1/32"]}],
            ],
        ),
    ],
)
def test_a_rule_becomes_clauses_for_to_from_and_each_when(action: str, rule: str, group: list[Any]) -> None:
    assert converted(action, rule) == [group]
    assert told(f"{{action: {action}, rules: [{rule}]}}") == ""


HTTP = {
    "hosts": "{to: [{operation: {ports: ['80'], hosts: [a]}}]}",
    "notHosts": "{to: [{operation: {ports: ['80'], notHosts: [a]}}]}",
    "methods": "{to: [{operation: {ports: ['80'], methods: [GET]}}]}",
    "notMethods": "{to: [{operation: {ports: ['80'], notMethods: [GET]}}]}",
    "paths": "{to: [{operation: {ports: ['80'], paths: [/a]}}]}",
    "notPaths": "{to: [{operation: {ports: ['80'], notPaths: [/a]}}]}",
    "remoteIpBlocks": "{from: [{source: {principals: [p], remoteIpBlocks: [1.1.1.1]}}]}",
    "notRemoteIpBlocks": "{from: [{source: {principals: [p], notRemoteIpBlocks: [1.1.1.1]}}]}",
    "requestPrincipals": "{from: [{source: {principals: [p], requestPrincipals: [a]}}]}",
    "notRequestPrincipals": "{from: [{source: {principals: [p], notRequestPrincipals: [a]}}]}",
    "request.headers[x]": "{when: [{key: 'request.headers[x]', values: [a]}]}",
    "request.auth.claims[x]": "{when: [{key: 'request.auth.claims[x]', values: [a]}]}",
    "remote.ip": "{when: [{key: remote.ip, values: [1.1.1.1]}]}",
    "connection.sni": "{when: [{key: connection.sni, values: [a]}]}",
    "source.serviceAccount": "{when: [{key: source.serviceAccount, values: [a]}]}",
    "experimental.x": "{when: [{key: experimental.x, values: [a]}]}",
}


@pytest.mark.parametrize("attribute", HTTP)
def test_an_allow_leaves_out_a_rule_that_only_a_waypoint_can_judge(attribute: str) -> None:
    assert converted("ALLOW", HTTP[attribute], "{to: [{operation: {ports: ['81']}}]}") == [
        [[{"destination_ports": ["81"]}]]
    ]
    problem = told(f"{{rules: [{HTTP[attribute]}]}}")
    assert attribute in problem
    assert problem.startswith("rules[0].")
    assert problem.endswith("the rule allows nothing")


@pytest.mark.parametrize("attribute", HTTP)
def test_a_deny_drops_what_only_a_waypoint_can_judge(attribute: str) -> None:
    """What is left of a source or an operation still denies; a condition of its own denies nothing."""
    (group,) = converted("DENY", HTTP[attribute])
    if "when" in HTTP[attribute]:
        assert group == [[{}]]
    else:
        assert group in ([[{"destination_ports": ["80"]}]], [[{"principals": ["p"]}]])
    assert attribute in told(f"{{action: DENY, rules: [{HTTP[attribute]}]}}")


@pytest.mark.parametrize(
    ("rule", "group", "problem"),
    [
        (
            "{to: [{operation: {methods: [GET]}}]}",
            [[{}]],
            "rules[0].to[0].operation: a ztunnel cannot judge methods, a waypoint could; it denies nothing",
        ),
        (
            "{from: [{source: {requestPrincipals: [a]}}, {source: {principals: [p]}}]}",
            [[{}, {"principals": ["p"]}]],
            "rules[0].from[0].source: a ztunnel cannot judge requestPrincipals",
        ),
        (
            "{from: [{source: {principals: [p]}}], when: [{key: 'request.headers[x]', values: [y]}]}",
            [[{"principals": ["p"]}], [{}]],
            "cannot judge it, a waypoint could; the rule denies nothing",
        ),
        (
            "{to: [{operation: {ports: ['80'], methods: [GET], hosts: [a]}}]}",
            [[{"destination_ports": ["80"]}]],
            "cannot judge hosts, methods, a waypoint could; it denies whatever those are",
        ),
    ],
)
def test_a_deny_tells_what_becomes_of_what_only_a_waypoint_can_judge(
    rule: str, group: list[Any], problem: str
) -> None:
    assert converted("DENY", rule) == [group]
    assert problem in told(f"{{action: DENY, rules: [{rule}]}}")


def test_a_deny_of_everything_stays_one_beside_a_rule_of_requests() -> None:
    assert converted("DENY", "{}", "{to: [{operation: {methods: [GET]}}]}") == [[], [[{}]]]
