"""What the leader writes about pairs, and what it does about failures and others who write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tests.helpers.objects import remove
from tests.liveness.fake_nodes import FakeNodes
from tests.liveness.watched_pairs import WatchedPairs, in_virtual_time, lease, watching
from xds_server.liveness.reports import PairReports
from xds_server.objects.kubernetes import Node

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT = "2026-01-02T03:04:05Z"


class Reported(WatchedPairs):
    """Two pairs that are judged, a leader that reports them, and a Node that is in no pair."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes = FakeNodes(self)
        self.reports = PairReports(self.nodes.connection, self.liveness, now=lambda: NOW)
        self.put(lease("dpu", "renewal 0", 10_000))
        for name in ("cpu-a", "cpu-b", "dpu", "plain"):
            self.nodes.make_ready(name)

    def status(self, name: str) -> str | None:
        return self.nodes.conditions.get(name, {}).get("status")


@asynccontextmanager
async def leading(reported: Reported) -> AsyncIterator[Reported]:
    """Lead until the block ends; before it begins what is due has been written."""
    term = asyncio.create_task(reported.reports.run())
    try:
        await reported.to(reported.now + 1.0)
        yield reported
    finally:
        term.cancel()
        await asyncio.wait([term])
        assert term.cancelled()


@asynccontextmanager
async def reporting() -> AsyncIterator[Reported]:
    reported = Reported()
    async with watching(reported), leading(reported):
        yield reported


@in_virtual_time
async def test_every_judged_pair_has_its_condition_and_nobody_else() -> None:
    async with reporting() as reported:
        assert reported.nodes.conditions.keys() == {"cpu-a", "cpu-b"}
        assert reported.nodes.conditions["cpu-a"] == {
            "type": "OffMeshPairReady",
            "status": "True",
            "reason": "PairReady",
            "message": "The agent on the DPU node renews its Lease, and both nodes are ready.",
            "lastHeartbeatTime": AT,
            "lastTransitionTime": AT,
        }
        assert reported.nodes.events == []


@in_virtual_time
async def test_each_transition_is_written_once_with_an_event() -> None:
    async with reporting() as reported:
        before = reported.nodes.count()
        reported.nodes.make_ready("cpu-a", "False")
        await reported.to(10.0)
        assert (reported.status("cpu-a"), reported.status("cpu-b")) == ("False", "True")
        reported.nodes.make_ready("cpu-a")
        await reported.to(20.0)
        assert reported.status("cpu-a") == "True"
        assert reported.nodes.events == [
            ("cpu-a", "Warning", "CPUNotReady"),
            ("cpu-a", "Normal", "PairReady"),
        ]
        assert reported.nodes.count() - before == {"cpu-a": 2, "events": 2}


@in_virtual_time
async def test_where_only_the_reason_changes_there_is_no_transition_and_no_event() -> None:
    async with reporting() as reported:
        reported.nodes.make_ready("dpu", "False")
        await reported.to(5.0)
        del reported.nodes.conditions["cpu-a"]["lastTransitionTime"]
        reported.nodes.make_ready("cpu-a", "False")
        reported.nodes.make_ready("dpu")
        await reported.to(10.0)
        condition = reported.nodes.conditions["cpu-a"]
        assert (condition["status"], condition["reason"]) == ("False", "CPUNotReady")
        assert "lastTransitionTime" not in condition
        assert [event for event in reported.nodes.events if event[0] == "cpu-a"] == [
            ("cpu-a", "Warning", "DPUNotReady")
        ]


@in_virtual_time
async def test_what_the_registry_has_not_heard_of_yet_is_not_written_again() -> None:
    async with reporting() as reported:
        reported.nodes.tells = False
        before = reported.nodes.count()
        for number, ready in enumerate(("False", "True", "False")):
            reported.nodes.make_ready("cpu-a", ready)
            await reported.to(10.0 * (number + 1))
        assert reported.nodes.count() - before == {"cpu-a": 3, "events": 3}
        reported.nodes.tell("cpu-a")
        await reported.to(50.0)
        assert reported.nodes.count() - before == {"cpu-a": 3, "events": 3}


@in_virtual_time
async def test_a_pair_that_is_judged_no_longer_loses_its_condition() -> None:
    async with reporting() as reported:
        reported.unplace("cpu-a")
        await reported.to(5.0)
        assert reported.nodes.conditions.keys() == {"cpu-b"}
        reported.remove_lease()
        await reported.to(10.0)
        assert (reported.nodes.conditions, reported.nodes.events) == ({}, [])


