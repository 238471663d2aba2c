"""AuthorizationPolicies that cannot be read, or not whole: what is in doubt is denied, and told."""

from typing import Any

import pytest

from tests.helpers.policies import groups
from tests.helpers.policy_texts import converted, served, told
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Action, Scope


@pytest.mark.parametrize(
    ("rule", "allowing", "denying"),
    [
        # Of values that are OR-ed, an ALLOW keeps those it can read; a DENY takes it that one matches.
        ("{to: [{operation: {ports: [http]}}]}", [[{}]], []),
        ("{to: [{operation: {ports: [http, '80']}}]}", [[{"destination_ports": ["80"]}]], []),
        # Of exceptions, a DENY keeps those it can read; an ALLOW takes it that one matches.
        ("{to: [{operation: {notPorts: [http]}}]}", [[{}]], []),
        (
            "{to: [{operation: {notPorts: [http, '80']}}]}",
            [[{}]],
            [[{"not_destination_ports": ["80"]}]],
        ),
        # The other conditions of a source stay.
        (
            "{from: [{source: {namespaces: [a], ipBlocks: [bad]}}]}",
            [[{}]],
            [[{"namespaces": ["a"]}]],
        ),
        (
            "{from: [{source: {namespaces: [a], notIpBlocks: [bad]}}]}",
            [[{}]],
            [[{"namespaces": ["a"]}]],
        ),
        # Alternatives stay in an ALLOW; in a DENY one that always matches makes the others idle.
        (
            "{from: [{source: {ipBlocks: [bad]}}, {source: {namespaces: [a]}}]}",
            [[{}, {"namespaces": ["a"]}]],
            [],
        ),
        ("{from: [{source: {namespaces: ['']}}]}", [[{}]], []),
        ("{from: [{source: {serviceAccounts: ['*']}}]}", [[{}]], []),
        ("{to: [{operation: {ports: [80]}}]}", [[{}]], []),
        ("{to: [{operation: {ports: '80'}}]}", [[{}]], []),
        ("{when: [{key: destination.port, values: [http]}]}", [[{}]], []),
        (
            "{from: [{source: {namespaces: [a]}}], when: [{key: destination.port, notValues: [http]}]}",
            [[{"namespaces": ["a"]}], [{}]],
            [[{"namespaces": ["a"]}]],
        ),
        # Conditions that ask for nothing.
        ("{from: [{}]}", [[{}]], []),
        ("{from: [{source: {}}]}", [[{}]], []),
        ("{from: [{source: null}]}", [[{}]], []),
        ("{to: [{operation: {ports: []}}]}", [[{}]], []),
        ("{when: [{key: source.ip}]}", [[{}]], []),
    ],
)
def test_a_value_that_cannot_be_read_never_widens_what_is_permitted(
    rule: str, allowing: list[Any], denying: list[Any]
) -> None:
    assert converted("ALLOW", rule) == [allowing]
    assert converted("DENY", rule) == [denying]
    for action in ("ALLOW", "DENY"):
        assert told(f"{{action: {action}, rules: [{rule}]}}").startswith("rules[0].")


@pytest.mark.parametrize(
    ("rule", "denying"),
    [
        ("null", []),
        ("text", []),
        ("{form: [{source: {namespaces: [a]}}]}", []),
        ("{from: text}", []),
        ("{from: [null]}", []),
        ("{from: [{source: text}]}", []),
        ("{from: [{sources: {namespaces: [a]}}]}", []),
        ("{from: [{source: {principal: [a]}}]}", []),
        ("{from: [{source: {namespaces: [a], principal: [a]}}]}", [[{"namespaces": ["a"]}]]),
        # A typing error beside a condition of requests must not make the rule one of requests.
        ("{from: [{source: {requestPrincipals: [a], principal: [a]}}]}", []),
        ("{to: [{operation: {methods: [GET], ports: [http]}}]}", []),
        ("{when: {key: source.ip}}", []),
        ("{when: [text]}", []),
        ("{when: [{values: [1.2.3.4]}]}", []),
        ("{when: [{key: 7, values: [1.2.3.4]}]}", []),
        ("{when: [{key: source.ipp, values: [1.2.3.4]}]}", []),
        ("{when: [{key: request.headers, values: [a]}]}", []),
        ("{when: [{key: source.ip, value: [1.2.3.4]}]}", []),
    ],
)
def test_a_rule_that_cannot_be_read_allows_nothing_or_denies_all_it_may_have_meant(
    rule: str, denying: list[Any]
) -> None:
    assert converted("ALLOW", rule) == []
    assert converted("DENY", rule) == [denying]
    for action in ("ALLOW", "DENY"):
        assert told(f"{{action: {action}, rules: [{rule}]}}").startswith("rules[0]")


