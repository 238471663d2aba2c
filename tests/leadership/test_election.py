"""Which replica leads, where it takes a fault or a clock that no real API server can be given."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from tests.leadership.fake_leases import FakeLeases
from xds_server.exceptions import ClusterError
from xds_server.leadership.election import _PACKAGE, Election, _load_package
from xds_server.leadership.timing import ElectionTiming

TIMING = ElectionTiming(lease_seconds=3.0, renew_seconds=1.4, retry_seconds=1.0, release_seconds=0.2)


class Lasting:
    """A duty that tells when it begins and when it has ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        self.begun.set()
        self.ended.clear()
        try:
            await asyncio.Event().wait()
        finally:
            self.begun.clear()
            self.ended.set()


@asynccontextmanager
async def leading(
    leases: FakeLeases, duty: Lasting, timing: ElectionTiming = TIMING
) -> AsyncIterator[Election]:
    """Run an election that is won, until the block ends."""
    election = Election(leases.connection, ("mesh", "leader"), "me", (duty,), timing)
    task = asyncio.create_task(election.run())
    try:
        await duty.begun.wait()
        yield election
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_leader_without_an_api_server_ends_its_duties_also_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leases, duty = FakeLeases(), Lasting()
    async with leading(leases, duty) as election:
        moments = iter(range(2_000_000_000, 0, -3_600))
        clock = SimpleNamespace(time=lambda: float(next(moments)))
        monkeypatch.setattr(_load_package(), "time", clock)
        leases.stalled = True
        await duty.ended.wait()
        monkeypatch.undo()
        assert not election.leading
        leases.stalled = False
        await duty.begun.wait()


async def test_a_leader_that_sees_another_in_its_place_ends_its_duties(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases, duty = FakeLeases(), Lasting()
    async with leading(leases, duty) as election:
        leases.put(holderIdentity="other", leaseTransitions=4)
        await duty.ended.wait()
        assert (election.leader, election.transitions) == ("other", 4)
    assert leases.spec == {"holderIdentity": "other", "leaseTransitions": 4}
    assert "this replica leads no longer" in caplog.text


async def test_an_end_while_leadership_is_being_lost_is_not_missed() -> None:
    leases, duty = FakeLeases(), Lasting()
    async with leading(leases, duty):
        leases.put(holderIdentity="other")
        await duty.ended.wait()


async def test_the_end_is_not_put_off_by_an_api_server_that_does_not_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    leases, duty = FakeLeases(), Lasting()
    async with leading(leases, duty):
        leases.stalled = True
    assert duty.ended.is_set()
    assert "could not be released in time" in caplog.text


async def test_the_end_tells_why_the_lease_is_not_released(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    leases, duty = FakeLeases(), Lasting()
    async with leading(leases, duty):
        leases.failure = ClusterError("refused")
    assert "is not released, others wait until it expires: refused" in caplog.text


async def test_duties_have_ended_before_others_may_lead() -> None:
    leases, duty = FakeLeases(), Lasting()
    async with leading(leases, duty):
        leases.requests.clear()
    released = [request for request in leases.requests if request.method == "PUT"][-1]
    assert released.body is not None
    assert released.body["spec"]["holderIdentity"] == ""
    assert duty.ended.is_set()


async def test_an_outage_is_told_once_and_not_by_the_package(caplog: pytest.LogCaptureFixture) -> None:
    leases, duty = FakeLeases(), Lasting()
    leases.failure = ClusterError("away")
    election = Election(leases.connection, ("mesh", "leader"), "me", (duty,), TIMING)
    task = asyncio.create_task(election.run())
    while len(leases.requests) < 3:
        await asyncio.sleep(0.05)
    leases.failure = None
    await duty.begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "the election on Lease mesh/leader: away"
    ]
    assert logging.getLogger(_PACKAGE).level == logging.CRITICAL


async def test_a_bug_ends_the_term_and_is_told_and_another_term_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases, duty = FakeLeases(), Lasting()
    patient = ElectionTiming(lease_seconds=120.0, renew_seconds=100.0, retry_seconds=1.0)
    async with leading(leases, duty, patient):
        leases.failure = KeyError("a bug")
        await duty.ended.wait()
        leases.failure = None
        await duty.begun.wait()
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in failed] == ["the election on the lease mesh/leader failed"]
    assert failed[0].exc_info is not None
