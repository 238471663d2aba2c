"""What istiod makes of PeerAuthentications, step by step as facts wds 5.7 has it, with its oddities."""

from collections.abc import Mapping
from typing import NamedTuple

Mode = str | None
"""None where there is no PeerAuthentication of that kind."""
Clause = dict[str, list[str]]

NO_IDENTITY: Clause = {"not_principals": ["*"]}
OPEN = ("PERMISSIVE", "DISABLE")


class Setting(NamedTuple):
    """Modes of the root namespace, the namespace and the one that selects, and the latter's ports."""

    root: Mode
    namespace: Mode
    workload: str
    ports: Mapping[int, str]

    def port_modes(self, *modes: str) -> list[int]:
        return [port for port, mode in sorted(self.ports.items()) if mode in modes]


def published(at: Setting) -> list[list[Clause]] | None:
    """Groups of the converted object, each with one match a clause; None where there is no object."""
    if not at.ports:
        return None
    together: list[Clause] = [NO_IDENTITY] if at.workload == "STRICT" else []
    groups: list[list[Clause]] = []
    exception = False
    for port, mode in sorted(at.ports.items()):
        if mode == "STRICT" and not _strict_anyway(at):
            groups.append([{**NO_IDENTITY, "destination_ports": [str(port)]}])
        if mode in OPEN and not _open_anyway(at):
            together.append({"not_destination_ports": [str(port)]})
            exception = True
    if at.workload == "STRICT" and not exception:
        return None
    if not together and not groups:
        return None
    root_reaches = at.root == "STRICT" and at.namespace in (None, "UNSET", "STRICT")
    if exception and (root_reaches or at.namespace == "STRICT"):
        together.append(NO_IDENTITY)
    return groups + ([together] if together else [])


def _strict_anyway(at: Setting) -> bool:
    """Step 2a: its last condition does not look at the workload's own mode."""
    return (
        at.workload == "STRICT"
        or (at.workload == "UNSET" and at.namespace == "STRICT")
        or (at.namespace in (None, "UNSET") and at.root == "STRICT")
    )


def _open_anyway(at: Setting) -> bool:
    """Step 2b: a namespace that is UNSET counts as not strict, whatever the root says."""
    if at.workload in OPEN:
        return True
    if at.workload != "UNSET":
        return False
    return at.root != "STRICT" if at.namespace is None else at.namespace != "STRICT"


def named(at: Setting, static: str, converted: str) -> list[str]:
    strict = at.root == "STRICT"
    if at.namespace not in (None, "UNSET"):
        strict = at.namespace == "STRICT"
    if at.workload != "UNSET":
        strict = at.workload == "STRICT"
    chosen = False
    if at.workload == "STRICT":
        chosen = bool(at.port_modes(*OPEN))
    elif at.workload in OPEN:
        chosen = bool(at.port_modes("STRICT"))
    else:
        chosen = bool(at.port_modes("PERMISSIVE") if strict else at.port_modes("STRICT"))
    if chosen and at.workload in ("STRICT", "UNSET"):
        strict = False
    return sorted([static] * strict + [converted] * chosen)
