"""
The tables of conformance cases, read: which objects are given, and what must be served for them.

A table is a YAML file in ``cases/``. Each case says:

``id``, ``says``      its name, and the rule it shows in one sentence
``given``             manifests; ``apiVersion`` may be left out where the kind tells it
``placement``         the placement map, as ``cluster-conf.yaml`` states it
``settings``          of the mesh, where they differ from those of all cases (``world.SETTINGS``)
``then``              edits, one after another: ``when`` says what happens, ``apply`` are manifests,
                      ``delete`` are objects as ``Kind namespace/name``

and, of what follows from ``given`` and again after each edit:

``is``                resource name -> the whole message; what is not mentioned must be unset
``has``               resource name -> some fields of the message, each as a whole; null is unset
``names``             the names of all workloads and services, no others
``policies``          resource name -> the whole message of an authorization policy
``policy_names``      the names of all authorization policies, no others
``absent``            names of resources that must not be there
``aliases``           resource name -> its aliases
``lookup``            a name that a client asks for -> the resources it is given
``changed``           names of the resources that the edit has changed, added or removed, no others
``problems``          words of what ``/debug/errorsz`` tells, which is nothing else; without it, nothing

Messages are proto3 JSON, but for addresses, which are written as text: 10.0.0.1 for CgAAAQ==.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from xds_server.sources.manifests.yaml_values import documents

CASES = Path(__file__).parent / "cases"

Manifest = dict[str, Any]
Messages = dict[str, dict[str, Any]]
Names = tuple[str, ...]


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must be served. None says nothing of it."""

    whole: Messages = msgspec.field(name="is", default_factory=dict)
    has: Messages = msgspec.field(default_factory=dict)
    names: Names | None = None
    policies: Messages = msgspec.field(default_factory=dict)
    policy_names: Names | None = None
    absent: Names = ()
    aliases: dict[str, Names] = msgspec.field(default_factory=dict)
    lookup: dict[str, Names] = msgspec.field(default_factory=dict)
    problems: Names = ()


class Edit(Expected, frozen=True, forbid_unknown_fields=True, kw_only=True):
    when: str
    apply: tuple[Manifest, ...] = ()
    delete: Names = ()
    changed: Names | None = None


class Case(Expected, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: str
    says: str
    given: tuple[Manifest, ...] = ()
    placement: dict[str, Any] | None = None
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    then: tuple[Edit, ...] = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file; ``parts`` is where it keeps what several cases share."""

    about: str
    cases: tuple[Case, ...]
    parts: Any = None


def read_table(path: Path) -> Table:
    (document,) = documents(path.read_bytes())
    return msgspec.convert(_flat(document), Table)


def read_cases() -> Iterator[Case]:
    """Yield every case of every table."""
    for path in sorted(CASES.glob("*.yaml")):
        yield from read_table(path).cases


def _flat(value: Any) -> Any:
    """A list in a list is its elements: so a shared list of manifests is one alias."""
    if isinstance(value, Mapping):
        return {key: _flat(member) for key, member in value.items()}
    if isinstance(value, list):
        flat = []
        for member in map(_flat, value):
            flat += member if isinstance(member, list) else [member]
        return flat
    return value
