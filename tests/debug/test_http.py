"""The debug HTTP server over real connections: what it answers, and what it refuses."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import ServedMesh
from xds_server.debug.http import DebugServer
from xds_server.debug.paths import PROBES, VIEWS

KINDS = (
    "AuthorizationPolicy, DpuNode, DpuPod, EndpointSlice, Gateway, GatewayClass, Lease, MeshConfigMap, "
    "Namespace, Node, NodeDown, Pair, PeerAuthentication, Pod, ProgramHeld, Service, ServiceEntry, Single, "
    "WorkloadEntry"
)
JSON = "application/json; charset=utf-8"


@pytest.fixture
async def http(mesh_with_identity: ServedMesh) -> AsyncIterator[RunningDebug]:
    async with running_debug(mesh_with_identity.served) as running:
        yield running


@pytest.mark.parametrize(
    "path", sorted(VIEWS.keys() - {"/debug/config_dump", "/debug/explain"}) + sorted(PROBES)
)
async def test_every_path_answers_with_one_line_of_json(http: RunningDebug, path: str) -> None:
    response = await http.get(path)
    assert (response.status, response.headers["Content-Type"]) == (200, JSON)
    text = await response.text()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n"


async def test_pretty_json_is_the_same_indented(http: RunningDebug) -> None:
    plain = await http.json("/debug/ambientz")
    pretty = await http.get("/debug/ambientz?pretty")
    assert await pretty.text() == json.dumps(plain, sort_keys=True, indent=2) + "\n"


async def test_it_is_not_ready_until_nothing_is_missing(http: RunningDebug, mesh: ServedMesh) -> None:
    assert await http.json("/ready") == {"ready": True}
    mesh.readiness.need("placement", "the placement map is not loaded")
    mesh.readiness.need("objects", "the manifests are not loaded")
    response = await http.get("/ready")
    assert response.status == 503
    reason = "the placement map is not loaded; the manifests are not loaded"
    assert await response.json() == {"ready": False, "reason": reason}
    mesh.readiness.have("placement")
    mesh.readiness.have("objects")
    assert await http.json("/ready") == {"ready": True}


@pytest.mark.parametrize("path", ["/live", "/healthz"])
async def test_it_lives_while_it_is_not_ready(http: RunningDebug, mesh: ServedMesh, path: str) -> None:
    mesh.readiness.need("objects", "the manifests are not loaded")
    assert await http.json(path) == {"live": True}


async def test_the_index_page_tells_how_the_server_is_and_leads_everywhere(
    http: RunningDebug, mesh: ServedMesh
) -> None:
    response = await http.get("/")
    page = await response.text()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "offmesh 0.1.0" in page
    assert ">ready<" in page
    assert "<tr><th>workloads and services</th><td>5</td></tr>" in page
    for path in [*VIEWS, *PROBES, "/metrics"]:
        assert f'<a href="{path}' in page
    mesh.readiness.need("objects", "<b>the manifests</b> are not loaded")
    page = await (await http.get("/")).text()
    assert "&lt;b&gt;the manifests&lt;/b&gt; are not loaded" in page


async def test_the_index_page_has_the_only_style_its_policy_allows(http: RunningDebug) -> None:
    response = await http.get("/")
    assert "style-src 'self'" in response.headers["Content-Security-Policy"]
    assert '<link rel="stylesheet" href="/style.css">' in await response.text()
    assert (await http.get("/style.css")).headers["Content-Type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/ready", "/metrics", "/debug/syncz", "/nothing"])
async def test_every_answer_is_only_to_be_shown(http: RunningDebug, path: str) -> None:
    headers = (await http.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Server"] == "offmesh"


@pytest.mark.parametrize(
    "path", ["/nothing", "/debug", "/debug/", "/debug/keyz", "/debug/syncz/", "//", "/%00", "/%C3%A9"]
)
async def test_an_unknown_path_is_not_found(http: RunningDebug, path: str) -> None:
    assert (await http.error(path, 404)).startswith("unknown path")


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/debug/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/debug/..%2f..%2fetc/passwd",
    ],
)
async def test_a_path_leads_to_no_file(http: RunningDebug, path: str) -> None:
    answer = await http.raw(
        f"GET {path} HTTP/1.1\r\nHost: {http.address}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_an_unknown_client_is_not_found(http: RunningDebug) -> None:
    error = await http.error("/debug/config_dump?client=nobody", 404)
    assert error == "no client 'nobody' is connected: /debug/adsz tells which are"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/ready", "/debug/syncz", "/nothing"])
async def test_nothing_but_reading_is_allowed(http: RunningDebug, method: str, path: str) -> None:
    response = await http.get(path, method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    assert (await response.json())["error"] == f"method {method} is not for reading: expected GET"


@pytest.mark.parametrize("path", ["/", "/ready", "/metrics", "/debug/ambientz", "/debug/registryz?full"])
async def test_a_head_request_gets_the_headers_alone(http: RunningDebug, mesh: ServedMesh, path: str) -> None:
    mesh.put_pods(200)
    response = await http.get(path, "HEAD")
    assert (response.status, await response.read()) == (200, b"")
    assert response.headers["Content-Type"] == (await http.get(path)).headers["Content-Type"]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/debug/ambientz?nod=a", "unknown parameter 'nod': expected node or ns or name or pretty"),
        ("/ready?x=1", "unknown parameter 'x': expected pretty"),
        ("/metrics?x=1", "unknown parameter 'x': expected none"),
        ("/?x=1", "unknown parameter 'x': expected none"),
        ("/debug/ambientz?ns=a&ns=b", "parameter ns is given twice: expected it once"),
        ("/debug/ambientz?node=", "parameter node is empty: expected a value, or leave it out"),
        ("/debug/syncz?pretty=maybe", "parameter pretty is 'maybe': expected 1 or 0"),
        (
            "/debug/registryz?kind=Secret",
            f"parameter kind is 'Secret': expected one of {KINDS}",
        ),
        ("/debug/config_dump", "parameter client is missing: expected an id that /debug/adsz tells"),
    ],
)
async def test_a_bad_parameter_is_named_with_what_was_expected(
    http: RunningDebug, path: str, error: str
) -> None:
    assert await http.error(path, 400) == error


async def test_a_client_that_several_match_is_a_conflict_that_names_them(
    http: RunningDebug, mesh: ServedMesh
) -> None:
    for _ in range(2):
        mesh.connect().subscribe()
    response = await http.get("/debug/config_dump?client=ztunnel-a.istio-system")
    told = await response.json()
    assert response.status == 409
    assert told["error"].startswith("2 clients are 'ztunnel-a.istio-system'")
    one = (await http.json("/debug/config_dump?client=" + told["clients"][0].replace("#", "%23")))["client"]
    assert one == told["clients"][0]


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /debug/ambientz?ns=" + b"a" * 20_000 + b" HTTP/1.1",
        b"\x16\x03\x01\x00\xa5\x01",
        b"GET / HTTP/9 x",
    ],
)
async def test_what_is_too_large_or_no_http_is_refused_as_json(
    http: RunningDebug, request_line: bytes
) -> None:
    answer = await http.raw(request_line + b"\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    assert b"nosniff" in head
    assert "8 KiB" in json.loads(body)["error"]


async def test_a_query_without_end_is_cut_off(http: RunningDebug) -> None:
    # The answer may be lost with the connection, because its client has not finished asking.
    with contextlib.suppress(ConnectionError):
        assert b" 400 " in await http.raw(b"GET /debug/ambientz?ns=" + b"a" * 10_000_000)
    assert await http.json("/live") == {"live": True}


async def test_headers_are_bounded(http: RunningDebug) -> None:
    assert (await http.get("/ready", X_Large="a" * 9_000)).status == 400


async def test_a_failure_of_ours_is_told_without_its_insides(
    http: RunningDebug, mesh: ServedMesh, caplog: pytest.LogCaptureFixture
) -> None:
    mesh.placement.state = "not a state"  # type: ignore[assignment]
    assert (
        await http.error("/debug/placementz", 500)
        == "this server failed to make the answer: its log tells more"
    )
    assert [record.getMessage() for record in caplog.records] == ["GET /debug/placementz failed"]


async def test_the_health_port_answers_probes_alone_under_any_name(mesh: ServedMesh) -> None:
    async with running_debug(mesh.served, health_only=True) as health:
        for path in PROBES:
            assert (await health.get(path, Host="offmesh.example")).status == 200
        for path in ("/", "/metrics", "/style.css", *VIEWS):
            assert (
                await health.error(path, 404)
                == f"unknown path '{path}': expected /ready or /live or /healthz"
            )
        assert (await health.get("/ready", "POST")).status == 405


async def test_stopping_frees_the_port_and_leaves_no_task(mesh: ServedMesh) -> None:
    tasks = asyncio.all_tasks()
    server = DebugServer(mesh.served)
    address = await server.start("127.0.0.1:0")
    await server.stop()
    assert asyncio.all_tasks() == tasks
    async with running_debug(mesh.served, address) as again:
        assert again.address == address


async def test_a_server_that_never_started_stops(mesh: ServedMesh) -> None:
    await DebugServer(mesh.served).stop()


async def test_the_lag_of_the_event_loop_is_measured(http: RunningDebug) -> None:
    while "offmesh_event_loop_lag_seconds_count 0.0" in await (await http.get("/metrics")).text():
        await asyncio.sleep(0.01)