@in_virtual_time
async def test_a_new_leader_takes_the_nodes_at_their_word_and_mends_the_rest() -> None:
    reported = Reported()
    reported.nodes.make_ready("cpu-b", "False")
    for name, status in (("cpu-a", "True"), ("cpu-b", "False"), ("plain", "False")):
        reported.nodes.tell(name, status)
    reported.nodes.conditions = {name: {"status": "False"} for name in ("cpu-b", "plain")}
    async with watching(reported), leading(reported):
        assert reported.nodes.count() == {"cpu-b": 1, "plain": 1}
        assert reported.nodes.conditions.keys() == {"cpu-b"}
        assert reported.nodes.conditions["cpu-b"]["reason"] == "CPUNotReady"
        assert "lastTransitionTime" not in reported.nodes.conditions["cpu-b"]
        assert reported.nodes.events == []


@in_virtual_time
async def test_what_another_leader_wrote_in_between_is_read_anew() -> None:
    reported = Reported()
    async with watching(reported):
        async with leading(reported):
            pass
        calls = len(reported.nodes.calls)
        reported.nodes.make_ready("cpu-a", "False")
        await reported.to(5.0)
        assert len(reported.nodes.calls) == calls
        reported.nodes.tell("cpu-a", "False")
        async with leading(reported):
            assert reported.nodes.events == []
            assert reported.nodes.conditions["cpu-a"]["reason"] == "CPUNotReady"


@in_virtual_time
async def test_what_somebody_else_changes_is_mended_and_not_raced(caplog: pytest.LogCaptureFixture) -> None:
    async with reporting() as reported:
        before = reported.nodes.count()
        for second in range(100):
            reported.nodes.tell("cpu-a", "False")
            await reported.to(10.0 + second)
        assert 5 < (reported.nodes.count() - before)["cpu-a"] < 15
        assert (reported.status("cpu-a"), reported.nodes.events) == ("True", [])
    (record,) = caplog.records
    assert record.getMessage() == (
        "condition OffMeshPairReady of node cpu-a: somebody else keeps changing it: "
        "expected one control plane to write it"
    )


@in_virtual_time
async def test_a_node_that_is_made_anew_is_told_again() -> None:
    async with reporting() as reported:
        remove(reported.registry, Node, "cpu-a")
        del reported.nodes.conditions["cpu-a"]
        await reported.to(10.0)
        assert reported.status("cpu-a") is None
        reported.nodes.make_ready("cpu-a")
        await reported.to(20.0)
        assert reported.status("cpu-a") == "True"


@pytest.mark.parametrize("code", [400, 404, 409, 413, 422])
@in_virtual_time
async def test_one_node_that_cannot_be_written_does_not_keep_the_others_from_it(code: int) -> None:
    reported = Reported()
    reported.nodes.codes["cpu-b"] = code
    async with watching(reported), leading(reported):
        assert reported.nodes.conditions.keys() == {"cpu-a"}
        reported.nodes.codes.clear()
        await reported.to(reported.now + 100.0)
        # A node that is not there is written when the watch tells that it is.
        assert reported.status("cpu-b") == (None if code == 404 else "True")
        calls = reported.nodes.count()["cpu-b"]
        reported.nodes.make_ready("cpu-a", "False")
        reported.nodes.make_ready("cpu-b", "False")
        await reported.to(reported.now + 100.0)
        assert (reported.status("cpu-a"), reported.status("cpu-b")) == ("False", "False")
        assert reported.nodes.count()["cpu-b"] == calls + 1


@in_virtual_time
async def test_a_node_that_is_refused_again_and_again_is_tried_ever_more_rarely_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reported = Reported()
    reported.nodes.codes["cpu-b"] = 422
    async with watching(reported), leading(reported):
        await reported.to(600.0)
        assert 10 < reported.nodes.count()["cpu-b"] < 30
    assert len(caplog.records) == 1
    assert "condition OffMeshPairReady of node cpu-b is not written: PATCH" in caplog.text


@in_virtual_time
async def test_a_node_that_was_written_is_refused_as_if_for_the_first_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reported = Reported()
    reported.nodes.codes["cpu-b"] = 422
    async with watching(reported), leading(reported):
        await reported.to(300.0)
        reported.nodes.codes.clear()
        await reported.to(400.0)
        reported.nodes.codes["cpu-b"] = 422
        reported.nodes.make_ready("cpu-b", "False")
        await reported.to(402.0)
        assert len([at for at, name in reported.nodes.calls if name == "cpu-b" and at > 399.0]) >= 2
    assert caplog.text.count("is not written") == 2


