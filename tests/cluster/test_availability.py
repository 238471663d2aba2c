"""Clients lose nothing, and are sent nothing twice, when replicas or their API server come and go."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import config_map, namespace, node, pod
from tests.helpers.followed_cluster import until
from tests.helpers.moving_clients import MovingClient, moving_clients
from tests.helpers.offmesh import Offmesh, serve_cluster

PLACE = "availability/offmesh-conf"
MAP = "pairs:\n- {cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.2, cpuNodeName: cpu-a, dpuNodeName: dpu-a}\n"
COUNT = 20

pytestmark = pytest.mark.xdist_group("availability")


@pytest.fixture
async def cluster(api_server: ApiServer) -> ApiServer:
    await fill(api_server)
    return api_server


async def fill(server: ApiServer) -> None:
    await server.apply(
        namespace("availability"),
        config_map(PLACE, **{"cluster-conf_yaml": MAP}),
        node("cpu-a", "192.0.2.1"),
        *(pod(f"availability/p{number}", "cpu-a", f"10.7.0.{number}") for number in range(12)),
    )


@contextmanager
def replica(folder: Path, cluster: ApiServer, name: str, *flags: str) -> Iterator[Offmesh]:
    inside = folder / name
    inside.mkdir()
    kubeconfig = cluster.kubeconfig(inside / "kubeconfig")
    own = ("--namespace=availability", f"--cluster-conf-configmap={PLACE}", "--no-root-config-maps", *flags)
    with serve_cluster(inside, kubeconfig, *own, POD_NAME=name) as server:
        yield server


def on(clients: list[MovingClient], server: Offmesh) -> bool:
    return all(client.server == server.grpc for client in clients)


def wasted(clients: list[MovingClient]) -> tuple[int, int]:
    """Return how much was sent again unchanged, and taken away wrongly."""
    return sum(client.resent for client in clients), sum(client.removed for client in clients)


async def test_clients_of_a_replica_that_dies_go_on_at_another_and_are_sent_nothing_again(
    cluster: ApiServer, tmp_path: Path
) -> None:
    with replica(tmp_path, cluster, "one") as one, replica(tmp_path, cluster, "two") as two:
        async with moving_clients(COUNT, one.grpc, two.grpc) as clients:
            await until(lambda: on(clients, one))
            one.process.kill()
            await until(lambda: on(clients, two))
            assert wasted(clients) == (0, 0)
            await cluster.apply(pod("availability/after", "cpu-a", "10.7.1.1"))
            await until(lambda: all("Kubernetes//Pod/availability/after" in one.held for one in clients))
            await cluster.delete(pod("availability/after"))
            await until(lambda: wasted(clients) == (0, COUNT))


async def test_a_replica_that_stops_hands_over_each_client_once(cluster: ApiServer, tmp_path: Path) -> None:
    with replica(tmp_path, cluster, "one") as one, replica(tmp_path, cluster, "two") as two:
        async with moving_clients(COUNT, one.grpc, two.grpc) as clients:
            await until(lambda: on(clients, one))
            one.process.send_signal(signal.SIGTERM)
            await until(lambda: on(clients, two))
            assert await asyncio.to_thread(one.process.wait, 30) == 0
            assert {client.streams for client in clients} == {2}
            assert wasted(clients) == (0, 0)


async def test_streams_that_are_recycled_cost_no_resource(cluster: ApiServer, tmp_path: Path) -> None:
    with replica(tmp_path, cluster, "one", "--max-connection-age-seconds=1") as one:
        async with moving_clients(COUNT, one.grpc) as clients:
            await until(lambda: all(client.streams >= 4 for client in clients))
            assert wasted(clients) == (0, 0)


async def test_a_server_that_was_frozen_catches_up_and_takes_nothing_away(
    cluster: ApiServer, tmp_path: Path
) -> None:
    with replica(tmp_path, cluster, "one") as one:
        async with moving_clients(COUNT, one.grpc) as clients:
            await until(lambda: on(clients, one))
            one.process.send_signal(signal.SIGSTOP)
            await cluster.apply(pod("availability/meanwhile", "cpu-a", "10.7.1.2"))
            await asyncio.sleep(1.0)
            one.process.send_signal(signal.SIGCONT)
            name = "Kubernetes//Pod/availability/meanwhile"
            await until(lambda: all(name in client.held for client in clients))
            assert wasted(clients) == (0, 0)
            await cluster.delete(pod("availability/meanwhile"))
            await until(lambda: wasted(clients) == (0, COUNT))


async def test_an_api_server_that_is_away_costs_no_stream_and_its_return_no_response(
    own_api_server: ApiServer, tmp_path: Path
) -> None:
    await fill(own_api_server)
    with replica(tmp_path, own_api_server, "one") as one:
        async with moving_clients(COUNT, one.grpc) as clients:
            await until(lambda: on(clients, one))
            responses = [client.responses for client in clients]
            await own_api_server.stop_server()
            await until(lambda: any(watch["failure"] for watch in watches(one)))
            await own_api_server.start_server()
            await until(lambda: not any(watch["failure"] for watch in watches(one)))
            assert [client.responses for client in clients] == responses
            assert {client.streams for client in clients} == {1}
            assert one.get("/ready") == {"ready": True}


def watches(server: Offmesh) -> list[dict[str, object]]:
    told: list[dict[str, object]] = server.get("/debug/registryz")["watches"]
    return told
