"""
Which pairs are down: pure, with time as an argument.

Theory
1. A pair is judged while there is a Lease that has the name of its DPU node. One that is not judged
   is up, whatever else is known of it: where no agent runs nobody can tell.
2. A judged pair is down when the Lease has expired, its DPU node is not ready, or its CPU node is not.
   Each node is damped by itself; all CPU nodes of one DPU node share its health.
3. A Lease expires when its duration has gone by here since its renewal was *seen*. What the agent wrote
   into it is only compared with what it wrote before: clocks of two machines are never compared. A
   Lease seen for the first time is taken for just renewed, unless it is told to be expired.
4. An agent that cannot reach the API server is not dead, and silence is no news for one that cannot
   listen either. So before a Lease expires it is looked at, from half of its duration on; a look
   that fails gives every Lease that has not expired its whole duration anew.
5. Rows are what follows for nodes: the CPU node of a pair that is down, and a DPU node that is down
   itself. A DPU node of another cluster has no row: pods of that cluster are no workloads, and a node
   here may have its name.
Nothing happens by itself: ``advance`` when something was observed, and at ``next_at``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from xds_server.liveness.damping import Damping, Reason, Side
from xds_server.objects.liveness import NodeDown

_LOOKS = 8
"""Into so many parts the duration of a Lease is cut; in the second half there is a look in each."""


@dataclass(slots=True)
class HeldLease:
    """What is known of a Lease; times by the clock of this machine."""

    renewal: str
    """What the agent wrote: it says something only by being another one than before."""
    seconds: float
    renewed_at: float
    counted_from: float
    """Not before ``renewed_at``; later by the time in which nobody could listen."""
    expired: bool

    @property
    def ends_at(self) -> float:
        return self.counted_from + self.seconds

    def look_at(self, looked_at: float) -> float:
        """Return when to look at it if the last look was at ``looked_at``."""
        suspicious_at = self.counted_from + self.seconds / 2
        return max(suspicious_at, min(looked_at + self.seconds / _LOOKS, self.ends_at))


class PairVerdict(NamedTuple):
    """What is said of a judged pair."""

    dpu_node: str
    down: bool
    reasons: tuple[Reason, ...]
    """While down: what is wrong, or was when last anything was."""
    since: float
    """When ``down`` became what it is."""


class Verdicts:
    """What was observed, and what follows."""

    def __init__(self, damping: Damping | None = None, *, two_clusters: bool = False) -> None:
        """Judge nothing yet; ``two_clusters`` when the DPU nodes are in a cluster of their own."""
        self.leases: dict[str, HeldLease] = {}
        """By DPU node, those of no pair among them."""
        self.pairs: dict[str, str] = {}
        """CPU node -> DPU node, of every pair in force; only ``observe_pair`` changes it."""
        self.judged: dict[str, PairVerdict] = {}
        """By CPU node, as of the last ``advance``."""
        self._damping = damping or Damping()
        self._two_clusters = two_clusters
        self._unready_cpus: set[str] = set()
        self._unready_dpus: set[str] = set()
        self._cpus: dict[str, Side] = {}
        self._dpus: dict[str, Side] = {}

    def observe_lease(
        self, dpu_node: str, renewal: str, seconds: float, now: float, *, expired: bool = False
    ) -> bool:
        """
        Take the Lease of a DPU node as it is now; return whether that calls for an ``advance``.

        ``expired`` is what to believe of a Lease that was never seen before.
        """
        held = self.leases.get(dpu_node)
        if held is None:
            self.leases[dpu_node] = HeldLease(renewal, seconds, now, now, expired)
            return True
        matters = held.expired or held.seconds != seconds
        held.seconds = seconds
        if held.renewal == renewal:
            return matters
        held.renewal, held.renewed_at, held.counted_from, held.expired = renewal, now, now, False
        return matters

    def observe_no_lease(self, dpu_node: str) -> None:
        self.leases.pop(dpu_node, None)

    def observe_outage(self, now: float) -> None:
        """Take note that no Lease can be looked at (rule 4)."""
        for lease in self.leases.values():
            if not lease.expired:
                lease.counted_from = now

    def observe_pair(self, cpu_node: str, dpu_node: str) -> None:
        """Take the pair in force of a CPU node; an empty ``dpu_node`` is none."""
        if dpu_node:
            self.pairs[cpu_node] = dpu_node
        else:
            self.pairs.pop(cpu_node, None)

    def observe_cpu_node(self, name: str, *, ready: bool) -> None:
        """Take the readiness of a node of the first cluster; one that is not there is ready."""
        _put(self._unready_cpus, name, not ready)

    def observe_dpu_node(self, name: str, *, ready: bool) -> None:
        """Take the readiness of a node of the cluster that has the DPU nodes."""
        _put(self._unready_dpus, name, not ready)

    def advance(self, now: float) -> dict[str, NodeDown]:
        """Judge all pairs; return what is to be told of nodes."""
        for lease in self._living():
            lease.expired = now >= lease.ends_at
        in_use = {cpu: dpu for cpu, dpu in self.pairs.items() if dpu in self.leases}
        self._dpus = {dpu: self._dpus.get(dpu) or Side(self._damping) for dpu in in_use.values()}
        self._cpus = {cpu: self._cpus.get(cpu) or Side(self._damping) for cpu in in_use}
        for dpu, side in self._dpus.items():
            side.advance(self._faults_of_dpu(dpu), now)
        for cpu, side in self._cpus.items():
            side.advance((Reason.CPU_NOT_READY,) if cpu in self._unready_cpus else (), now)
        self.judged = {cpu: self._verdict(cpu, dpu, now) for cpu, dpu in in_use.items()}
        return self._rows()

    def _faults_of_dpu(self, dpu: str) -> tuple[Reason, ...]:
        expired = (Reason.LEASE_EXPIRED,) if self.leases[dpu].expired else ()
        return (*expired, Reason.DPU_NOT_READY) if dpu in self._unready_dpus else expired

    def _verdict(self, cpu: str, dpu: str, now: float) -> PairVerdict:
        sides = self._dpus[dpu], self._cpus[cpu]
        down = any(side.down for side in sides)
        reasons = tuple(reason for side in sides for reason in side.reasons)
        before = self.judged.get(cpu)
        if before is None or (before.dpu_node, before.down) != (dpu, down):
            return PairVerdict(dpu, down, reasons, now)
        return PairVerdict(dpu, down, reasons, before.since)

    def _rows(self) -> dict[str, NodeDown]:
        dpus = {} if self._two_clusters else self._dpus
        rows = {dpu: NodeDown(", ".join(side.reasons)) for dpu, side in dpus.items() if side.down}
        told = ((cpu, verdict) for cpu, verdict in self.judged.items() if verdict.down)
        return rows | {cpu: NodeDown(", ".join(verdict.reasons)) for cpu, verdict in told}

    def hold_until(self, cpu_node: str) -> float | None:
        """Return when a pair is up again if nothing happens; None where it is up, faulty or not judged."""
        verdict = self.judged.get(cpu_node)
        if verdict is None:
            return None
        sides = self._dpus[verdict.dpu_node], self._cpus[cpu_node]
        holds = [side.hold_until for side in sides if side.down]
        ends = [end for end in holds if end is not None]
        return max(ends) if ends and len(ends) == len(holds) else None

    @property
    def next_at(self) -> float | None:
        """When to ``advance`` although nothing is observed."""
        ends = (lease.ends_at for lease in self._living())
        holds = (side.hold_until for sides in (self._dpus, self._cpus) for side in sides.values())
        return min((*ends, *(hold for hold in holds if hold is not None)), default=None)

    def look_at(self, looked_at: float) -> float | None:
        """Return when next to look at the Leases, if the last look was at ``looked_at`` (rule 4)."""
        return min((lease.look_at(looked_at) for lease in self._living()), default=None)

    def _living(self) -> Iterator[HeldLease]:
        """Yield the Leases of pairs that have not expired."""
        held = (self.leases.get(dpu) for dpu in set(self.pairs.values()))
        return (lease for lease in held if lease is not None and not lease.expired)


def _put(names: set[str], name: str, belongs: bool) -> None:
    if belongs:
        names.add(name)
    else:
        names.discard(name)
