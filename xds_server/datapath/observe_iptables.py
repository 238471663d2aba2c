"""
Chains and jumps as ``iptables-save`` prints them.

Rules of ours are kept word by word. Of the rules of others only those are kept that may concern us:
that lead to our chains otherwise than by the one plain jump, or that have to do with marks.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from xds_server.datapath.program import Chain, Jump, Table

_BUILTINS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
_TABLES = {table.value: table for table in Table}
_WORD = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class ForeignRule:
    table: Table
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.table}: {' '.join(self.words)}"


@dataclass(slots=True)
class SavedTables:
    """``to_ours`` are rules of others that lead to chains of ours, ``marking`` those that name marks."""

    chains: tuple[Chain, ...] = ()
    jumps: Mapping[Jump, tuple[int, ...]] = field(default_factory=dict)
    to_ours: list[ForeignRule] = field(default_factory=list)
    marking: list[ForeignRule] = field(default_factory=list)


def read_tables(saved: str, prefix: str) -> SavedTables:
    """Return what ``iptables-save`` printed; our chains are those whose names begin with ``prefix``."""
    tables = SavedTables()
    chains: dict[tuple[Table, str], list[tuple[str, ...]]] = {}
    jumps: dict[Jump, list[int]] = defaultdict(list)
    for table, name, position, line in _lines(saved):
        if name.startswith(prefix):
            rules = chains.setdefault((table, name), [])
            if position:
                rules.append(words_of(line)[2:])
        elif position and (prefix in line or "mark" in line):
            _read_foreign(tables, jumps, (table, name, position, words_of(line)), prefix)
    tables.chains = tuple(Chain(table, name, tuple(rules)) for (table, name), rules in chains.items())
    tables.jumps = {jump: tuple(positions) for jump, positions in jumps.items()}
    return tables


def words_of(line: str) -> tuple[str, ...]:
    """Return the words of a rule, without the quotes it is printed with."""
    if '"' not in line:
        return tuple(line.split())
    return tuple(word or _ESCAPED.sub(r"\1", quoted) for quoted, word in _WORD.findall(line))


def _lines(saved: str) -> Iterator[tuple[Table, str, int, str]]:
    """Yield each chain, at position 0, and each rule with its position in its chain, counted from 1."""
    table: Table | None = None
    positions: dict[str, int] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            table, positions = _TABLES.get(line[1:]), {}
        elif table is None:
            continue
        elif line.startswith(":"):
            yield table, line[1:].partition(" ")[0], 0, line
        elif line.startswith("-A "):
            name = line[3:].partition(" ")[0]
            positions[name] = positions.get(name, 0) + 1
            yield table, name, positions[name], line


def _read_foreign(
    tables: SavedTables,
    jumps: dict[Jump, list[int]],
    rule: tuple[Table, str, int, tuple[str, ...]],
    prefix: str,
) -> None:
    table, name, position, words = rule
    goes_to = next((to for way, to in pairwise(words) if way in ("-j", "-g")), "")
    if goes_to.startswith(prefix):
        if name in _BUILTINS and words[2:] == ("-j", goes_to):
            jumps[Jump(table, name, goes_to)].append(position)
        else:
            tables.to_ours.append(ForeignRule(table, words))
    elif "mark" in " ".join(words):
        tables.marking.append(ForeignRule(table, words))
