"""The sets of the model kernel, by the lines of ``ipset -exist restore``."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address

from xds_server.datapath.program import Address, IpSet


class RefusedError(Exception):
    """What the kernel answers to a step that it cannot do."""


@dataclass
class ModelSets:
    families: dict[str, str] = field(default_factory=dict)
    members: dict[str, dict[Address, str]] = field(default_factory=dict)

    @classmethod
    def holding(cls, sets: Collection[IpSet]) -> "ModelSets":
        return cls(
            {each.name: each.family for each in sets}, {each.name: dict(each.members) for each in sets}
        )

    def held(self) -> tuple[IpSet, ...]:
        return tuple(
            IpSet(name, frozenset(self.members[name].items()), family)
            for name, family in sorted(self.families.items())
        )

    def restore(self, line: str, used: Collection[str]) -> None:
        """
        Do what one line says; ``used`` are the sets that rules name.

        Raises:
            RefusedError: the set is not there, is in use, or is of another kind.

        """
        match shlex.split(line):
            case ["create", name, "hash:ip", "family", family, "comment"]:
                if self.families.setdefault(name, family) != family:
                    raise RefusedError(f"{name} is there, of another family")
                self.members.setdefault(name, {})
            case ["add", name, address, *comment]:
                self._of(name)[ip_address(address)] = comment[1] if comment else ""
            case ["del", name, address]:
                self._of(name).pop(ip_address(address), None)
            case ["flush", name]:
                self._of(name).clear()
            case ["swap", one, other]:
                if self.families.get(one) != self.families.get(other):
                    raise RefusedError(f"{one} and {other} differ in kind")
                self.members[one], self.members[other] = self._of(other), self._of(one)
            case ["destroy", name]:
                self._of(name)
                if name in used:
                    raise RefusedError(f"set {name} is in use")
                del self.members[name], self.families[name]
            case _:
                raise RefusedError(f"syntax: {line}")

    def _of(self, name: str) -> dict[Address, str]:
        if name not in self.families:
            raise RefusedError(f"no set {name}")
        return self.members[name]
