"""Watched pairs: what becomes of rows in the registry, when, and what is logged of it."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.helpers.graphs import runs
from tests.helpers.objects import put
from tests.liveness.watched_pairs import FakeLook, WatchedPairs, in_virtual_time, lease, node, watching
from xds_server.liveness.watch import Liveness
from xds_server.objects.liveness import NodeDown
from xds_server.store.collection import Change

ALL_EXPIRED = dict.fromkeys(("cpu-a", "cpu-b", "dpu"), "LeaseExpired")


@in_virtual_time
async def test_a_pair_is_down_when_its_agent_is_silent_for_40_seconds_and_up_two_after_it_speaks() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(lease("dpu", "renewal 0", seconds=None))
        for number in range(1, 10):
            await pairs.to(number * 10.0)
            assert pairs.down == {}
            pairs.put(lease("dpu", f"renewal {number}", seconds=None))
        await pairs.to(129.9)
        assert pairs.down == {}
        await pairs.to(130.0)
        assert pairs.down == ALL_EXPIRED
        await pairs.to(200.0)
        pairs.renew(100)
        await pairs.to(201.9)
        assert pairs.down == ALL_EXPIRED
        await pairs.to(202.1)
        assert pairs.down == {}
        assert pairs.liveness.transitions == {"down": 2, "up": 2}


@in_virtual_time
async def test_a_lease_that_is_tuned_to_3_seconds_tells_within_3() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.renew(0, seconds=3)
        await pairs.to(3.0)
        assert pairs.down == ALL_EXPIRED


@in_virtual_time
async def test_an_agent_that_comes_and_goes_every_5_seconds_leaves_its_pairs_down() -> None:
    async with watching(WatchedPairs()) as pairs:
        for number in range(12):
            pairs.renew(number, seconds=3)
            await pairs.to((number + 1) * 8.0)
        transitions = pairs.liveness.transitions.copy()
        for number in range(12, 60):
            pairs.renew(number, seconds=3)
            await pairs.to((number + 1) * 8.0)
            assert pairs.down == ALL_EXPIRED
        assert pairs.liveness.transitions == transitions


@pytest.mark.parametrize("ready", ["False", "Unknown"])
@in_virtual_time
async def test_a_cpu_node_that_is_not_ready_takes_down_its_own_pair_alone(ready: str) -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(node("cpu-a"), node("cpu-b"), node("dpu"), lease("dpu", "renewal 0"))
        pairs.put(node("cpu-a", ready))
        await pairs.to(0.1)
        assert pairs.down == {"cpu-a": "CPUNotReady"}
        pairs.put(node("cpu-a"))
        await pairs.to(2.2)
        assert pairs.down == {}


@in_virtual_time
async def test_a_node_that_tells_nothing_of_itself_or_is_gone_is_not_held_against_its_pair() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(node("cpu-a", ""), node("dpu", "False"), lease("dpu", "renewal 0"))
        await pairs.to(0.1)
        assert pairs.down == dict.fromkeys(("cpu-a", "cpu-b", "dpu"), "DPUNotReady")
        pairs.put(node("dpu", ""))
        await pairs.to(2.2)
        assert pairs.down == {}


@in_virtual_time
async def test_dpu_nodes_of_another_cluster_are_judged_by_their_own_nodes() -> None:
    async with watching(WatchedPairs(two_clusters=True)) as pairs:
        pairs.put(lease("dpu", "renewal 0"), node("dpu", "False"))
        pairs.put_dpu_node(node("cpu-b", "False"))
        await pairs.to(0.1)
        assert pairs.down == {}
        pairs.put_dpu_node(node("dpu", "False"))
        await pairs.to(0.2)
        assert pairs.down == {"cpu-a": "DPUNotReady", "cpu-b": "DPUNotReady"}


@in_virtual_time
async def test_leases_that_are_no_agents_judge_nobody() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(lease("dpu", "renewal 0", label="false"), lease("offmesh-leader", "renewal 0"))
        await pairs.to(1_000.0)
        assert (pairs.down, pairs.liveness.judged) == ({}, {})


@in_virtual_time
async def test_of_two_leases_with_one_name_the_first_by_namespace_is_in_force() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(lease("dpu", "renewal 0"), lease("dpu", "other", inside="a"))
        await pairs.to(30.0)
        pairs.put(lease("dpu", "renewal 1", inside="a"))
        await pairs.to(60.0)
        assert pairs.down == {}
        await pairs.to(70.1)
        assert pairs.down == ALL_EXPIRED


@in_virtual_time
async def test_when_the_lease_is_deleted_the_pairs_count_as_up_at_once() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.renew(0)
        await pairs.to(50.0)
        pairs.remove_lease()
        await pairs.to(50.1)
        assert (pairs.down, pairs.liveness.judged) == ({}, {})


@in_virtual_time
async def test_changes_of_the_map_act_at_once() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(lease("dpu", "renewal 0"), lease("spare", "renewal 0", seconds=1_000))
        await pairs.to(50.0)
        pairs.place("cpu-a", "spare")
        await pairs.to(50.1)
        assert pairs.down == {"cpu-b": "LeaseExpired", "dpu": "LeaseExpired"}
        pairs.unplace("cpu-b")
        await pairs.to(50.2)
        assert pairs.down == {}
        pairs.place("cpu-c", "dpu")
        await pairs.to(50.3)
        assert pairs.down == {"cpu-c": "LeaseExpired", "dpu": "LeaseExpired"}


@in_virtual_time
async def test_of_two_pairs_that_mean_one_cpu_node_only_the_one_in_force_is_judged() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(lease("spare", "renewal 0", seconds=1), lease("dpu", "renewal 0"))
        pairs.place("cpu-a", "spare", at="cpu-z")
        await pairs.to(5.0)
        assert pairs.down == {}
        pairs.place("cpu-a", "spare", at="0")
        await pairs.to(6.0)
        assert pairs.down == {"cpu-a": "LeaseExpired", "spare": "LeaseExpired"}


@in_virtual_time
async def test_what_is_there_already_is_judged_too_and_settled_before_anything_is_served() -> None:
    pairs = WatchedPairs()
    pairs.put(node("cpu-a", "False"), lease("dpu", "renewal 0"))
    late = Liveness(pairs.registry, pairs.mesh.placement, lambda: 0.0)
    assert not pairs.registry.of(NodeDown).synced
    late.settle()
    assert pairs.down == {"cpu-a": "CPUNotReady"}
    assert pairs.registry.of(NodeDown).synced


@in_virtual_time
async def test_a_replica_that_starts_believes_the_nodes_that_say_a_pair_is_down() -> None:
    pairs = WatchedPairs()
    pairs.put(node("cpu-a", told="False"), node("cpu-b", told="False"), lease("dpu", "long ago"))
    pairs.liveness.settle()
    assert pairs.down == ALL_EXPIRED
    async with watching(pairs):
        pairs.renew(1)
        await pairs.to(2.1)
        assert pairs.down == {}


@pytest.mark.parametrize("told", ["True", "", "Unknown"])
@in_virtual_time
async def test_a_replica_that_starts_does_not_suspect_an_agent_of_which_one_pair_is_up(told: str) -> None:
    pairs = WatchedPairs()
    pairs.put(node("cpu-a", told=told or "True"), node("cpu-b", told="False" if told else ""))
    pairs.put(lease("dpu", "long ago"))
    pairs.liveness.settle()
    assert pairs.down == {}


class TestLooks:
    """Before a Lease expires it is looked at, past the watch."""

    @in_virtual_time
    async def test_a_renewal_that_the_watch_has_not_told_counts(self) -> None:
        look = FakeLook()
        async with watching(WatchedPairs(look)) as pairs:
            pairs.renew(0)
            await pairs.to(1.0)
            assert look.looked_at == []
            look.found = [lease("dpu", "renewal 1"), lease("unknown", "renewal 1")]
            await pairs.to(59.9)
            assert pairs.down == {}
            await pairs.to(60.1)
            assert pairs.down == ALL_EXPIRED
            assert pairs.liveness.verdicts.leases.keys() == {"dpu"}

    @in_virtual_time
    async def test_there_is_none_while_agents_renew_nor_after_it_has_expired(self) -> None:
        look = FakeLook()
        async with watching(WatchedPairs(look)) as pairs:
            for number in range(10):
                pairs.renew(number)
                await pairs.to((number + 1) * 10.0)
            assert look.looked_at == []
            await pairs.to(1_000.0)
            assert [round(at) - 1_000 for at in look.looked_at] == [110, 115, 120, 125, 130]

    @pytest.mark.parametrize("fault", ["is_away", "hangs"])
    @in_virtual_time
    async def test_while_it_fails_nothing_expires_and_after_that_agents_have_all_their_time(
        self, fault: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "xds_server.liveness")
        look = FakeLook()
        async with watching(WatchedPairs(look)) as pairs:
            pairs.put(node("cpu-a"), lease("dpu", "renewal 0"))
            await pairs.to(12.0)
            setattr(look, fault, True)
            await pairs.to(600.0)
            assert pairs.down == {}
            pairs.put(node("cpu-a", "False"))
            await pairs.to(604.0)
            assert pairs.down == {"cpu-a": "CPUNotReady"}
            last_failure = look.looked_at[-1] - 1_000
            setattr(look, fault, False)
            await pairs.to(last_failure + 39.9)
            assert pairs.down == {"cpu-a": "CPUNotReady"}
            await pairs.to(last_failure + 45.0)
            assert pairs.down["cpu-b"] == "LeaseExpired"
        outage = [record.getMessage() for record in caplog.records if "looking at" in record.getMessage()]
        reason = "the API server is away" if fault == "is_away" else "no answer within 3 s"
        assert outage == [
            f"looking at the Leases of agents: {reason}",
            "looking at the Leases of agents: works again",
        ]


@in_virtual_time
async def test_each_transition_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "xds_server.liveness")
    async with watching(WatchedPairs()) as pairs:
        pairs.unplace("cpu-b")
        pairs.renew(0)
        await pairs.to(50.0)
        pairs.put(node("cpu-a", "False"))
        await pairs.to(51.0)
        pairs.renew(1)
        await pairs.to(54.0)
        pairs.put(node("cpu-a"))
        await pairs.to(60.0)
        pairs.put(node("cpu-a", "False"))
        await pairs.to(61.0)
        pairs.remove_lease()
        await pairs.to(62.0)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "the pair of CPU node cpu-a and DPU node dpu is down: LeaseExpired"),
        ("INFO", "the pair of CPU node cpu-a and DPU node dpu is up again"),
        ("WARNING", "the pair of CPU node cpu-a and DPU node dpu is down: CPUNotReady"),
        ("INFO", "the pair of CPU node cpu-a is no longer judged, so it counts as up"),
    ]


@in_virtual_time
async def test_listeners_are_told_of_the_pairs_of_which_something_else_is_said() -> None:
    told: list[list[str]] = []
    async with watching(WatchedPairs()) as pairs:
        pairs.liveness.listen(lambda names: told.append(sorted(names)))
        pairs.renew(0)
        await pairs.to(10.0)
        pairs.renew(1)
        await pairs.to(20.0)
        assert told == [["cpu-a", "cpu-b"]]
        pairs.put(node("cpu-b", "False"))
        await pairs.to(21.0)
        pairs.remove_lease()
        await pairs.to(22.0)
        assert told[1:] == [["cpu-b"], ["cpu-a", "cpu-b"]]


@in_virtual_time
async def test_a_renewal_costs_no_judgement_and_a_heartbeat_no_derivation() -> None:
    async with watching(WatchedPairs()) as pairs:
        pairs.put(node("cpu-a"), node("dpu"))
        pairs.renew(0)
        await pairs.to(1.0)
        before, derived = pairs.liveness.judged, runs(pairs.registry.graph)
        pairs.renew(1)
        put(pairs.registry, node("cpu-a"))
        await pairs.to(2.0)
        assert pairs.liveness.judged is before
        assert runs(pairs.registry.graph) == derived


@in_virtual_time
async def test_many_nodes_at_once_are_told_in_parts_between_which_others_have_their_turn() -> None:
    async with watching(WatchedPairs()) as pairs:
        sizes: list[int] = []
        told_at_turns: list[int] = []

        def receive(changes: Mapping[str, Change[NodeDown]]) -> None:
            sizes.append(len(changes))
            asyncio.get_running_loop().call_soon(lambda: told_at_turns.append(len(sizes)))

        pairs.registry.graph.listen(pairs.registry.of(NodeDown), receive)
        for number in range(98):
            pairs.place(f"cpu-{number}", "dpu")
        pairs.renew(0)
        await pairs.to(41.0)
        assert len(pairs.down) == 101
        assert sizes == [10] * 10 + [1]
        assert told_at_turns == list(range(1, 12))
