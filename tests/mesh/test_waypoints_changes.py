"""What a change of waypoints costs, and that what is kept through changes is what is made afresh."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.graphs import assert_indexes_are_right, assert_nothing_is_left, runs, state
from tests.helpers.objects import objects, put
from tests.mesh.bound import Bound, gateway_class, hbone, namespace, pod, service, waypoint

USE = "istio.io/use-waypoint: %s"
SHARED = waypoint(
    "all", namespace="infra", listeners=hbone("from: Selector, selector: {matchLabels: {team: a}}")
)
AT_INFRA = "istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra"


@pytest.fixture
def mesh() -> Bound:
    texts = [waypoint("all"), SHARED, namespace(USE % "wp"), namespace(f"{AT_INFRA}, team: a", name="ns2")]
    texts += [service(name=f"svc-{number}") for number in range(10)]
    texts += [service(namespace="ns2", name=f"svc-{number}") for number in range(10)]
    texts += [service(AT_INFRA, namespace="ns2", name=f"own-{number}") for number in range(3)]
    return Bound(*texts, pod(), pod("gateway.networking.k8s.io/gateway-name: wp", name="instance"))


def cost(mesh: Bound, text: str) -> dict[str, int]:
    before = runs(mesh.graph)
    put(mesh.registry, text)
    return {name: count - before[name] for name, count in runs(mesh.graph).items() if count != before[name]}


NAMESPACE = {"network labels": 1, "namespaces selected by waypoints": 1, "namespace waypoints": 1}


def test_a_label_of_a_namespace_that_nobody_asks_for_reruns_nothing_in_it(mesh: Bound) -> None:
    assert cost(mesh, namespace(f"{USE % 'wp'}, cost-center: c")) == NAMESPACE
    assert cost(mesh, namespace(f"{AT_INFRA}, team: a, cost-center: c", name="ns2")) == NAMESPACE


def test_the_label_of_a_namespace_that_names_its_waypoint_reruns_what_is_in_it(mesh: Bound) -> None:
    changed = cost(mesh, namespace(USE % "none"))
    assert changed == NAMESPACE | {"service bindings": 10, "workload bindings": 1}


def test_the_namespace_of_a_workload_that_names_its_own_waypoint_does_not_touch_it(mesh: Bound) -> None:
    put(mesh.registry, pod(USE % "wp"))
    assert "workload bindings" not in cost(mesh, namespace(USE % "none"))


def test_a_namespace_that_is_admitted_no_more_reruns_what_is_in_it(mesh: Bound) -> None:
    assert cost(mesh, namespace(AT_INFRA, name="ns2"))["service bindings"] == 13


def test_a_gateway_whose_waypoint_stays_the_same_reruns_nothing_bound_to_it(mesh: Bound) -> None:
    changed = cost(mesh, waypoint("all", listeners="{port: 15021, protocol: HTTP}"))
    assert changed == {"network gateways": 1, "waypoints": 1}


def test_a_waypoint_that_is_reached_elsewhere_reruns_what_is_bound_to_it(mesh: Bound) -> None:
    changed = cost(mesh, waypoint("all", addresses="{type: IPAddress, value: 10.0.0.9}"))
    assert (changed["service bindings"], changed["workload bindings"]) == (10, 2)
    assert changed["namespace waypoints"] == 1


def test_a_pod_of_a_waypoint_reruns_nothing_but_itself(mesh: Bound) -> None:
    text = pod("gateway.networking.k8s.io/gateway-name: wp, version: v2", name="instance")
    assert cost(mesh, text) == {"workload bindings": 1}


def one_of(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


_USES = one_of("", USE % "wp", USE % "none", USE % "canary", AT_INFRA)
_CANARIES = one_of("", ", istio.io/use-waypoint-canary: canary", ", istio.io/use-waypoint-canary: none")
_WEIGHTS = one_of("", "istio.io/use-waypoint-canary-weight: '7'", "istio.io/use-waypoint-canary-weight: x")
_TEAMS = one_of("", ", team: a", ", team: b")
_INSTANCES = one_of("", ", gateway.networking.k8s.io/gateway-name: wp")
_LISTENERS = one_of(
    "", hbone("from: All"), hbone("from: Selector, selector: {matchLabels: {team: a}}"), hbone("from: Same")
)
_PLACES = one_of(
    "", "{type: Hostname, value: h}", "{type: IPAddress, value: 10.0.0.1}", "{type: IPAddress, value: x}"
)
_BINDINGS = one_of("", "ambient.istio.io/waypoint-inbound-binding: PROXY/15088")


def _joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: "".join(given).removeprefix(", "))


_OBJECTS = st.one_of(
    st.builds(service, _joined(_USES, _CANARIES), _WEIGHTS, one_of("ns1", "infra")),
    st.builds(pod, _joined(_USES, _INSTANCES), one_of("ns1", "infra")),
    st.builds(namespace, _joined(_USES, _CANARIES, _TEAMS), _WEIGHTS, one_of("ns1", "infra")),
    st.builds(gateway_class, one_of("", "istio.io/waypoint-for: all"), _BINDINGS),
    st.builds(
        waypoint,
        one_of("", "service", "workload", "all"),
        name=one_of("wp", "canary"),
        namespace=one_of("ns1", "infra"),
        listeners=_LISTENERS,
        annotations=_BINDINGS,
        addresses=_PLACES,
    ),
)
_EDITS = st.lists(st.tuples(st.booleans(), _OBJECTS), min_size=1, max_size=14)


def _edit(mesh: Bound, removes: bool, text: str) -> None:
    with mesh.graph.transaction():
        for key, item in objects(text):
            source = mesh.registry.of(type(item))
            if removes:
                source.delete(key)
            else:
                source.set(key, item)


@settings(max_examples=200, deadline=None)
@given(edits=_EDITS)
def test_after_any_edits_bindings_are_those_of_a_mesh_made_afresh(edits: list[tuple[bool, str]]) -> None:
    mesh = Bound()
    left: dict[tuple[type, str], str] = {}
    for removes, text in edits:
        _edit(mesh, removes, text)
        for key, item in objects(text):
            left.pop((type(item), key), None)
            if not removes:
                left[type(item), key] = text
    fresh = Bound(*left.values())
    assert state(mesh.graph) == state(fresh.graph)
    assert mesh.problems() == fresh.problems()
    assert_indexes_are_right(mesh.graph)
    for text in left.values():
        _edit(mesh, True, text)
    assert_nothing_is_left(mesh.graph)


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(_OBJECTS, max_size=14))
def test_shares_are_of_two_places_and_the_whole_traffic_or_none(texts: list[str]) -> None:
    for binding in Bound(*texts).services.rows.values():
        if binding.weighted:
            primary, canary = binding.weighted
            assert primary.destination == binding.waypoint
            assert primary.weight + canary.weight == 100
        if binding.waypoint is not None or binding.ingress_use_waypoint:
            assert binding.gateway
