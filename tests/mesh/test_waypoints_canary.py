"""Shares of two waypoints, and what ingress gateways are told (facts wds, 4.6, 4.8)."""

import pytest

from tests.helpers.objects import put
from tests.mesh.bound import Bound, hbone, namespace, service, waypoint

USE = "istio.io/use-waypoint: wp"
CANARY = "istio.io/use-waypoint-canary: %s"
CANARY_AT = "istio.io/use-waypoint-canary-namespace: %s"
WEIGHT = "istio.io/use-waypoint-canary-weight: '%s'"
BOTH = f"{USE}, {CANARY % 'canary'}"
WAYPOINTS = (
    waypoint(),
    waypoint(name="canary"),
    waypoint("workload", name="wrong"),
    waypoint(name="empty", addresses="{type: IPAddress, value: nonsense}"),
    waypoint(namespace="infra", name="canary", listeners=hbone("from: All")),
    waypoint(namespace="closed", name="canary"),
)


def shares(weight: int, host: str = "canary.ns1@ns1") -> list[tuple[str, int]]:
    return [("wp.ns1@ns1", 100 - weight), (host, weight)]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (BOTH, shares(5)),
        (f"{BOTH}, {CANARY_AT % 'infra'}", shares(5, "canary.infra@infra")),
        (USE, []),
        (f"{USE}, {CANARY % 'none'}", []),
        (f"{USE}, {CANARY % repr('')}", []),
        (CANARY % "canary", []),
        (f"istio.io/use-waypoint: none, {CANARY % 'canary'}", []),
    ],
)
def test_a_canary_takes_its_share_beside_a_primary(labels: str, expected: list[tuple[str, int]]) -> None:
    mesh = Bound(*WAYPOINTS, service(labels, WEIGHT % 5))
    assert (mesh.shares, mesh.service().problem) == (expected, "")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (f"{USE}, {CANARY % 'wp'}", "CanarySameAsPrimary"),
        (f"{USE}, {CANARY % 'missing'}", "WaypointIsNotReady"),
        (f"{BOTH}, {CANARY_AT % 'closed'}", "AttachmentDenied"),
        (f"{USE}, {CANARY % 'wrong'}", "UnsupportedTrafficType"),
        (f"{USE}, {CANARY % 'empty'}", "expected a Gateway with a Hostname or a readable IPAddress"),
        (f"istio.io/use-waypoint: empty, {CANARY % 'canary'}", "'ns1/empty': expected a Gateway"),
        (f"{BOTH}, {CANARY_AT % 'infra'}, test/private: ''", "CrossNamespaceWaypointForbidden"),
    ],
)
def test_a_canary_that_cannot_be_used_leaves_all_to_the_primary_and_is_told(labels: str, reason: str) -> None:
    mesh = Bound(*WAYPOINTS, service(labels, WEIGHT % 5))
    assert mesh.shares == []
    assert mesh.service().gateway in ("ns1/wp", "ns1/empty")
    assert reason in mesh.service().problem


def test_a_private_service_may_have_a_canary_of_its_own_namespace() -> None:
    assert Bound(*WAYPOINTS, service(f"{BOTH}, test/private: ''", WEIGHT % 5)).shares == shares(5)


@pytest.mark.parametrize(
    ("text", "weight"), [("0", 0), ("100", 100), ("7", 7), ("+7", 7), ("-0", 0), ("007", 7)]
)
def test_a_weight_is_a_whole_number_of_percent(text: str, weight: int) -> None:
    assert Bound(*WAYPOINTS, service(BOTH, WEIGHT % text)).shares == shares(weight)


@pytest.mark.parametrize(
    "text", ["101", "-1", "5.0", "not-a-number", "", " 5", "5 ", "1_0", "\u0665", "0x5", "9" * 5000]
)
def test_any_other_weight_is_told_and_leaves_all_to_the_primary(text: str) -> None:
    mesh = Bound(*WAYPOINTS, service(BOTH, WEIGHT % text))
    assert mesh.shares == []
    assert mesh.service().problem == (
        f"annotation istio.io/use-waypoint-canary-weight is {text!r}: "
        "expected a whole number from 0 to 100 (CanaryInvalidWeight)"
    )


