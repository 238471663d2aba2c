"""What a scrape is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import MapState, ServedMesh, pod
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, PREFIX
from xds_server.debug.loop_lag import measure_lag
from xds_server.debug.metrics import Metrics
from xds_server.exceptions import Problem

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
MADE_UP = PREFIX + "made.up.Type"


def scrape(mesh: ServedMesh) -> dict[str, float]:
    """Return samples by name and labels, as Prometheus writes them."""
    body, _ = Metrics(mesh.served).render("")
    samples = (sample for family in parse_text(body.decode()) for sample in family.samples)
    return {_name(sample.name, sample.labels): sample.value for sample in samples}


def _name(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inner}}}" if inner else name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ('offmesh_build_info{version="0.1.0"}', 1),
        ("offmesh_ready", 1),
        ("offmesh_writes_waiting", 0),
        ("offmesh_catalog_position", 1),
        ('offmesh_resources{type="Address"}', 5),
        ('offmesh_resources{type="Authorization"}', 0),
        ('offmesh_encodings_total{type="Address"}', 0),
        ('offmesh_derivation_runs_total{collection="pod workloads"}', 3),
        ('offmesh_derivation_problems{collection="pod workloads"}', 0),
        ('offmesh_source_objects{kind="Pod"}', 3),
        ('offmesh_source_objects{kind="EndpointSlice"}', 0),
        ("offmesh_problems", 0),
        ("offmesh_problems_reported_total", 0),
        ("offmesh_placement_pairs", 1),
        ("offmesh_placement_singles", 1),
        ("offmesh_placement_reloads_total", 2),
        ("offmesh_placement_failed_reloads_total", 1),
        ("offmesh_placement_reload_failing", 0),
        ("offmesh_placement_loaded_timestamp_seconds", 1_767_323_045),
        ("offmesh_unknown_types_total", 0),
        ("offmesh_largest_request_bytes", 0),
    ],
)
def test_the_mesh_is_measured(mesh: ServedMesh, name: str, value: float) -> None:
    assert scrape(mesh)[name] == value


def test_the_process_is_measured(mesh: ServedMesh) -> None:
    scraped = scrape(mesh)
    assert scraped["process_resident_memory_bytes"] > 0
    assert 'python_gc_collections_total{generation="0"}' in scraped
    assert any(name.startswith("python_info{") for name in scraped)


def test_streams_are_counted_while_they_are_open_and_after(mesh: ServedMesh) -> None:
    streams = [mesh.connect() for _ in range(3)]
    mesh.clients.disconnect(streams[0].client, "too slow")
    scraped = scrape(mesh)
    assert scraped['offmesh_streams{variant="delta"}'] == 2
    assert scraped['offmesh_streams_opened_total{variant="delta"}'] == 3
    assert scraped['offmesh_streams_ended_total{reason="too slow"}'] == 1
    for stream in streams[1:]:
        mesh.clients.disconnect(stream.client, "drained")
    assert scrape(mesh)['offmesh_streams{variant="delta"}'] == 0


def test_exchanges_are_counted_by_type(mesh: ServedMesh) -> None:
    totals = mesh.clients.totals
    totals.requests.update({ADDRESS: 5, AUTHORIZATION: 4, "unknown": 2})
    totals.responses.update({ADDRESS: 3})
    totals.response_bytes.update({ADDRESS: 1_000})
    totals.acknowledgements.update({(ADDRESS, "acknowledged"): 2, (ADDRESS, "rejected"): 1})
    totals.unknown_types, totals.largest_request = 2, 70_000
    scraped = scrape(mesh)
    assert scraped['offmesh_requests_total{type="Address"}'] == 5
    assert scraped['offmesh_requests_total{type="Authorization"}'] == 4
    assert scraped['offmesh_requests_total{type="unknown"}'] == 2
    assert scraped['offmesh_responses_total{type="Address"}'] == 3
    assert scraped['offmesh_response_bytes_total{type="Address"}'] == 1_000
    assert scraped['offmesh_acknowledgements_total{type="Address",verdict="acknowledged"}'] == 2
    assert scraped['offmesh_acknowledgements_total{type="Address",verdict="rejected"}'] == 1
    assert scraped["offmesh_unknown_types_total"] == 2
    assert scraped["offmesh_largest_request_bytes"] == 70_000


def test_types_that_clients_make_up_are_one_label(mesh: ServedMesh) -> None:
    for number in range(20):
        url = f"{MADE_UP}{number}"
        mesh.clients.totals.responses[url] += 1
        mesh.clients.totals.acknowledgements[url, "stale"] += 1
        mesh.connect().subscribe(type_url=url)
    scraped = scrape(mesh)
    assert scraped['offmesh_responses_total{type="unknown"}'] == 20
    assert scraped['offmesh_acknowledgements_total{type="unknown",verdict="stale"}'] == 20
    assert scraped['offmesh_subscriptions{state="SENT",type="unknown"}'] == 20
    assert not [name for name in scraped if "made.up" in name]


def test_a_fleet_that_is_stuck_shows(mesh: ServedMesh) -> None:
    synced, rejected, *sent = (mesh.connect() for _ in range(4))
    for second, stream in enumerate((synced, rejected, *sent)):
        stream.subscribe(now=1_000.0 + second)
    synced.answer()
    rejected.answer(rejection="no")
    scraped = scrape(mesh)
    assert scraped['offmesh_subscriptions{state="SYNCED",type="Address"}'] == 1
    assert scraped['offmesh_subscriptions{state="REJECTED",type="Address"}'] == 1
    assert scraped['offmesh_subscriptions{state="SENT",type="Address"}'] == 2
    assert scraped['offmesh_oldest_unanswered_timestamp_seconds{type="Address"}'] == 1_002


def test_problems_are_counted_now_and_ever(mesh: ServedMesh) -> None:
    mesh.put(pod("broken", "10.0.0.300"))
    mesh.problems.replace("a.yaml", [Problem("a.yaml", name, "", "YAML") for name in "abc"])
    mesh.problems.replace("a.yaml", [Problem("a.yaml", "a", "", "YAML")])
    scraped = scrape(mesh)
    assert scraped['offmesh_derivation_problems{collection="pod workloads"}'] == 1
    assert (scraped["offmesh_problems"], scraped["offmesh_problems_reported_total"]) == (1, 3)


def test_a_map_that_cannot_be_reloaded_shows(mesh: ServedMesh) -> None:
    mesh.placement.state = MapState(failed_reloads=4, failure=(Problem("conf", "pairs", "x", "a list"),))
    scraped = scrape(mesh)
    assert scraped["offmesh_placement_reload_failing"] == 1
    assert scraped["offmesh_placement_failed_reloads_total"] == 4


def test_a_server_that_is_still_loading_is_measured(mesh: ServedMesh) -> None:
    mesh.readiness.need("objects", "the manifests are not loaded")
    mesh.placement.state = None
    scraped = scrape(mesh)
    assert scraped["offmesh_ready"] == 0
    assert "offmesh_placement_reloads_total" not in scraped


@pytest.fixture
async def http(mesh: ServedMesh) -> AsyncIterator[RunningDebug]:
    mesh.connect().subscribe()
    async with running_debug(mesh.served) as running:
        yield running


async def test_a_scraper_gets_prometheus_text(http: RunningDebug) -> None:
    response = await http.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert {family.name for family in parse_text(await response.text())} >= {
        "offmesh_ready",
        "offmesh_streams",
    }


async def test_a_scraper_that_asks_for_openmetrics_gets_it(http: RunningDebug) -> None:
    response = await http.get("/metrics", Accept=OPENMETRICS)
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    text = await response.text()
    families = {family.name: family.type for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    assert families["offmesh_streams_opened"] == "counter"
    assert families["offmesh_event_loop_lag_seconds"] == "histogram"


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "text/html", "text/plain;version=x", "application/openmetrics-text;version=", ",;,="],
)
async def test_any_other_wish_is_answered_all_the_same(http: RunningDebug, accept: str) -> None:
    response = await http.get("/metrics", Accept=accept)
    assert response.status == 200
    assert "offmesh_ready 1.0" in await response.text()


async def test_the_event_loops_lag_is_by_how_much_a_sleep_was_too_long() -> None:
    observed: list[float] = []
    now = 100.0
    delays = iter([0.0, 0.25, 0.0])

    def clock() -> float:
        return now

    async def sleep(seconds: float) -> None:
        nonlocal now
        delay = next(delays, None)
        if delay is None:
            raise asyncio.CancelledError
        now += seconds + delay

    with pytest.raises(asyncio.CancelledError):
        await measure_lag(observed.append, clock, sleep)
    assert observed == pytest.approx([0.0, 0.25, 0.0])
