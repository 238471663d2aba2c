"""From which namespaces a waypoint may be used (facts wds, 4.4)."""

import pytest

from tests.helpers.objects import put
from tests.mesh.bound import Bound, hbone, namespace, place, service, waypoint

SHARED = "istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra"
ABROAD = service(SHARED)
AT_HOME = service("istio.io/use-waypoint: wp", namespace="infra")


def bound(mesh: Bound) -> tuple[bool, bool]:
    """Whether the service of another namespace is bound, and that of the Gateway's own."""
    return tuple(mesh.service(key).waypoint is not None for key in ("ns1/svc", "infra/svc"))  # type: ignore[return-value]


def infra(*listeners: str, binding: str = "") -> str:
    annotations = f"ambient.istio.io/waypoint-inbound-binding: {binding}" if binding else ""
    return waypoint("all", namespace="infra", listeners=", ".join(listeners), annotations=annotations)


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ("", (False, True)),
        ("{port: 15008, protocol: HBONE}", (False, True)),
        ("{port: 15008, protocol: HBONE, allowedRoutes: {}}", (False, True)),
        (hbone(""), (False, True)),
        (hbone("from: Same"), (False, True)),
        (hbone("from: All"), (True, True)),
        (hbone("from: Selector"), (False, False)),
        (hbone("from: Selector, selector: {}"), (True, True)),
        (hbone("from: Selector, selector: {matchLabels: {team: a}}"), (True, False)),
        (hbone("from: Selector, selector: {matchLabels: {team: b}}"), (False, False)),
        (hbone("selector: {matchLabels: {team: a}}"), (False, True)),
        (hbone("from: Everyone"), (False, True)),
        (hbone("from: All", port=15009), (False, True)),
        (hbone("from: All", protocol="HTTP"), (False, True)),
    ],
)
def test_the_hbone_listener_on_15008_says_who_is_admitted(listener: str, expected: tuple[bool, bool]) -> None:
    spaces = namespace("team: a"), namespace("team: i", name="infra")
    assert bound(Bound(infra(listener), *spaces, ABROAD, AT_HOME)) == expected


SELECTOR = "from: Selector, selector: {matchExpressions: [{%s}]}"


@pytest.mark.parametrize(
    ("expression", "labels", "admitted"),
    [
        ("key: team, operator: In, values: [a, b]", "team: b", True),
        ("key: team, operator: In, values: [a, b]", "team: c", False),
        ("key: team, operator: In, values: [a, b]", "", False),
        ("key: team, operator: NotIn, values: [a]", "team: b", True),
        ("key: team, operator: NotIn, values: [a]", "team: a", False),
        ("key: team, operator: NotIn, values: [a]", "", True),
        ("key: team, operator: Exists", "team: ''", True),
        ("key: team, operator: Exists", "", False),
        ("key: team, operator: DoesNotExist", "", True),
        ("key: team, operator: DoesNotExist", "team: a", False),
        ("key: kubernetes.io/metadata.name, operator: In, values: [ns1]", "", True),
    ],
)
def test_expressions_of_a_selector_are_those_of_kubernetes(
    expression: str, labels: str, admitted: bool
) -> None:
    mesh = Bound(infra(hbone(SELECTOR % expression)), namespace(labels), ABROAD)
    assert (mesh.service().waypoint is not None) == admitted


def test_a_selector_that_cannot_be_read_admits_nobody_and_is_told_with_the_gateway() -> None:
    wrong = hbone(SELECTOR % "key: team, operator: Like, values: [a]")
    mesh = Bound(infra(wrong), namespace("team: a"), namespace(name="infra"), ABROAD, AT_HOME)
    assert bound(mesh) == (False, False)
    assert "Like" in mesh.problems()["waypoints infra/wp"]


def test_another_word_for_who_is_admitted_is_told_with_the_gateway() -> None:
    told = Bound(infra(hbone("from: Everyone"))).problems()["waypoints infra/wp"]
    assert told == "allowedRoutes.namespaces.from is 'Everyone': expected All, Same or Selector"


def test_a_namespace_that_is_not_known_is_selected_by_nothing() -> None:
    assert bound(Bound(infra(hbone("from: Selector, selector: {}")), ABROAD, AT_HOME)) == (False, False)


PROXY = "istio.io/PROXY"
SAME_15089 = hbone("from: Same", 15089, PROXY)
ALL_15088 = hbone("from: All", 15088, PROXY)


@pytest.mark.parametrize(
    ("binding", "listeners", "admitted"),
    [
        ("PROXY/15088", (SAME_15089, ALL_15088), True),
        ("PROXY/15089", (SAME_15089, ALL_15088), False),
        ("PROXY", (SAME_15089, ALL_15088), False),
        ("PROXY", (hbone("from: Same"), ALL_15088), True),
        ("PROXY/9", (ALL_15088, hbone("from: Same")), False),
        ("PROXY/9", (SAME_15089, hbone("from: All")), True),
        ("PROXY", (hbone("from: All"),), True),
        ("NONE/80", (hbone("from: All", 80, "HTTP"), hbone("from: Same")), True),
        ("NONE", (ALL_15088, hbone("from: Same")), False),
        ("", (ALL_15088, hbone("from: Same")), False),
    ],
)
def test_an_inbound_binding_chooses_the_listener(
    binding: str, listeners: tuple[str, ...], admitted: bool
) -> None:
    mesh = Bound(infra(*listeners, binding=binding), namespace(), ABROAD)
    assert (mesh.service().waypoint is not None) == admitted


def test_a_refusal_names_the_waypoint_and_the_namespace() -> None:
    mesh = Bound(infra(hbone("from: Same")), namespace(), ABROAD)
    assert mesh.service().problem == (
        "label istio.io/use-waypoint says 'infra/wp': "
        "expected one whose allowedRoutes admit ns1 (AttachmentDenied)"
    )


@pytest.mark.parametrize("at", ["object", "namespace"])
def test_admission_follows_the_labels_of_the_namespace(at: str) -> None:
    own, spaces = (SHARED, "") if at == "object" else ("", f"{SHARED}, ")
    gateway = infra(hbone("from: Selector, selector: {matchLabels: {team: a}}"))
    mesh = Bound(gateway, namespace(f"{spaces}team: b"), service(own))
    assert mesh.service().waypoint is None
    put(mesh.registry, namespace(f"{spaces}team: a"))
    assert place(mesh.service().waypoint) == "wp.infra@infra"
    put(mesh.registry, infra(hbone("from: Same")))
    assert mesh.service().waypoint is None
