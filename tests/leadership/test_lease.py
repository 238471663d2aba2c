"""The Lease as the lock of the package's leader election."""

from typing import Any

import pytest

from tests.leadership.fake_leases import FakeLeases
from xds_server.cluster.request import ApiError
from xds_server.exceptions import ClusterError
from xds_server.leadership.election import _load_package
from xds_server.leadership.lease import LeaseLock
from xds_server.leadership.timing import ElectionTiming

TIMING = ElectionTiming(lease_seconds=2.5, renew_seconds=0.3)


def lock_on(leases: FakeLeases, identity: str = "me") -> LeaseLock:
    lock = LeaseLock(leases.connection, ("mesh", "leader"), identity, TIMING)
    lock.package = _load_package()
    return lock


async def held_by(lock: LeaseLock) -> Any:
    found, record = await lock.get("leader", "mesh")
    assert found
    return record.holder_identity


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


async def test_a_lease_that_is_absent_is_made_ours(leases: FakeLeases) -> None:
    lock = lock_on(leases)
    found, why = await lock.get("leader", "mesh")
    assert not found
    assert '"code":404' in why.body
    assert await lock.create(name="leader", namespace="mesh", election_record=None)
    assert leases.spec["holderIdentity"] == "me"
    assert leases.spec["leaseDurationSeconds"] == 3
    assert leases.spec["leaseTransitions"] == 0
    assert leases.spec["acquireTime"] == leases.spec["renewTime"]
    assert leases.lease is not None
    assert leases.lease["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "offmesh"}


async def test_of_two_who_make_it_or_take_it_one_gets_it_and_that_is_no_outage(
    leases: FakeLeases, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = lock_on(leases, "one"), lock_on(leases, "other")
    for lock in (one, other):
        await lock.get("leader", "mesh")
    assert await one.create(name="leader", namespace="mesh", election_record=None)
    assert not await other.create(name="leader", namespace="mesh", election_record=None)
    for lock in (one, other):
        await lock.get("leader", "mesh")
    assert await other.update("leader", "mesh", None)
    assert not await one.update("leader", "mesh", None)
    assert (leases.spec["holderIdentity"], leases.spec["leaseTransitions"]) == ("other", 1)
    assert caplog.text == ""


async def test_a_renewal_keeps_when_the_lease_was_acquired(leases: FakeLeases) -> None:
    leases.put(
        holderIdentity="me", acquireTime="2026-01-01T00:00:00.000000Z", leaseTransitions=7, strategy="kept"
    )
    lock = lock_on(leases)
    await lock.get("leader", "mesh")
    assert await lock.update("leader", "mesh", None)
    assert leases.spec["acquireTime"] == "2026-01-01T00:00:00.000000Z"
    assert leases.spec["renewTime"] > leases.spec["acquireTime"]
    assert leases.spec["leaseTransitions"] == lock.transitions == 7
    assert leases.spec["strategy"] == "kept"


async def test_a_lease_without_times_still_belongs_to_its_holder(leases: FakeLeases) -> None:
    leases.put(holderIdentity="other")
    found, record = await lock_on(leases).get("leader", "mesh")
    assert found
    assert record.holder_identity == "other"
    assert None not in (record.lease_duration, record.acquire_time, record.renew_time)


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": ""}, {"holderIdentity": None}])
async def test_a_lease_without_a_holder_is_free(leases: FakeLeases, spec: dict[str, Any]) -> None:
    leases.put(**spec)
    assert await held_by(lock_on(leases)) is None


async def test_what_was_ours_and_is_somebody_elses_is_lost(leases: FakeLeases) -> None:
    lock = lock_on(leases)
    await lock.create(name="leader", namespace="mesh", election_record=None)
    assert await held_by(lock) == "me"
    assert not lock.lost.is_set()
    leases.put(holderIdentity="other", leaseTransitions=1)
    assert await held_by(lock) == "other"
    assert lock.lost.is_set()
    assert (lock.holder, lock.transitions) == ("other", 1)


async def test_a_released_lease_is_free_and_counts_as_one_change_of_hands(leases: FakeLeases) -> None:
    lock, other = lock_on(leases), lock_on(leases, "other")
    await lock.create(name="leader", namespace="mesh", election_record=None)
    await lock.release()
    assert leases.spec["leaseDurationSeconds"] == 1
    assert await held_by(other) is None
    assert await other.update("leader", "mesh", None)
    assert leases.spec["leaseTransitions"] == 1


async def test_only_what_is_ours_is_released(leases: FakeLeases) -> None:
    leases.put(holderIdentity="other")
    lock = lock_on(leases)
    await lock.get("leader", "mesh")
    await lock.release()
    assert [request.method for request in leases.requests] == ["GET"]
    assert not await lock.create(name="leader", namespace="mesh", election_record=None)
    await lock.release()
    assert leases.spec == {"holderIdentity": "other"}


async def test_a_renewal_without_an_answer_may_have_been_done_and_is_released(leases: FakeLeases) -> None:
    leases.put(holderIdentity="")
    lock = lock_on(leases)
    await lock.get("leader", "mesh")
    leases.failure = ClusterError("no answer")
    assert not await lock.update("leader", "mesh", None)
    leases.failure = None
    leases.put(holderIdentity="me")
    await lock.release()
    assert leases.spec["holderIdentity"] == ""


async def test_an_outage_is_told_once_and_its_end(
    leases: FakeLeases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    leases.put(holderIdentity="me")
    lock = lock_on(leases)
    await lock.get("leader", "mesh")
    leases.failure = ApiError("GET of the lease: refused", 403)
    for _ in range(3):
        assert not (await lock.get("leader", "mesh"))[0]
        assert not await lock.update("leader", "mesh", None)
    leases.failure = None
    assert await held_by(lock) == "me"
    assert [record.getMessage() for record in caplog.records] == [
        "the election on Lease mesh/leader: GET of the lease: refused",
        "the election on Lease mesh/leader: works again",
    ]


async def test_a_call_that_is_not_answered_ends_while_there_is_time_for_others(leases: FakeLeases) -> None:
    lock = lock_on(leases)
    leases.stalled = True
    found, why = await lock.get("leader", "mesh")
    assert not found
    assert why.body is None


async def test_each_call_names_the_right_it_needs(leases: FakeLeases) -> None:
    lock = lock_on(leases)
    await lock.get("leader", "mesh")
    await lock.create(name="leader", namespace="mesh", election_record=None)
    await lock.get("leader", "mesh")
    await lock.update("leader", "mesh", None)
    rights = [request.right.partition(" ")[0] for request in leases.requests]
    assert rights == ["get", "create", "get", "update"]
    assert {request.right.partition(" of ")[2] for request in leases.requests} == {
        "leases.coordination.k8s.io in namespace mesh"
    }


async def test_who_came_too_late_once_and_takes_the_lease_later_has_not_lost_it(leases: FakeLeases) -> None:
    lock, other = lock_on(leases), lock_on(leases, "other")
    await other.create(name="leader", namespace="mesh", election_record=None)
    assert not await lock.create(name="leader", namespace="mesh", election_record=None)
    assert await held_by(lock) == "other"
    await other.release()
    assert await held_by(lock) is None
    assert await lock.update("leader", "mesh", None)
    assert not lock.lost.is_set()