def test_without_a_weight_the_canary_is_known_and_has_no_share() -> None:
    assert Bound(*WAYPOINTS, service(BOTH)).shares == shares(0)


@pytest.mark.parametrize(
    ("labels", "weight", "expected"),
    [
        ("", "", shares(20)),
        ("", WEIGHT % 5, shares(5)),
        (CANARY % "canary", WEIGHT % 5, shares(5)),
        (f"{CANARY % 'canary'}, {CANARY_AT % 'infra'}", "", shares(20, "canary.infra@infra")),
        (CANARY_AT % "infra", "", shares(20)),
        (CANARY % "none", WEIGHT % 5, []),
        (USE, WEIGHT % 5, []),
        (BOTH, "", shares(0)),
    ],
)
def test_a_namespace_speaks_of_canaries_only_to_objects_that_name_no_waypoint(
    labels: str, weight: str, expected: list[tuple[str, int]]
) -> None:
    mesh = Bound(*WAYPOINTS, namespace(BOTH, WEIGHT % 20), service(labels, weight))
    assert mesh.shares == expected


def test_a_namespaces_canary_may_be_in_another_namespace() -> None:
    mesh = Bound(*WAYPOINTS, namespace(f"{BOTH}, {CANARY_AT % 'infra'}", WEIGHT % 9), service())
    assert mesh.shares == shares(9, "canary.infra@infra")


def test_a_namespaces_canary_that_is_not_there_is_told_at_the_namespace() -> None:
    mesh = Bound(*WAYPOINTS, namespace(f"{USE}, {CANARY % 'missing'}"), service())
    assert (mesh.shares, mesh.service().problem, mesh.service().gateway) == ([], "", "ns1/wp")
    ((where, told),) = [item for item in mesh.problems().items() if item[0].startswith("namespace")]
    assert where == "namespace waypoints ns1"
    assert told.startswith("label istio.io/use-waypoint-canary says 'ns1/missing'")


def test_a_canary_comes_and_goes_with_its_gateway() -> None:
    mesh = Bound(waypoint(), service(BOTH, WEIGHT % 5))
    assert mesh.shares == []
    put(mesh.registry, waypoint(name="canary"))
    assert mesh.shares == shares(5)
    put(mesh.registry, waypoint(name="canary", addresses=""))
    assert mesh.shares == []


INGRESS = "istio.io/ingress-use-waypoint: '%s'"


@pytest.mark.parametrize(
    ("own", "of_namespace", "expected"),
    [
        ("", "", False),
        *((INGRESS % text, "", True) for text in ("1", "t", "T", "true", "TRUE", "True")),
        *(
            (INGRESS % text, INGRESS % "true", False)
            for text in ("false", "0", "", "yes", "tRUE", "malformed")
        ),
        ("", INGRESS % "true", True),
        ("", INGRESS % "malformed", False),
        (INGRESS % "true", INGRESS % "false", True),
    ],
)
@pytest.mark.parametrize("bound_by", ["object", "namespace"])
def test_ingress_is_told_what_the_object_says_else_what_its_namespace_says(
    own: str, of_namespace: str, expected: bool, bound_by: str
) -> None:
    mine, theirs = (
        (f"{USE}, {own}", of_namespace) if bound_by == "object" else (own, f"{USE}, {of_namespace}")
    )
    mesh = Bound(*WAYPOINTS, namespace(theirs), service(mine))
    assert mesh.service().ingress_use_waypoint == expected


def test_ingress_is_told_nothing_of_a_service_without_a_waypoint() -> None:
    assert not Bound(*WAYPOINTS, namespace(INGRESS % "true"), service(INGRESS % "true")).service()[1]
