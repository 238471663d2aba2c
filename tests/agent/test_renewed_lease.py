"""The Lease of a DPU node: how it is renewed, and what is told when it is not."""

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.agent.fake_api_server import FakeApiServer, fake_api_server
from tests.helpers.cluster_authority import write_certificates
from xds_server.agent.lease import renew_lease, renew_once
from xds_server.agent.settings import LeaseSettings
from xds_server.exceptions import ClusterError

NOW = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeApiServer]:
    async with fake_api_server(tmp_path) as made:
        yield made


def settings(server: FakeApiServer, seconds: float = 10.0) -> LeaseSettings:
    return LeaseSettings(namespace="mesh", account=server.account, duration_seconds=30, renew_seconds=seconds)


async def renew(server: FakeApiServer, **environment: str) -> None:
    await asyncio.to_thread(renew_once, settings(server), "dpu-a", NOW, server.environment | environment)


async def test_the_lease_is_applied_with_all_that_the_control_plane_goes_by(server: FakeApiServer) -> None:
    await renew(server)
    asked = server.asked.get_nowait()
    leases = "/apis/coordination.k8s.io/v1/namespaces/mesh/leases"
    assert (asked.method, asked.path) == (
        "PATCH",
        f"{leases}/dpu-a?fieldManager=offmesh-agent&force=true",
    )
    assert asked.headers["Authorization"] == "Bearer token of the account"
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    labels = {"offmesh.io/agent": "true", "app.kubernetes.io/managed-by": "offmesh"}
    assert asked.body == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "dpu-a", "namespace": "mesh", "labels": labels},
        "spec": {
            "holderIdentity": "dpu-a",
            "leaseDurationSeconds": 30,
            "renewTime": "2026-02-03T04:05:06.000789Z",
        },
    }


async def test_a_lease_that_was_not_there_is_made(server: FakeApiServer) -> None:
    server.answers = [(201, "{}")]
    await renew(server)


async def test_the_token_is_read_each_time(server: FakeApiServer) -> None:
    await renew(server)
    (server.account / "token").write_text("renewed")
    await renew(server)
    tokens = [server.asked.get_nowait().headers["Authorization"] for _ in range(2)]
    assert tokens == ["Bearer token of the account", "Bearer renewed"]


@pytest.mark.parametrize("status", [204, 302, 401, 403, 409, 500])
async def test_a_refusal_is_told_with_what_was_said(server: FakeApiServer, status: int) -> None:
    server.answers = [(status, "no")] if status != 204 else [(204, "")]
    with pytest.raises(ClusterError, match=rf"^the API server refused, {status}: (no)?$"):
        await renew(server)


async def test_of_a_long_refusal_the_beginning_is_told(server: FakeApiServer) -> None:
    server.answers = [(403, "n" * 1000)]
    with pytest.raises(ClusterError) as raised:
        await renew(server)
    assert str(raised.value).endswith(f"403: {'n' * 300}")


async def test_no_answer_is_told(server: FakeApiServer) -> None:
    server.answers = [None]
    with pytest.raises(ClusterError, match=rf"^the API server at 127.0.0.1:{server.port}: "):
        await renew(server)


async def test_a_server_that_is_not_there_is_told(server: FakeApiServer) -> None:
    with pytest.raises(ClusterError, match=r"^the API server at 127.0.0.1:1: .*Connection refused"):
        await renew(server, KUBERNETES_SERVICE_PORT="1")


async def test_a_server_of_another_authority_is_told_nothing(server: FakeApiServer, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_certificates(other)
    shutil.copy(other / "ca.pem", server.account / "ca.crt")
    with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
        await renew(server)
    assert server.asked.empty()


def _away(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_text("")


def _two_lines(path: Path) -> None:
    path.write_text("one\r\nX-Other: two")


def _binary(path: Path) -> None:
    path.write_bytes(b"\xff")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("token", _away),
        ("token", _empty),
        ("token", _two_lines),
        ("token", _binary),
        ("ca.crt", _away),
        ("ca.crt", _empty),
        ("ca.crt", _binary),
    ],
)
async def test_an_account_that_is_of_no_use_is_told(
    server: FakeApiServer, name: str, spoil: Callable[[Path], None]
) -> None:
    spoil(server.account / name)
    with pytest.raises(ClusterError, match=rf"^the account in {server.account} is of no use: "):
        await renew(server)
    assert server.asked.empty()


async def test_outside_of_a_pod_that_is_told(server: FakeApiServer) -> None:
    with pytest.raises(ClusterError, match=r"^KUBERNETES_SERVICE_HOST is not set: expected to run in a pod"):
        await renew(server, KUBERNETES_SERVICE_HOST="")


async def test_a_port_that_is_none_is_told(server: FakeApiServer) -> None:
    with pytest.raises(ClusterError, match="KUBERNETES_SERVICE_PORT is 'https': expected a number"):
        await renew(server, KUBERNETES_SERVICE_PORT="https")


@contextmanager
def renewing(
    server: FakeApiServer, node: "list[str]", monkeypatch: pytest.MonkeyPatch
) -> Iterator["asyncio.Task[None]"]:
    """Renew the Lease of the node whose name is last in the list, all the time."""
    for name, value in server.environment.items():
        monkeypatch.setitem(os.environ, name, value)
    running = asyncio.create_task(renew_lease(settings(server, 0.001), lambda: node[-1]))
    try:
        yield running
    finally:
        running.cancel()


async def test_it_is_renewed_again_and_again_for_whom_it_is_to_be_then(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ["dpu-a"]
    with renewing(server, node, monkeypatch):
        first, second = await server.asked.get(), await server.asked.get()
        assert first.body["spec"]["renewTime"] < second.body["spec"]["renewTime"]
        node.append("dpu-b")
        while (await server.asked.get()).body["metadata"]["name"] != "dpu-b":
            pass


async def test_nothing_is_renewed_while_there_is_nothing_to_renew(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: asyncio.Queue[None] = asyncio.Queue()

    class Nobody(list[str]):
        def __getitem__(self, _index: object) -> str:  # type: ignore[override]
            asked_for.put_nowait(None)
            return ""

    with renewing(server, Nobody(), monkeypatch):
        for _ in range(3):
            await asked_for.get()
    assert server.asked.empty()


async def test_a_failure_is_told_once_and_its_end_too(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.answers = [(403, "no"), (403, "no"), (500, "what"), (200, "{}"), (200, "{}")]
    with renewing(server, ["dpu-a"], monkeypatch):
        for _ in range(6):
            await server.asked.get()
    assert [record.getMessage() for record in caplog.records if "Lease" in record.getMessage()] == [
        "Lease mesh/dpu-a is not renewed: the API server refused, 403: no",
        "Lease mesh/dpu-a is not renewed: the API server refused, 500: what",
        "Lease mesh/dpu-a is renewed again",
    ]
