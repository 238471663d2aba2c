"""Which pairs are down: case by case, and what holds whatever is observed."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xds_server.liveness.damping import Damping, Reason
from xds_server.liveness.verdicts import Verdicts
from xds_server.objects.liveness import NodeDown

PATIENT = Damping(recovery_seconds=0.0)
"""Damps nothing."""


def paired(damping: Damping = PATIENT, *, two_clusters: bool = False) -> Verdicts:
    """Return the verdicts on CPU nodes a and b, both served by one DPU node, with a Lease of 40 s at 0."""
    verdicts = Verdicts(damping, two_clusters=two_clusters)
    verdicts.observe_pair("cpu-a", "dpu")
    verdicts.observe_pair("cpu-b", "dpu")
    verdicts.observe_lease("dpu", "first", 40.0, 0.0)
    return verdicts


def test_without_a_lease_nothing_is_judged() -> None:
    verdicts = Verdicts(PATIENT)
    verdicts.observe_pair("cpu-a", "dpu")
    verdicts.observe_cpu_node("cpu-a", ready=False)
    verdicts.observe_dpu_node("dpu", ready=False)
    assert verdicts.advance(1_000.0) == {}
    assert verdicts.judged == {}
    assert verdicts.next_at is None


def test_a_lease_that_is_not_renewed_takes_down_all_its_pairs_and_the_dpu_node() -> None:
    verdicts = paired()
    assert verdicts.advance(39.9) == {}
    assert verdicts.next_at == 40.0
    down = NodeDown("LeaseExpired")
    assert verdicts.advance(40.0) == {"cpu-a": down, "cpu-b": down, "dpu": down}
    assert verdicts.judged["cpu-a"].reasons == (Reason.LEASE_EXPIRED,)
    assert verdicts.judged["cpu-a"].since == 40.0


@pytest.mark.parametrize(
    ("cpu", "dpu", "rows"),
    [
        (False, True, {"cpu-a": "CPUNotReady"}),
        (True, False, {"cpu-a": "DPUNotReady", "cpu-b": "DPUNotReady", "dpu": "DPUNotReady"}),
        (
            False,
            False,
            {"cpu-a": "DPUNotReady, CPUNotReady", "cpu-b": "DPUNotReady", "dpu": "DPUNotReady"},
        ),
    ],
)
def test_a_node_that_is_not_ready_takes_down_its_pairs(cpu: bool, dpu: bool, rows: dict[str, str]) -> None:
    verdicts = paired()
    verdicts.observe_cpu_node("cpu-a", ready=cpu)
    verdicts.observe_dpu_node("dpu", ready=dpu)
    assert verdicts.advance(1.0) == {node: NodeDown(reason) for node, reason in rows.items()}


def test_in_a_cluster_of_their_own_dpu_nodes_have_no_rows_and_no_namesakes() -> None:
    verdicts = paired(two_clusters=True)
    verdicts.observe_pair("dpu", "other")
    verdicts.observe_lease("other", "first", 40.0, 0.0)
    verdicts.observe_dpu_node("dpu", ready=False)
    assert verdicts.advance(1.0).keys() == {"cpu-a", "cpu-b"}


def test_only_another_renewal_counts_and_from_when_it_was_seen() -> None:
    verdicts = paired()
    assert not verdicts.observe_lease("dpu", "first", 40.0, 30.0)
    assert verdicts.advance(40.0)
    assert verdicts.observe_lease("dpu", "1999-01-01T00:00:00Z", 40.0, 50.0)
    assert verdicts.advance(50.0) == {}
    assert verdicts.advance(89.9) == {}
    assert verdicts.advance(90.0)


def test_the_duration_is_the_one_the_lease_states_now() -> None:
    verdicts = paired()
    assert verdicts.observe_lease("dpu", "second", 3.0, 10.0)
    assert verdicts.advance(12.9) == {}
    assert verdicts.advance(13.0)


def test_when_the_lease_is_deleted_judging_stops_and_the_pair_counts_as_up() -> None:
    verdicts = paired(Damping())
    assert verdicts.advance(40.0)
    verdicts.observe_no_lease("dpu")
    assert verdicts.advance(41.0) == {}
    assert (verdicts.judged, verdicts.next_at) == ({}, None)


def test_a_lease_may_be_believed_to_be_expired_until_it_is_renewed() -> None:
    verdicts = Verdicts(PATIENT)
    verdicts.observe_pair("cpu-a", "dpu")
    verdicts.observe_lease("dpu", "old", 40.0, 0.0, expired=True)
    assert verdicts.advance(0.0).keys() == {"cpu-a", "dpu"}
    verdicts.observe_lease("dpu", "new", 40.0, 5.0, expired=True)
    assert verdicts.advance(5.0) == {}


def test_a_change_of_the_map_acts_at_once() -> None:
    verdicts = paired(Damping())
    verdicts.observe_lease("new-dpu", "first", 60.0, 0.0)
    verdicts.advance(40.0)
    verdicts.observe_pair("cpu-a", "new-dpu")
    assert verdicts.advance(41.0).keys() == {"cpu-b", "dpu"}
    assert (verdicts.judged["cpu-a"].dpu_node, verdicts.judged["cpu-a"].since) == ("new-dpu", 41.0)
    verdicts.observe_pair("cpu-b", "")
    assert verdicts.advance(42.0) == {}


def test_a_lease_of_no_pair_is_kept_and_expires_for_nobody() -> None:
    verdicts = Verdicts(PATIENT)
    verdicts.observe_lease("dpu", "first", 40.0, 0.0)
    assert verdicts.advance(50.0) == {}
    assert (verdicts.next_at, verdicts.look_at(0.0)) == (None, None)
    verdicts.observe_pair("cpu-a", "dpu")
    assert verdicts.look_at(0.0) == 20.0


def test_while_nobody_can_listen_no_lease_expires_and_what_is_down_stays_down() -> None:
    verdicts = paired()
    verdicts.observe_pair("cpu-c", "dpu-c")
    verdicts.observe_lease("dpu-c", "first", 10.0, 0.0)
    verdicts.advance(20.0)
    for now in range(30, 1_000, 30):
        verdicts.observe_outage(float(now))
        assert verdicts.advance(float(now)).keys() == {"cpu-c", "dpu-c"}
    assert verdicts.next_at == 990.0 + 40.0
    assert verdicts.leases["dpu"].renewed_at == 0.0


def test_a_lease_is_looked_at_from_half_of_its_duration_on_and_at_its_end() -> None:
    verdicts, looks = paired(), [-1e9]
    while looks[-1] < 40.0:
        at = verdicts.look_at(looks[-1])
        assert at is not None
        looks.append(at)
    assert looks[1:] == [20.0, 25.0, 30.0, 35.0, 40.0]
    verdicts.advance(40.0)
    assert verdicts.look_at(40.0) is None


def test_a_pair_is_held_until_the_last_of_its_nodes_is_up_again() -> None:
    verdicts = paired(Damping())
    verdicts.observe_cpu_node("cpu-a", ready=False)
    verdicts.observe_dpu_node("dpu", ready=False)
    verdicts.advance(1.0)
    verdicts.observe_dpu_node("dpu", ready=True)
    verdicts.advance(2.0)
    assert (verdicts.hold_until("cpu-a"), verdicts.hold_until("cpu-b")) == (None, 4.0)
    verdicts.observe_cpu_node("cpu-a", ready=True)
    assert verdicts.advance(3.0).keys() == {"cpu-a", "cpu-b", "dpu"}
    assert (verdicts.hold_until("cpu-a"), verdicts.next_at) == (5.0, 4.0)
    assert verdicts.advance(4.0).keys() == {"cpu-a"}
    assert verdicts.judged["cpu-a"].reasons == (Reason.CPU_NOT_READY,)
    assert verdicts.advance(5.0) == {}
    assert verdicts.hold_until("cpu-a") is None


# From here on: what holds whatever happens.

CPUS = ("cpu-a", "cpu-b", "cpu-c")
DPUS = ("dpu-x", "dpu-y")
SECONDS = (3.0, 40.0)
_node = st.tuples(st.sampled_from(("cpu", "dpu")), st.sampled_from(CPUS + DPUS), st.booleans())
_lease = st.tuples(st.just("lease"), st.sampled_from(DPUS), st.sampled_from(SECONDS))
_other = st.one_of(
    st.tuples(st.just("same lease"), st.sampled_from(DPUS), st.none()),
    st.tuples(st.just("no lease"), st.sampled_from(DPUS), st.none()),
    st.tuples(st.just("pair"), st.sampled_from(CPUS), st.sampled_from((*DPUS, ""))),
)
_STEPS = st.lists(st.tuples(st.floats(0.01, 30.0), st.one_of(_node, _lease, _other)), max_size=60)


@dataclass
class World:
    """What is so, told to verdicts step by step, which are advanced at their own moments too."""

    verdicts: Verdicts
    pairs: dict[str, str] = field(default_factory=dict)
    leases: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By DPU node: when it was renewed, and for how many seconds."""
    unready: set[tuple[str, str]] = field(default_factory=set)
    now: float = 0.0
    rows: dict[str, NodeDown] = field(default_factory=dict)
    ups: list[float] = field(default_factory=list)
    """When pairs came up."""
    renewals: int = 0

    def apply(self, pause: float, kind: str, name: str, value: object) -> None:
        self._pass(self.now + pause)
        if kind == "pair":
            self.pairs[name] = str(value)
            self.verdicts.observe_pair(name, str(value))
        elif kind in ("cpu", "dpu"):
            (self.unready.discard if value else self.unready.add)((kind, name))
            observe = self.verdicts.observe_cpu_node if kind == "cpu" else self.verdicts.observe_dpu_node
            observe(name, ready=bool(value))
        else:
            self._apply_lease(kind, name, value)
        self._advance()

    def _advance(self) -> None:
        before = self.verdicts.judged
        self.rows = self.verdicts.advance(self.now)
        down = [cpu for cpu, verdict in before.items() if verdict.down]
        self.ups += [self.now for cpu in down if cpu not in self.rows]

    def _apply_lease(self, kind: str, name: str, value: object) -> None:
        if kind == "no lease":
            self.leases.pop(name, None)
            self.verdicts.observe_no_lease(name)
        elif kind == "lease":
            assert isinstance(value, float)
            self.renewals += 1
            self.leases[name] = self.now, value
            self.verdicts.observe_lease(name, f"renewal {self.renewals}", value, self.now)
        elif name in self.leases:
            held = self.verdicts.leases[name]
            self.verdicts.observe_lease(name, held.renewal, held.seconds, self.now)

    def _pass(self, until: float) -> None:
        while (moment := self.verdicts.next_at) is not None and moment <= until:
            assert moment >= self.now
            self.now = moment
            self._advance()
            assert self.verdicts.next_at is None or self.verdicts.next_at > moment
        self.now = until

    def faults(self, cpu: str) -> list[str]:
        """Return what is wrong with a pair now, undamped; nothing when it is not judged."""
        dpu = self.pairs.get(cpu, "")
        if dpu not in self.leases:
            return []
        renewed_at, seconds = self.leases[dpu]
        faults = ["LeaseExpired"] if self.now >= renewed_at + seconds else []
        faults += ["DPUNotReady"] if ("dpu", dpu) in self.unready else []
        return faults + (["CPUNotReady"] if ("cpu", cpu) in self.unready else [])

    def expected(self) -> dict[str, NodeDown]:
        """Return the rows that follow from what is so, from scratch and undamped."""
        rows: dict[str, NodeDown] = {}
        for cpu in self.pairs:
            of_dpu = [fault for fault in self.faults(cpu) if fault != "CPUNotReady"]
            if of_dpu:
                rows[self.pairs[cpu]] = NodeDown(", ".join(of_dpu))
        told = {cpu: self.faults(cpu) for cpu in self.pairs}
        return rows | {cpu: NodeDown(", ".join(faults)) for cpu, faults in told.items() if faults}

    @property
    def is_held(self) -> bool:
        sides = (*self.verdicts._cpus.values(), *self.verdicts._dpus.values())
        return any(side.hold_until is not None for side in sides)


