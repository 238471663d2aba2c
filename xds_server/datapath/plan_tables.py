"""
The part of a plan that is about iptables: one transaction a table, with chains, rules and jumps together.

A chain's declaration empties it, so only chains that differ are declared. Jumps are deleted by what they
say and inserted by their place: a rule of others is never named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xds_server.datapath.observed import Observed
from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import Chain, Jump, Program, Table
from xds_server.datapath.steps import RestoreTable
from xds_server.datapath.words import rule_lines

Positions = Mapping[Jump, tuple[int, ...]]

# Marks are put in mangle: last when all is there that looks at them, and first to go.
_ORDER = (Table.RAW, Table.FILTER, Table.NAT, Table.MANGLE)


def wanted_positions(desired: Program) -> Positions:
    """Return where the jumps shall be: at the top of their built-in chain, each once."""
    taken: dict[tuple[Table, str], int] = {}
    positions: dict[Jump, tuple[int, ...]] = {}
    for jump in desired.jumps:
        place = taken[jump.table, jump.builtin] = taken.get((jump.table, jump.builtin), 0) + 1
        positions[jump] = (place,)
    return positions


def restore(observed: Observed, desired: Program) -> Iterator[PlannedStep]:
    """Make chains and jumps as they shall be, table by table."""
    wanted = {chain.table for chain in desired.chains}
    built = [table for table in _ORDER if table in wanted]
    cleared = [table for table in reversed(_ORDER) if table not in wanted]
    for table in (*built, *cleared):
        before = _Content.of(table, observed.held.chains, observed.jumps)
        after = _Content.of(table, desired.chains, wanted_positions(desired))
        if before != after:
            undo = RestoreTable(table, _transaction(table, after, before))
            yield PlannedStep(RestoreTable(table, _transaction(table, before, after)), (undo,))


@dataclass(frozen=True, slots=True)
class _Content:
    """What is ours in one table."""

    chains: Mapping[str, Chain]
    positions: Positions

    @classmethod
    def of(cls, table: Table, chains: tuple[Chain, ...], positions: Positions) -> "_Content":
        return cls(
            {chain.name: chain for chain in chains if chain.table is table},
            {jump: places for jump, places in positions.items() if jump.table is table and places},
        )

    def jumps_from(self, builtin: str) -> Positions:
        return {jump: places for jump, places in self.positions.items() if jump.builtin == builtin}


def _transaction(table: Table, before: _Content, after: _Content) -> tuple[str, ...]:
    refilled = [chain for name, chain in after.chains.items() if before.chains.get(name) != chain]
    gone = [name for name in before.chains if name not in after.chains]
    deleted, inserted = _jump_lines(before, after)
    return (
        f"*{table}",
        *(f":{name} - [0:0]" for name in (*(chain.name for chain in refilled), *gone)),
        *deleted,
        *(line for chain in refilled for line in rule_lines(chain)),
        *inserted,
        *(f"-X {name}" for name in gone),
        "COMMIT",
    )


def _jump_lines(before: _Content, after: _Content) -> tuple[list[str], list[str]]:
    """Return the lines that delete and that insert, for built-in chains where any jump is out of place."""
    deleted, inserted = [], []
    for builtin in sorted({jump.builtin for jump in (*before.positions, *after.positions)}):
        there, wanted = before.jumps_from(builtin), after.jumps_from(builtin)
        if there != wanted:
            deleted += [f"-D {builtin} -j {jump.chain}" for jump, places in there.items() for _ in places]
            # From the top down, so that each is counted where it will be.
            places = sorted((place, jump.chain) for jump, places in wanted.items() for place in places)
            inserted += [f"-I {builtin} {place} -j {chain}" for place, chain in places]
    return deleted, inserted
