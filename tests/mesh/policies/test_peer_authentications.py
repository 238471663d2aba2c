"""PeerAuthentications: what is served, what workloads name, what comes of it (facts wds, 5.7)."""

from typing import Any

import pytest

from tests.helpers.istiod_peer_authentications import Mode
from tests.helpers.policies import PoliciesUnderTest, groups
from tests.helpers.policy_texts import mode, peer, selecting
from xds_server.objects.policies import PeerAuthentication
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Action, Scope

STATIC = "istio-system/istio_converted_static_strict"
CONVERTED = "ns1/converted_peer_authentication_selector"
NOBODY = {"not_principals": ["*"]}


def converted_groups(policies: PoliciesUnderTest) -> Any:
    message = policies.served().get(CONVERTED)
    return None if message is None else groups(message)


@pytest.mark.parametrize("spec", ["{}", mode("PERMISSIVE"), selecting("STRICT")])
def test_the_static_policy_is_served_while_there_is_any_peer_authentication(spec: str) -> None:
    policies = PoliciesUnderTest()
    assert policies.served() == {}
    policies.put(peer("a", spec))
    policies.put(peer("b", spec, "ns2"))
    policies.remove(PeerAuthentication, "ns1/a")
    (message,) = policies.served().values()
    assert (message.namespace, message.name) == ("istio-system", "istio_converted_static_strict")
    assert (message.action, message.scope) == (Action.DENY, Scope.WORKLOAD_SELECTOR)
    assert groups(message) == [[[NOBODY]]]
    policies.remove(PeerAuthentication, "ns2/b")
    assert policies.served() == {}


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([peer("n", mode("STRICT"))], [STATIC]),
        ([peer("n", mode("PERMISSIVE"))], []),
        ([peer("m", mode("STRICT"), "istio-system")], [STATIC]),
        ([peer("m", mode("STRICT"), "istio-system"), peer("n", mode("UNSET"))], [STATIC]),
        ([peer("m", mode("STRICT"), "istio-system"), peer("n", "{}")], [STATIC]),
        ([peer("m", mode("STRICT"), "istio-system"), peer("n", mode("DISABLE"))], []),
        ([peer("m", mode("PERMISSIVE"), "istio-system"), peer("n", mode("STRICT"))], [STATIC]),
        ([peer("n", mode("STRICT"), "ns2")], []),
        ([peer("n", mode("STRICT")), peer("w", selecting("PERMISSIVE"))], []),
        ([peer("w", selecting("STRICT"))], [STATIC]),
        ([peer("w", selecting("STRICT"), "istio-system")], []),
        ([peer("w", selecting("STRICT"), "ns2")], []),
        ([peer("n", "{selector: {}, mtls: {mode: STRICT}}")], [STATIC]),
        ([peer("n", "{selector: {matchLabels: {}}, mtls: {mode: STRICT}}")], [STATIC]),
        ([peer("n", "{selector: {matchLabels: {app: b}}, mtls: {mode: STRICT}}")], []),
    ],
)
def test_the_nearest_mode_that_is_set_decides(texts: list[str], names: list[str]) -> None:
    assert PoliciesUnderTest(*texts).names_for("ns1", {"app": "a", "version": "v1"}) == names


@pytest.mark.parametrize("spec", [mode("{0}"), selecting("{0}")])
@pytest.mark.parametrize("namespace", ["ns1", "istio-system"])
def test_the_oldest_decides_of_those_alike(spec: str, namespace: str) -> None:
    def edited(name: str, value: str, created: str) -> str:
        return peer(name, spec.replace("{0}", value), namespace, created)

    policies = PoliciesUnderTest(
        edited("new", "STRICT", "2024-02-01T00:00:00Z"), edited("old", "PERMISSIVE", "2024-01-01T00:00:00Z")
    )
    expected = [STATIC] if namespace == "ns1" or "selector" not in spec else []
    assert policies.names_for("ns1", {"app": "a"}) == []
    policies.remove(PeerAuthentication, f"{namespace}/old")
    assert policies.names_for("ns1", {"app": "a"}) == expected
    # Of two as old, a strict one.
    policies.put(edited("another", "PERMISSIVE", "2024-02-01T00:00:00Z"))
    assert policies.names_for("ns1", {"app": "a"}) == expected