@given(_STEPS)
def test_what_is_wrong_is_always_told_and_nothing_without_a_lease(
    steps: list[tuple[float, tuple[str, str, object]]],
) -> None:
    world = World(Verdicts())
    for pause, step in steps:
        world.apply(pause, *step)
        for cpu, dpu in world.pairs.items():
            assert dpu in world.leases or cpu not in world.rows
            assert cpu in world.rows or not world.faults(cpu)


@given(_STEPS)
def test_where_nothing_is_held_back_the_rows_are_those_of_a_judgement_from_scratch(
    steps: list[tuple[float, tuple[str, str, object]]],
) -> None:
    world = World(Verdicts())
    for pause, step in steps:
        world.apply(pause, *step)
        if not world.is_held:
            told = {node: set(row.reason.split(", ")) for node, row in world.rows.items()}
            assert told == {node: set(row.reason.split(", ")) for node, row in world.expected().items()}


@given(_STEPS)
@settings(max_examples=50)
def test_undamped_the_rows_are_always_those_of_a_judgement_from_scratch(
    steps: list[tuple[float, tuple[str, str, object]]],
) -> None:
    world = World(Verdicts(PATIENT))
    for pause, step in steps:
        world.apply(pause, *step)
        assert world.rows == world.expected()


@given(st.lists(st.floats(0.1, 60.0), max_size=80), st.sampled_from(("cpu", "dpu")))
def test_however_a_node_flaps_its_pair_comes_up_once_in_a_hold_time_which_doubles(
    pauses: list[float], role: str
) -> None:
    world = World(Verdicts())
    world.apply(0.0, "pair", CPUS[0], DPUS[0])
    world.apply(0.0, "lease", DPUS[0], 1e9)
    for number, pause in enumerate(pauses):
        world.apply(pause, role, CPUS[0] if role == "cpu" else DPUS[0], number % 2 == 1)
    for flap, (up, following) in enumerate(pairwise(world.ups), start=1):
        assert following - up >= min(2.0 * 2**flap, 60.0)
