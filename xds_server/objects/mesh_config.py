"""What of Istio's MeshConfig is in use: the text under ``mesh`` of its ConfigMap."""

import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec
import yaml

from xds_server.exceptions import HeldInputError, InputError
from xds_server.objects.kubernetes import Part
from xds_server.objects.label_selectors import LabelSelector

Visibility = Literal["VISIBILITY_UNSPECIFIED", "PUBLIC", "NAMESPACE", "NONE"]
MeshName = Literal["root_namespace", "trust_domain"]


class MatchingRule(Part, frozen=True):
    namespace_selector: LabelSelector | None = None


class VisibilityPolicy(Part, frozen=True):
    visibility: Visibility | None = None
    matching_rules: tuple[MatchingRule, ...] | None = None


class ServiceEntryVisibility(Part, frozen=True):
    """Who may find a ServiceEntry: the first policy that matches its namespace says so."""

    default_visibility: Visibility | None = None
    policies: tuple[VisibilityPolicy, ...] | None = None


class MeshConfig(Part, frozen=True):
    trust_domain: str | None = None
    root_namespace: str | None = None
    discovery_selectors: tuple[LabelSelector, ...] | None = None
    service_entry_visibility: ServiceEntryVisibility | None = None


class NameField(NamedTuple):
    """How a name of the mesh is written."""

    field: str
    flag: str
    pattern: re.Pattern[str]
    expected: str


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

MESH_NAMES: dict[MeshName, NameField] = {
    "trust_domain": NameField(
        "trustDomain", "--trust-domain", re.compile(r"[A-Za-z0-9._-]{1,255}"), "a name like cluster.local"
    ),
    "root_namespace": NameField("rootNamespace", "--root-namespace", _LABEL, "the name of a namespace"),
}
"""What decides identities, and whose policies are for every workload."""


def parse_mesh_config(text: str) -> MeshConfig:
    """
    Read the YAML of a MeshConfig; no text is one that says nothing.

    Raises:
        HeldInputError: it cannot be used: to fall back to defaults would show what was hidden.

    """
    try:
        return msgspec.convert(_read(text), MeshConfig)
    except InputError as error:
        reason = str(error)
    except msgspec.ValidationError as error:
        reason = f"data.mesh cannot be read: {error}"
    raise HeldInputError(f"{reason}; what it said before stays in force")


def parse_mesh_names(text: str, wanted: Iterable[MeshName]) -> dict[MeshName, str]:
    """
    Read names of the mesh, and nothing else; those that are not said are left out.

    Raises:
        InputError: what is said of one cannot be told, or cannot be its name.

    """
    config = _read(text)
    if not isinstance(config, dict):
        raise InputError(f"data.mesh is {config!r:.100}: expected fields of a MeshConfig")
    said = {}
    for name in wanted:
        field, _, pattern, expected = MESH_NAMES[name]
        value = config.get(field)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InputError(f"data.mesh: {field} is {value!r:.100}: expected {expected}")
        said[name] = value
    return said


def _read(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"data.mesh cannot be read: {' '.join(str(error).split())}") from None
    return {} if value is None else value
