"""Clients that come back: where they go, when, and what they notice of being sent things in vain."""

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from bench.cluster_moving import LONGEST_PAUSE_SECONDS, Course, Held, MovingZtunnels
from bench.ztunnels import ADDRESS, AUTHORIZATION, Responses
from tests.helpers.running_ads import running_ads
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds

SECONDS = 20.0


def held_after(
    held: Held, sent: dict[str, str], removed: tuple[str, ...] = (), type_url: str = ADDRESS
) -> tuple[dict[str, str], int, int]:
    resources = [xds.Resource(name=name, version=version) for name, version in sent.items()]
    message = xds.DeltaDiscoveryResponse(type_url=type_url, resources=resources, removed_resources=removed)
    receipt = held.receive(Responses().receive(message.SerializeToString()))
    return dict(receipt.held.versions), receipt.resent, receipt.removed


@pytest.mark.parametrize(
    ("sent", "removed", "expected"),
    [
        pytest.param({}, (), ({"a": "1", "b": "1"}, 0, 0), id="nothing"),
        pytest.param({"c": "1"}, (), ({"a": "1", "b": "1", "c": "1"}, 0, 0), id="something new"),
        pytest.param({"a": "2"}, (), ({"a": "2", "b": "1"}, 0, 0), id="another version"),
        pytest.param({"a": "1", "b": "2"}, (), ({"a": "1", "b": "2"}, 1, 0), id="one held already"),
        pytest.param({}, ("a",), ({"b": "1"}, 0, 1), id="one taken away"),
        pytest.param({}, ("z",), ({"a": "1", "b": "1"}, 0, 0), id="one taken away that was not held"),
    ],
)
def test_a_response_is_held_against_what_a_client_has(
    sent: dict[str, str], removed: tuple[str, ...], expected: tuple[dict[str, str], int, int]
) -> None:
    held = Held({"a": "1", "b": "1"})
    assert held_after(held, sent, removed) == expected
    assert held.versions == {"a": "1", "b": "1"}


def test_policies_are_no_workloads() -> None:
    assert held_after(Held({"a": "1"}), {"a": "1"}, ("a",), AUTHORIZATION) == ({"a": "1"}, 0, 0)


def test_clients_that_are_sent_the_same_share_what_they_hold() -> None:
    held, body = Held({}), xds.DeltaDiscoveryResponse(type_url=ADDRESS).SerializeToString()
    response = Responses().receive(body)
    assert held.receive(response).held is held.receive(response).held


def test_a_client_begins_anew_after_a_stream_and_goes_on_by_back_off_after_a_failure() -> None:
    course = Course(Held({}), server=1, pause=LONGEST_PAUSE_SECONDS)
    went = []
    for established in (True, False, False, False, True, False):
        course.lose(servers=2, now=100.0, established=established)
        went.append((course.server, round((course.due - 100.0) * 1e3)))
    assert went == [(0, 10), (1, 20), (0, 40), (1, 80), (0, 10), (1, 20)]


def test_no_pause_is_longer_than_the_longest() -> None:
    course = Course(Held({}))
    for _ in range(20):
        course.lose(servers=1, now=0.0, established=False)
    assert course.due == LONGEST_PAUSE_SECONDS


async def run(clients: MovingZtunnels, until: Callable[[], bool]) -> None:
    await asyncio.to_thread(clients.run, SECONDS, until)
    assert until()


async def test_clients_of_a_server_that_ends_are_in_sync_on_the_next_and_sent_nothing_again() -> None:
    async with running_ads("a", "b") as one, running_ads("a", "b") as two:
        with MovingZtunnels((one.address, two.address)) as clients:
            clients.open(3)
            await run(clients, lambda: clients.in_sync_on(one.address))
            stopping = asyncio.create_task(one.stop())
            await run(clients, lambda: clients.in_sync_on(two.address))
            await stopping
    assert not clients.in_sync_on(one.address)
    assert [(course.resent, course.removed, course.due) for course in clients.courses] == [(0, 0, inf)] * 3
    assert {frozenset(course.held.versions) for course in clients.courses} == {frozenset("ab")}


async def test_what_the_next_server_lacks_is_noticed_as_taken_away() -> None:
    async with running_ads("a", "b") as one, running_ads("a") as two:
        with MovingZtunnels((one.address, two.address)) as clients:
            clients.open(2)
            await run(clients, lambda: clients.in_sync_on(one.address))
            stopping = asyncio.create_task(one.stop())
            await run(clients, lambda: clients.in_sync_on(two.address))
            await stopping
    assert [(course.resent, course.removed) for course in clients.courses] == [(0, 1)] * 2