@in_virtual_time
async def test_a_node_that_is_made_anew_while_its_pair_is_down_is_told_with_an_event() -> None:
    async with reporting() as reported:
        reported.nodes.make_ready("dpu", "False")
        await reported.to(5.0)
        remove(reported.registry, Node, "cpu-a")
        del reported.nodes.conditions["cpu-a"]
        await reported.to(10.0)
        reported.nodes.tell("cpu-a", "")
        await reported.to(15.0)
        assert reported.status("cpu-a") == "False"
        about = [event for event in reported.nodes.events if event[0] == "cpu-a"]
        assert about == [("cpu-a", "Warning", "DPUNotReady")] * 2


@in_virtual_time
async def test_many_conditions_are_written_with_a_pause_after_each() -> None:
    reported = Reported()
    for number in range(20):
        reported.nodes.make_ready(f"cpu-{number}")
        reported.place(f"cpu-{number}", "dpu")
    async with watching(reported), leading(reported):
        moments = [at for at, _ in reported.nodes.calls]
        assert len(moments) == 22
        assert all(after - before > 0.019 for before, after in pairwise(moments))


@pytest.mark.parametrize("code", [0, 401, 403, 429, 500, 503])
@in_virtual_time
async def test_where_none_can_be_written_all_wait_and_are_written_when_it_is_over(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "xds_server.liveness.reports")
    reported = Reported()
    reported.nodes.is_away = code == 0
    reported.nodes.codes = {"cpu-a": code, "cpu-b": code}
    async with watching(reported), leading(reported):
        await reported.to(600.0)
        assert reported.nodes.conditions == {}
        assert len(reported.nodes.calls) < 150
        # What takes no call tells nothing of whether calls work.
        reported.nodes.make_ready("late")
        remove(reported.registry, Node, "plain")
        await reported.to(630.0)
        reported.nodes.is_away = False
        reported.nodes.codes.clear()
        await reported.to(650.0)
        assert reported.nodes.conditions.keys() == {"cpu-a", "cpu-b"}
    begins, ends = (record.getMessage() for record in caplog.records)
    assert ends == "writing condition OffMeshPairReady: works again"
    assert code != 403 or begins.endswith("(403): expected patch of nodes/status")


@in_virtual_time
async def test_after_an_outage_the_next_one_is_tried_again_as_soon_as_the_first() -> None:
    async with reporting() as reported:
        reported.nodes.codes = dict.fromkeys(("cpu-a", "events"), 503)
        reported.nodes.make_ready("cpu-a", "False")
        # Its condition can be written, and the Event of that cannot.
        reported.nodes.make_ready("cpu-b", "False")
        await reported.to(600.0)
        assert reported.nodes.count()["events"] > 5
        reported.nodes.codes.clear()
        await reported.to(700.0)
        for second, failing in ((700.0, "cpu-a"), (800.0, "events")):
            reported.nodes.codes = {failing: 503}
            reported.nodes.make_ready("cpu-a", "True" if failing == "cpu-a" else "False")
            await reported.to(second + 4.0)
            tries = [at for at, name in reported.nodes.calls if name == failing and at > second]
            assert tries[1] - tries[0] < 0.3
            reported.nodes.codes.clear()
            await reported.to(second + 100.0)


class TestEvents:
    """Events that cannot be written keep no condition from it."""

    @pytest.mark.parametrize("code", [403, 404, 429, 500])
    @in_virtual_time
    async def test_the_last_about_each_node_is_written_when_that_is_possible(
        self, code: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "xds_server.liveness.events")
        async with reporting() as reported:
            reported.nodes.codes["events"] = code
            reported.nodes.make_ready("dpu", "False")
            await reported.to(10.0)
            reported.nodes.make_ready("dpu")
            await reported.to(20.0)
            reported.nodes.make_ready("cpu-b", "False")
            await reported.to(300.0)
            assert (reported.status("cpu-a"), reported.status("cpu-b")) == ("True", "False")
            assert reported.nodes.count()["events"] < 50
            reported.nodes.codes.clear()
            await reported.to(400.0)
            assert sorted(reported.nodes.events) == [
                ("cpu-a", "Normal", "PairReady"),
                ("cpu-b", "Warning", "CPUNotReady"),
            ]
        told = [record.getMessage() for record in caplog.records if record.name.endswith("events")]
        begins, ends = told
        assert ends == "writing Events about pairs: works again"
        assert code != 403 or begins.endswith("(403): expected create of events in namespace default")

    @pytest.mark.parametrize("code", [400, 422])
    @in_virtual_time
    async def test_one_that_never_can_be_written_does_not_keep_the_next_from_it(self, code: int) -> None:
        async with reporting() as reported:
            reported.nodes.codes["events"] = code
            reported.nodes.make_ready("cpu-a", "False")
            await reported.to(10.0)
            reported.nodes.codes.clear()
            reported.nodes.make_ready("cpu-b", "False")
            await reported.to(20.0)
            assert reported.nodes.events == [("cpu-b", "Warning", "CPUNotReady")]