@pytest.mark.parametrize("labels", [None, {}, {"app": "a"}, {"version": "v1"}, {"app": "b", "version": "v1"}])
def test_what_a_selector_does_not_select_has_the_mode_of_its_namespace(labels: dict[str, str] | None) -> None:
    spec = "{selector: {matchLabels: {app: a, version: v1}}, mtls: {mode: PERMISSIVE}}"
    policies = PoliciesUnderTest(peer("n", mode("STRICT")), peer("w", spec))
    assert policies.names_for("ns1", labels) == [STATIC]
    assert policies.names_for("ns1", {"app": "a", "version": "v1"}) == []


@pytest.mark.parametrize("spec", [selecting("STRICT"), selecting("PERMISSIVE", "{9090: {mode: STRICT}}")])
def test_a_selector_in_the_root_namespace_selects_nothing(spec: str) -> None:
    policies = PoliciesUnderTest(peer("w", spec, "istio-system"))
    assert policies.names_for("istio-system", {"app": "a"}) == []
    assert policies.names_for("ns1", {"app": "a"}) == []
    assert policies.served().keys() == {STATIC}


@pytest.mark.parametrize(
    ("root", "namespace", "spec", "names", "converted"),
    [
        (None, "STRICT", selecting("PERMISSIVE"), [], None),
        (
            None,
            "STRICT",
            selecting("PERMISSIVE", "{9090: {mode: STRICT}}"),
            [CONVERTED],
            [[[{**NOBODY, "destination_ports": ["9090"]}]]],
        ),
        (
            None,
            None,
            selecting("STRICT", "{9090: {mode: PERMISSIVE}}"),
            [CONVERTED],
            [[[NOBODY], [{"not_destination_ports": ["9090"]}]]],
        ),
        (
            None,
            None,
            selecting("STRICT", "{9090: {mode: DISABLE}}"),
            [CONVERTED],
            [[[NOBODY], [{"not_destination_ports": ["9090"]}]]],
        ),
        (
            None,
            "STRICT",
            selecting("STRICT", "{9090: {mode: PERMISSIVE}}"),
            [CONVERTED],
            [[[NOBODY], [{"not_destination_ports": ["9090"]}], [NOBODY]]],
        ),
        (
            "STRICT",
            None,
            selecting("UNSET", "{9090: {mode: PERMISSIVE}}"),
            [CONVERTED],
            [[[{"not_destination_ports": ["9090"]}], [NOBODY]]],
        ),
        (
            "STRICT",
            "PERMISSIVE",
            selecting("UNSET", "{9090: {mode: STRICT}}"),
            [CONVERTED],
            [[[{**NOBODY, "destination_ports": ["9090"]}]]],
        ),
        (
            "PERMISSIVE",
            "PERMISSIVE",
            selecting("UNSET", "{9090: {mode: STRICT}, 8080: {mode: STRICT}}"),
            [CONVERTED],
            [
                [[{**NOBODY, "destination_ports": ["8080"]}]],
                [[{**NOBODY, "destination_ports": ["9090"]}]],
            ],
        ),
        (
            "STRICT",
            None,
            selecting("UNSET", "{80: {mode: PERMISSIVE}, 81: {mode: DISABLE}, 82: {mode: STRICT}, 83: {}}"),
            [CONVERTED],
            [[[{"not_destination_ports": ["80"]}], [{"not_destination_ports": ["81"]}], [NOBODY]]],
        ),
        (None, None, selecting("STRICT", "{9090: {mode: STRICT}}"), [STATIC], None),
        (None, None, selecting("STRICT", "{9090: {mode: UNSET}}"), [STATIC], None),
        (None, None, selecting("STRICT"), [STATIC], None),
        ("PERMISSIVE", "PERMISSIVE", selecting("UNSET", "{9090: {mode: PERMISSIVE}}"), [], None),
        (None, None, mode("STRICT")[:-1] + ", portLevelMtls: {9090: {mode: PERMISSIVE}}}", [STATIC], None),
        # Where istiod names an object that it does not serve.
        (
            "STRICT",
            None,
            selecting("PERMISSIVE", "{9090: {mode: STRICT}}"),
            [CONVERTED],
            [[[{**NOBODY, "destination_ports": ["9090"]}]]],
        ),
        (
            "STRICT",
            "UNSET",
            selecting("UNSET", "{9090: {mode: PERMISSIVE}}"),
            [CONVERTED],
            [[[{"not_destination_ports": ["9090"]}], [NOBODY]]],
        ),
        # An exception that has none.
        (
            "STRICT",
            None,
            selecting("UNSET", "{9090: {mode: DISABLE}}"),
            [STATIC],
            [[[{"not_destination_ports": ["9090"]}], [NOBODY]]],
        ),
    ],
)
def test_ports_that_differ_make_a_policy_of_their_own(
    root: Mode, namespace: Mode, spec: str, names: list[str], converted: Any
) -> None:
    policies = PoliciesUnderTest(peer("selector", spec))
    if root:
        policies.put(peer("m", mode(root), "istio-system"))
    if namespace:
        policies.put(peer("n", mode(namespace)))
    assert policies.names_for("ns1", {"app": "a"}) == names
    assert converted_groups(policies) == converted


