"""A sick server is taken out, a healthy one never."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from xds_server.app.watchdog import Limits, LoopHealth, Watchdog, stalled
from xds_server.debug.readiness import Readiness
from xds_server.sources.kubernetes.kinds import WatchedKind, mesh_kinds
from xds_server.sources.kubernetes.reflector import Contact

LIMITS = Limits()


@dataclass
class Followed:
    """What the watchdog looks at in a reflector."""

    kind: WatchedKind
    contact: Contact
    loaded: asyncio.Event = field(default_factory=asyncio.Event)


def followed(*heard_at: float, failure: str = "") -> list[Followed]:
    made = [
        Followed(kind, Contact(heard_at=at, failure=failure if at == 0.0 else ""))
        for kind, at in zip(mesh_kinds(), heard_at, strict=False)
    ]
    for one in made:
        one.loaded.set()
    return made


def judge(measures: Sequence[tuple[float, float]]) -> list[bool]:
    health = LoopHealth(LIMITS)
    verdicts = []
    for late, now in measures:
        health.observe(late, now)
        verdicts.append(health.sick)
    return verdicts


@pytest.mark.parametrize(
    ("what", "measures", "sick"),
    [
        ("in time", [(0.0, 0.1 * n) for n in range(300)], False),
        ("late by less than the limit, for ever", [(1.9, 2.0 * n) for n in range(30)], False),
        ("one long stop", [(9.0, 9.0)], False),
        ("a stop of the whole process", [(60.0, 60.0)], True),
        ("again and again", [(3.0, 3.0 * n) for n in range(1, 5)], True),
        ("with measures in time between", [(3.0 * (n % 2), 1.6 * n) for n in range(1, 12)], True),
        ("now and then", [(3.0, 30.0 * n) for n in range(1, 20)], False),
    ],
)
def test_the_loop_is_sick_when_it_is_late_for_long(
    what: str, measures: list[tuple[float, float]], sick: bool
) -> None:
    assert judge(measures)[-1] is sick, what


def test_the_loop_is_well_again_after_some_time_without_lateness() -> None:
    verdicts = judge([(3.0, 3.0), (3.0, 6.0), (3.0, 9.0), (3.0, 12.0), (0.0, 20.0), (0.0, 22.5)])
    assert verdicts == [False, False, False, True, True, False]


@pytest.mark.parametrize(
    ("heard_at", "found"),
    [
        ((1000.0, 1000.0), []),
        ((1000.0, 900.0), []),
        ((1000.0, 800.0), ["Node"]),
        ((800.0, 800.0), []),
        ((930.0, 800.0, 1000.0, 0.0), ["Node", "EndpointSlice"]),
    ],
)
def test_a_kind_is_stalled_when_it_alone_is_silent(heard_at: tuple[float, ...], found: list[str]) -> None:
    assert stalled(followed(*heard_at), LIMITS, 1000.0) == found  # type: ignore[arg-type]


def test_a_kind_that_is_not_installed_or_not_loaded_is_not_missed() -> None:
    absent, late, heard = followed(800.0, 800.0, 1000.0)
    absent.contact.installed = False
    late.loaded.clear()
    assert stalled([absent, late, heard], LIMITS, 1000.0) == []  # type: ignore[list-item]


async def test_a_stalled_watch_makes_the_server_not_ready_until_it_is_heard_of_again() -> None:
    now = asyncio.get_running_loop().time()
    readiness = Readiness()
    readiness.have("start")
    kinds = followed(now + 100.0, 0.0, failure="GET /api/v1/nodes: no right (403)")
    limits = Limits(look=0.01, silent=min(150.0, now / 2))
    watchdog = Watchdog(readiness, kinds, _never, _never, limits)  # type: ignore[arg-type]
    running = asyncio.create_task(watchdog.run())
    while readiness.ready:
        await asyncio.sleep(0.01)
    assert "Node not heard of for" in readiness.reason
    assert "no right (403)" in readiness.reason
    kinds[1].contact.heard_at = now
    while not readiness.ready:
        await asyncio.sleep(0.01)
    running.cancel()


async def test_a_sick_loop_makes_the_server_leave_once_and_come_back() -> None:
    told: list[str] = []

    async def leave() -> None:
        told.append("left")

    async def come_back() -> None:
        told.append("back")

    readiness = Readiness()
    readiness.have("start")
    limits = Limits(late=0.02, sick_after=0.1, well_after=0.3, look=0.05)
    running = asyncio.create_task(Watchdog(readiness, [], leave, come_back, limits).run())
    loop = asyncio.get_running_loop()
    while not told:
        until = loop.time() + 0.2
        while loop.time() < until:
            pass
        await asyncio.sleep(0.001)
    assert "event loop is late" in readiness.reason
    while len(told) < 2:
        await asyncio.sleep(0.01)
    assert (told, readiness.ready) == (["left", "back"], True)
    running.cancel()


async def _never() -> None:
    raise AssertionError("it was not sick")
