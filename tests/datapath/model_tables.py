"""The tables of the model kernel, by lines of ``iptables-restore --noflush``; others have rules too."""

import copy
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tests.datapath.model_sets import RefusedError
from xds_server.datapath.program import Chain, Jump, Program, Table

OURS = "ztunnel-"
Rules = list[tuple[str, ...]]

_BUILTINS = {
    Table.RAW: ("PREROUTING", "OUTPUT"),
    Table.MANGLE: ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    Table.NAT: ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    Table.FILTER: ("INPUT", "FORWARD", "OUTPUT"),
}
_TARGETS = frozenset({"ACCEPT", "DROP", "RETURN", "MARK", "CONNMARK", "DNAT", "REDIRECT", "TPROXY"})


def _others() -> dict[Table, dict[str, Rules]]:
    """Each built-in chain with two rules of others, one of them a jump to a chain of theirs."""
    rules: Rules = [("-j", "KUBE"), ("-i", "ens32", "-j", "ACCEPT")]
    return {
        table: {"KUBE": [("-p", "udp", "-j", "RETURN")], **{name: [*rules] for name in builtins}}
        for table, builtins in _BUILTINS.items()
    }


@dataclass
class ModelTables:
    chains: dict[Table, dict[str, Rules]] = field(default_factory=_others)

    @classmethod
    def holding(cls, program: Program, positions: Mapping[Jump, Collection[int]]) -> "ModelTables":
        """Tables with the chains of a program, and jumps at places counted from 1."""
        tables = cls()
        for chain in program.chains:
            tables.chains[chain.table][chain.name] = [*chain.rules]
        places = sorted((place, jump) for jump, places in positions.items() for place in places)
        for place, jump in places:
            tables.chains[jump.table][jump.builtin].insert(place - 1, ("-j", jump.chain))
        return tables

    def held(self) -> tuple[Chain, ...]:
        return tuple(
            Chain(table, name, tuple(rules))
            for table, chains in self.chains.items()
            for name, rules in sorted(chains.items())
            if name.startswith(OURS)
        )

    def positions(self) -> dict[Jump, tuple[int, ...]]:
        found: dict[Jump, tuple[int, ...]] = {}
        for table, builtins in _BUILTINS.items():
            for builtin in builtins:
                for place, rule in enumerate(self.chains[table][builtin], start=1):
                    if rule[-1].startswith(OURS):
                        jump = Jump(table, builtin, rule[-1])
                        found[jump] = (*found.get(jump, ()), place)
        return found

    def others(self) -> dict[tuple[Table, str], Rules]:
        """All that is not ours, chain by chain."""
        return {
            (table, name): [rule for rule in rules if not rule[-1].startswith(OURS)]
            for table, chains in self.chains.items()
            for name, rules in chains.items()
            if not name.startswith(OURS)
        }

    def used_sets(self) -> set[str]:
        rules = (rule for chains in self.chains.values() for each in chains.values() for rule in each)
        return {rule[rule.index("--match-set") + 1] for rule in rules if "--match-set" in rule}

    def restore(self, lines: tuple[str, ...], sets: Collection[str]) -> None:
        """
        Do what all lines say, or nothing; ``sets`` are those that rules may name.

        Raises:
            RefusedError: a chain, a rule or a set is not there, or a chain is in use.

        """
        table = Table(lines[0].removeprefix("*"))
        if lines[-1] != "COMMIT":
            raise RefusedError("no COMMIT")
        chains = copy.deepcopy(self.chains[table])
        for line in lines[1:-1]:
            _do(chains, line)
        _check(chains, sets)
        self.chains[table] = chains


def _do(chains: dict[str, Rules], line: str) -> None:
    match shlex.split(line):
        case [declared, "-", "[0:0]"] if declared.startswith(f":{OURS}"):
            chains[declared.removeprefix(":")] = []
        case ["-A", name, *rule] if name.startswith(OURS):
            _rules(chains, name).append(tuple(rule))
        case ["-D", name, "-j", target] if target.startswith(OURS):
            if ("-j", target) not in _rules(chains, name):
                raise RefusedError(f"no such rule: {line}")
            chains[name].remove(("-j", target))
        case ["-I", name, place, "-j", target] if target.startswith(OURS):
            if not 0 < int(place) <= len(_rules(chains, name)) + 1:
                raise RefusedError(f"index of insertion too big: {line}")
            chains[name].insert(int(place) - 1, ("-j", target))
        case ["-X", name] if name.startswith(OURS):
            if _rules(chains, name):
                raise RefusedError(f"chain {name} is not empty")
            del chains[name]
        case _:
            raise RefusedError(f"syntax, or not ours: {line}")


def _rules(chains: dict[str, Rules], name: str) -> Rules:
    if name not in chains:
        raise RefusedError(f"no chain {name}")
    return chains[name]


def _check(chains: Mapping[str, Rules], sets: Collection[str]) -> None:
    for rule in (rule for rules in chains.values() for rule in rules):
        target = rule[rule.index("-j") + 1]
        if target not in _TARGETS and target not in chains:
            raise RefusedError(f"no chain {target}")
        if "--match-set" in rule and rule[rule.index("--match-set") + 1] not in sets:
            raise RefusedError(f"no set for {rule}")