def test_a_converted_policy_goes_with_what_made_it_necessary() -> None:
    policies = PoliciesUnderTest(
        peer("n", mode("STRICT")), peer("selector", selecting("UNSET", "{9090: {mode: PERMISSIVE}}"))
    )
    assert policies.names_for("ns1", {"app": "a"}) == [CONVERTED]
    policies.put(peer("n", mode("PERMISSIVE")))
    assert policies.names_for("ns1", {"app": "a"}) == []
    assert CONVERTED not in policies.served()


def test_an_exception_that_has_no_effect_is_told() -> None:
    policies = PoliciesUnderTest(
        peer("n", mode("STRICT")), peer("selector", selecting("UNSET", "{9090: {mode: DISABLE}}"))
    )
    assert policies.problems() == {
        "ns1/selector": "portLevelMtls[9090].mode is DISABLE: expected PERMISSIVE; the port stays strict"
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("text", "spec is 'text': expected a mapping"),
        (mode("STRIKT"), "mtls.mode is 'STRIKT': expected one of UNSET, DISABLE, PERMISSIVE, STRICT"),
        ("{mtls: STRICT}", "mtls is 'STRICT': expected only mode"),
        ("{mtls: {mode: PERMISSIVE, modes: x}}", "expected only mode"),
        ("{mtl: {mode: STRICT}}", "spec has ['mtl']"),
        ("{selector: text, mtls: {mode: PERMISSIVE}}", "selector is 'text'"),
        (selecting("PERMISSIVE", "text"), "portLevelMtls is 'text'"),
        (
            selecting("PERMISSIVE", "{http: {mode: STRICT}}"),
            "portLevelMtls has 'http': expected port numbers",
        ),
        (selecting("PERMISSIVE", "{0: {mode: STRICT}}"), "portLevelMtls has 0"),
        (selecting("PERMISSIVE", "{65616: {mode: STRICT}}"), "portLevelMtls has 65616"),
        (selecting("PERMISSIVE", "{'80': {mode: PERMISSIVE}, 80: {mode: STRICT}}"), "each once"),
        (selecting("PERMISSIVE", "{80: {mode: strict}}"), "portLevelMtls[80].mode is 'strict'"),
    ],
)
def test_one_that_cannot_be_read_is_strict_whatever_else_there_is(spec: str, words: str) -> None:
    policies = PoliciesUnderTest(
        peer("older", mode("PERMISSIVE"), created="2020-01-01T00:00:00Z"),
        peer(
            "same", selecting("PERMISSIVE") if "matchLabels" in spec else "{}", created="2020-01-01T00:00:00Z"
        ),
        peer("broken", spec),
    )
    assert policies.names_for("ns1", {"app": "a"}) == [STATIC]
    assert words in policies.problems()["ns1/broken"]
    assert policies.problems()["ns1/broken"].endswith("; it counts as STRICT")
