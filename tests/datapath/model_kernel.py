"""
A kernel as small as a plan can tell it from a real one: does what steps say, refuses what a kernel refuses.

Beside what is ours it holds things of others, which no step may touch.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

from tests.datapath.model_sets import ModelSets, RefusedError
from tests.datapath.model_tables import ModelTables
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan_tables import Positions
from xds_server.datapath.program import MAIN, Link, Mark, PolicyRule, Program, Route, Sysctl
from xds_server.datapath.steps import (
    AddLink,
    AddRule,
    DeleteLink,
    DeleteRoute,
    DeleteRule,
    ReplaceRoute,
    RestoreSets,
    RestoreTable,
    SetSysctl,
    Step,
    TagConnections,
)

DEFAULT = "1"
"""What every sysctl is that nobody has set."""
DEVICES = frozenset(
    {
        "lo",
        "all",
        "default",
        "eth0",
        "ens32",
        "veth2",
        "veth3",
        "veth7",
        "veth9",
        "veth1ae58883",
        "vethz",
        "vethzt1",
    }
)
"""Of others; what sysctls take for devices as well."""

Key = tuple[int, int, str]


@dataclass
class ModelKernel:
    links: dict[str, Link] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    sets: ModelSets = field(default_factory=ModelSets)
    tables: ModelTables = field(default_factory=ModelTables)
    rules: list[PolicyRule] = field(default_factory=list)
    routes: dict[Key, Route] = field(default_factory=dict)
    tags: list[TagConnections] = field(default_factory=list)

    @classmethod
    def holding(cls, program: Program, positions: Positions) -> "ModelKernel":
        return cls(
            links={link.name: link for link in program.links},
            sysctls={each.path: each.value for each in program.sysctls if each.value != DEFAULT},
            sets=ModelSets.holding(program.sets),
            tables=ModelTables.holding(program, positions),
            rules=list(program.rules),
            routes={route.key: route for route in program.routes},
        )

    def observe(self, desired: Program) -> Observed:
        asked = [sysctl.path for sysctl in desired.sysctls if self._has(_device_of(sysctl))]
        held = Program(
            name="held",
            links=tuple(self.links.values()),
            sysctls=tuple(Sysctl(path, self.sysctls.get(path, DEFAULT)) for path in asked),
            sets=self.sets.held(),
            chains=self.tables.held(),
            jumps=tuple(self.tables.positions()),
            rules=tuple(self.rules),
            routes=tuple(self.routes.values()),
        )
        return Observed(held=held, jumps=self.tables.positions())

    def content(self, desired: Program) -> dict[str, Any]:
        """Return all that is there, in no order, and of sysctls those that are asked for."""
        return self.observed_content(self.observe(desired)) | {"others": self.tables.others()}

    @staticmethod
    def observed_content(observed: Observed) -> dict[str, Any]:
        held = observed.held
        kinds = ("links", "sysctls", "sets", "chains", "rules", "routes")
        return {kind: set(getattr(held, kind)) for kind in kinds} | {"jumps": dict(observed.jumps)}

    def copy(self) -> "ModelKernel":
        return copy.deepcopy(self)

    def do(self, step: Step, *, lines: int | None = None) -> None:
        """
        Do a step, or of an ``ipset restore`` its first lines alone.

        Raises:
            RefusedError: the kernel would not.

        """
        match step:
            case SetSysctl(sysctl):
                self._set(sysctl)
            case RestoreSets(every):
                for line in every[:lines]:
                    self.sets.restore(line, self.tables.used_sets())
            case RestoreTable(_, every):
                self.tables.restore(every, self.sets.families)
            case TagConnections():
                self.tags.append(step)
            case AddLink(link):
                self._add_link(link)
            case DeleteLink(link):
                self._delete_link(link)
            case _:
                self._route(step)

    def loose_ends(self) -> list[str]:
        """Return each mark that packets can get, and that no rule looks up or whose table is empty."""
        reached = {jump.chain for jump in self.tables.positions()}
        words = [rule for chain in self.tables.held() if chain.name in reached for rule in chain.rules]
        puts = ("--set-xmark", "--tproxy-mark")
        marks = {_mark(rule[rule.index(put) + 1]) for rule in words for put in puts if put in rule}
        return [str(mark) for mark in sorted(marks, key=str) if not self._leads_somewhere(mark)]

    def _leads_somewhere(self, mark: Mark) -> bool:
        tables = {MAIN, *(route.table for route in self.routes.values())}
        rules = [rule for rule in self.rules if rule.fwmark is not None and mark.includes(rule.fwmark)]
        return any(rule.goto or rule.table in tables for rule in rules)

    def _has(self, device: str) -> bool:
        return not device or device in DEVICES or device in self.links

    def _set(self, sysctl: Sysctl) -> None:
        if not self._has(_device_of(sysctl)):
            raise RefusedError(f"no file {sysctl.path}")
        self.sysctls.pop(sysctl.path, None)
        if sysctl.value != DEFAULT:
            self.sysctls[sysctl.path] = sysctl.value

    def _add_link(self, link: Link) -> None:
        for other in self.links.values():
            if other.name == link.name:
                raise RefusedError(f"{link.name} is there")
            if other.port == link.port and (other.type != link.type or other.vni == link.vni):
                raise RefusedError(f"{link.name}: {other.name} has the port")
        self.links[link.name] = link

    def _delete_link(self, link: Link) -> None:
        if self.links.pop(link.name, None) != link:
            raise RefusedError(f"no link {link}")
        self.sysctls = {path: value for path, value in self.sysctls.items() if f"/{link.name}/" not in path}
        self.routes = {key: route for key, route in self.routes.items() if route.device != link.name}

    def _route(self, step: ReplaceRoute | DeleteRoute | AddRule | DeleteRule) -> None:
        match step:
            case ReplaceRoute(route):
                if not route.blackhole and not self._has(route.device):
                    raise RefusedError(f"no device for {route}")
                self.routes[route.key] = route
            case DeleteRoute(route):
                if self.routes.pop(route.key, None) != route:
                    raise RefusedError(f"no route {route}")
            case AddRule(rule):
                if rule in self.rules:
                    raise RefusedError(f"there is a rule {rule}")
                self.rules.append(rule)
            case DeleteRule(rule):
                if rule not in self.rules:
                    raise RefusedError(f"no rule {rule}")
                self.rules.remove(rule)


def _mark(text: str) -> Mark:
    value, mask = text.split("/")
    return Mark(int(value, 16), int(mask, 16))


def _device_of(sysctl: Sysctl) -> str:
    parts = sysctl.path.split("/")
    return parts[3] if parts[2] == "conf" else ""