@pytest.mark.parametrize(
    ("spec", "scope", "action", "expected", "words"),
    [
        ("text", Scope.NAMESPACE, Action.DENY, [[]], "spec is 'text': expected a mapping"),
        (
            "{action: BLOCK}",
            Scope.NAMESPACE,
            Action.DENY,
            [[]],
            "action is 'BLOCK': expected one of ALLOW, DENY",
        ),
        ("{action: deny, rules: [{}]}", Scope.NAMESPACE, Action.DENY, [[]], "action is 'deny'"),
        ("{action: [DENY]}", Scope.NAMESPACE, Action.DENY, [[]], "action is ['DENY']"),
        (
            "{action: 7, selector: {matchLabels: {app: a}}}",
            Scope.WORKLOAD_SELECTOR,
            Action.DENY,
            [[]],
            "action is 7",
        ),
        ("{rules: text}", Scope.NAMESPACE, Action.ALLOW, [], "rules is 'text': expected a list"),
        ("{action: DENY, rules: {}}", Scope.NAMESPACE, Action.DENY, [[]], "rules is {}: expected a list"),
        ("{rule: [{}]}", Scope.NAMESPACE, Action.DENY, [[]], "spec has ['rule']"),
        ("{action: ALLOW, rule: [{}]}", Scope.NAMESPACE, Action.ALLOW, [], "spec has ['rule']"),
        ("{action: DENY, rule: [{}]}", Scope.NAMESPACE, Action.DENY, [[]], "spec has ['rule']"),
        ("{selector: text, rules: [{}]}", Scope.NAMESPACE, Action.ALLOW, [], "selector is 'text'"),
        (
            "{selector: {matchLabel: {a: b}}, rules: [{}]}",
            Scope.NAMESPACE,
            Action.ALLOW,
            [],
            "only matchLabels",
        ),
        (
            "{action: DENY, selector: {matchLabels: {a: 1}}}",
            Scope.NAMESPACE,
            Action.DENY,
            [[]],
            "selector.matchLabels is {'a': 1}: expected a mapping of text to text",
        ),
        ("{targetRef: {}}", Scope.NAMESPACE, Action.DENY, [[]], "targetRef is {}: expected a reference"),
        ("{targetRefs: text}", Scope.NAMESPACE, Action.DENY, [[]], "targetRefs is 'text'"),
        ("{targetRefs: [{}]}", Scope.NAMESPACE, Action.DENY, [[]], "targetRefs is [{}]"),
    ],
)
def test_a_policy_that_cannot_be_read_denies_all_it_may_have_been_meant_for(
    spec: str, scope: Scope, action: Action, expected: list[Any], words: str
) -> None:
    message = served(spec)
    assert (message.scope, message.action, groups(message)) == (scope, action, expected)
    assert words in told(spec)


def test_a_problem_is_told_once() -> None:
    assert told("{rules: [{to: [{operation: {ports: [http]}}]}]}") == (
        "rules[0].to[0].operation.ports[0] is 'http': "
        "expected a port number from 0 to 65535, as text; in doubt it denies"
    )


def test_a_value_of_any_size_is_shown_in_part() -> None:
    assert len(told({"action": "x" * 10_000})) < 300
