"""Who of several replicas leads, by a real API server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import account, namespace
from tests.helpers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.helpers.followed_cluster import until
from xds_server.cluster.connection import ApiConnection
from xds_server.leadership.election import Election
from xds_server.leadership.timing import ElectionTiming

QUICK = ElectionTiming(lease_seconds=4.0, renew_seconds=2.5, retry_seconds=1.0)
# Longer than any test waits: whoever leads after another was given the lease, or took what is nobody's.
PATIENT = ElectionTiming(lease_seconds=120.0, renew_seconds=100.0, retry_seconds=1.0)


class Candidate:
    """A replica whose only duty writes into a diary that it shares with the others."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary
        self.election: Election
        self.running: asyncio.Task[None]

    async def run(self) -> None:
        self.diary.append(f"{self.name} begins")
        try:
            await asyncio.Event().wait()
        finally:
            self.diary.append(f"{self.name} ends")

    @property
    def leads(self) -> bool:
        return self.election.leading and f"{self.name} begins" in self.diary

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])


@asynccontextmanager
async def candidate(
    kubeconfig: Path, place: str, named: Candidate, timing: ElectionTiming
) -> AsyncIterator[Candidate]:
    connection = ApiConnection(str(kubeconfig), timeout_seconds=5.0)
    named.election = Election(connection, (place, "leader"), named.name, (named,), timing)
    named.running = asyncio.create_task(named.election.run())
    try:
        yield named
    finally:
        await named.stop()
        await connection.close()


@asynccontextmanager
async def candidates(
    server: ApiServer, place: str, folder: Path, timing: ElectionTiming
) -> AsyncIterator[tuple[Candidate, Candidate]]:
    """Let two replicas stand; the first is given some time to be elected."""
    await server.apply(namespace(place))
    kubeconfig, diary = server.kubeconfig(folder / "kubeconfig"), list[str]()
    one, other = Candidate("one", diary), Candidate("other", diary)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(candidate(kubeconfig, place, one, timing))
        await until(lambda: one.leads)
        await stack.enter_async_context(candidate(kubeconfig, place, other, timing))
        await until(lambda: other.election.leader == "one")
        yield one, other


async def lease(server: ApiServer, place: str) -> dict[str, Any]:
    found = await server.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{place}/leases/leader")
    spec: dict[str, Any] = found["spec"]
    return spec


async def test_of_replicas_that_begin_together_one_leads_and_all_know_which(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await api_server.apply(namespace("together"))
    kubeconfig, diary = api_server.kubeconfig(tmp_path / "kubeconfig"), list[str]()
    async with AsyncExitStack() as stack:
        standing = [
            await stack.enter_async_context(candidate(kubeconfig, "together", Candidate(name, diary), QUICK))
            for name in "abc"
        ]
        await until(lambda: {one.election.leader for one in standing} in ({"a"}, {"b"}, {"c"}))
        leader = standing[0].election.leader
        await until(lambda: diary == [f"{leader} begins"])
        assert [one.name for one in standing if one.election.leading] == [leader]
        assert {one.election.transitions for one in standing} == {0}


async def test_a_leader_that_stops_lets_another_lead_at_once(api_server: ApiServer, tmp_path: Path) -> None:
    async with candidates(api_server, "stopped", tmp_path, PATIENT) as (one, other):
        await one.stop()
        assert not one.election.leading
        await until(lambda: other.leads)
        assert one.diary == ["one begins", "one ends", "other begins"]
        assert other.election.transitions == 1
        await other.stop()
    spec = await lease(api_server, "stopped")
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("", 1)


async def test_a_follower_that_stops_leaves_the_lease_alone(api_server: ApiServer, tmp_path: Path) -> None:
    async with candidates(api_server, "follower", tmp_path, PATIENT) as (one, other):
        await other.stop()
        assert (await lease(api_server, "follower"))["holderIdentity"] == "one"
        assert one.leads


@pytest.mark.parametrize("fault", ["cut", "stall"])
async def test_a_leader_that_is_cut_off_ends_its_duties_before_another_begins(
    api_server: ApiServer, tmp_path: Path, fault: str
) -> None:
    place, diary = f"cut-off-{fault}", list[str]()
    await api_server.apply(namespace(place))
    async with faulty_proxy(api_server.port) as proxy, AsyncExitStack() as stack:
        behind = api_server.kubeconfig(tmp_path / "behind", server=proxy.url)
        one = await stack.enter_async_context(candidate(behind, place, Candidate("one", diary), QUICK))
        await until(lambda: one.leads)
        direct = api_server.kubeconfig(tmp_path / "direct")
        other = await stack.enter_async_context(candidate(direct, place, Candidate("other", diary), QUICK))
        await until(lambda: other.election.leader == "one")
        begin_fault(proxy, fault)
        await until(lambda: other.leads)
        assert diary == ["one begins", "one ends", "other begins"]
        proxy.mend()
        await until(lambda: one.election.leader == "other")
        assert not one.election.leading
        await other.stop()
        await until(lambda: one.election.leading)


def begin_fault(proxy: FaultyProxy, fault: str) -> None:
    {"cut": proxy.cut, "stall": proxy.stall}[fault]()


async def test_leadership_outlives_a_restart_of_the_api_server(
    own_api_server: ApiServer, tmp_path: Path
) -> None:
    async with candidates(own_api_server, "default", tmp_path, ElectionTiming()) as (one, other):
        before = await lease(own_api_server, "default")
        await own_api_server.restart()
        renewed = before
        while renewed["renewTime"] == before["renewTime"]:
            await asyncio.sleep(0.1)
            renewed = await lease(own_api_server, "default")
        assert (renewed["holderIdentity"], renewed["leaseTransitions"]) == ("one", 0)
        assert one.diary == ["one begins"]
        assert not other.election.leading


async def test_nobody_leads_while_the_api_server_is_long_away_and_one_when_it_is_back(
    own_api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with candidates(own_api_server, "default", tmp_path, QUICK) as (one, other):
        await own_api_server.stop_server()
        await until(lambda: "one ends" in one.diary)
        assert not other.election.leading
        await own_api_server.start_server()
        await until(lambda: one.election.leading or other.election.leading)
        assert not (one.election.leading and other.election.leading)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_rights_that_the_messages_name_are_enough(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await api_server.apply(namespace("rights"), account("rights/server"))
    token = await api_server.token("rights", "server")
    kubeconfig = api_server.kubeconfig(tmp_path / "kubeconfig", token)
    named = Candidate("one", [])
    async with candidate(kubeconfig, "rights", named, QUICK):
        await until(lambda: "get of leases.coordination.k8s.io in namespace rights" in caplog.text)
        assert not named.election.leading
        await api_server.apply(*rights_on_the_lease("rights"))
        await until(lambda: named.leads)
    assert (await lease(api_server, "rights"))["holderIdentity"] == ""


def rights_on_the_lease(place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a role for one Lease, and its binding to the account ``server``."""
    group = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    rules = [
        group | {"verbs": ["create"]},
        group | {"verbs": ["get", "update"], "resourceNames": ["leader"]},
    ]
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "lease", "namespace": place}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lease"}
    subject = {"kind": "ServiceAccount", "name": "server", "namespace": place}
    return (
        head | {"kind": "Role", "rules": rules},
        head | {"kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    )
