"""PeerAuthentications, read: which ports take mutual TLS only (facts wds, 5.7)."""

from enum import Enum
from typing import Any

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.policies.reading import shown
from xds_server.mesh.policies.selection import selection_group, selector_labels
from xds_server.objects.policies import PeerAuthentication
from xds_server.store.derive import Fetch

_KNOWN = frozenset({"selector", "mtls", "portLevelMtls"})


class Mode(Enum):
    """A ztunnel takes ``DISABLE`` for ``PERMISSIVE``; ``UNSET`` leaves it to what is above."""

    UNSET = "UNSET"
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class PeerRule(msgspec.Struct, frozen=True, gc=False):
    """
    What one PeerAuthentication says of the workloads it selects.

    ``labels`` is None without a selector. ``created`` is '' where the object cannot be read whole: the
    oldest is in force, and one that may have said STRICT must be.
    """

    key: str
    created: str
    labels: dict[str, str] | None
    mode: Mode
    ports: tuple[tuple[int, Mode], ...] = ()

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]

    @property
    def resource_name(self) -> str:
        namespace, _, name = self.key.partition("/")
        return f"{namespace}/converted_peer_authentication_{name}"

    @property
    def default_group(self) -> tuple[str, ...]:
        """A selector without labels is as good as none."""
        return () if self.labels else (self.namespace,)

    @property
    def selection_group(self) -> tuple[str, ...]:
        return (selection_group(self.namespace, self.labels),) if self.labels else ()


def oldest(rules: list[PeerRule]) -> PeerRule:
    """Return the one in force; of those as old a strict one, then the first by name."""
    return min(rules, key=lambda rule: (rule.created, rule.mode is not Mode.STRICT, rule.key))


def peer_rule(fetch: Fetch, key: str, policy: PeerAuthentication) -> PeerRule:
    """Read one; what cannot be read is STRICT, for all ports and for all it may have selected."""
    spec = {} if policy.spec is None else policy.spec
    labels = None
    try:
        if not isinstance(spec, dict):
            raise InputError(f"spec is {shown(spec)}: expected a mapping")
        labels = selector_labels(spec.get("selector"))
        if unknown := spec.keys() - _KNOWN:
            raise InputError(
                f"spec has {shown(sorted(map(str, unknown)))}: expected {', '.join(sorted(_KNOWN))}"
            )
        mode = _mode(spec.get("mtls"), "mtls")
        ports = _ports(spec.get("portLevelMtls"))
    except InputError as problem:
        fetch.note(f"{problem}; it counts as STRICT")
        return PeerRule(key, "", labels, Mode.STRICT)
    return PeerRule(key, policy.created, labels, mode, ports)


def _mode(given: object, where: str) -> Mode:
    if given is None:
        return Mode.UNSET
    if not isinstance(given, dict) or given.keys() - {"mode"}:
        raise InputError(f"{where} is {shown(given)}: expected only mode")
    mode = given.get("mode")
    if mode is None or mode == "":
        return Mode.UNSET
    try:
        return Mode(mode)
    except ValueError:
        expected = ", ".join(item.value for item in Mode)
        raise InputError(f"{where}.mode is {shown(mode)}: expected one of {expected}") from None


def _ports(given: object) -> tuple[tuple[int, Mode], ...]:
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise InputError(f"portLevelMtls is {shown(given)}: expected a mapping of ports to modes")
    return tuple(sorted(_by_port(given).items()))


def _by_port(given: dict[Any, Any]) -> dict[int, Mode]:
    modes: dict[int, Mode] = {}
    for name, value in given.items():
        # A number where the object was written in YAML, text where it came as JSON.
        text = str(name)
        is_port = text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535
        if not is_port or int(text) in modes:
            raise InputError(
                f"portLevelMtls has {shown(name)}: expected port numbers from 1 to 65535, each once"
            )
        modes[int(text)] = _mode(value, f"portLevelMtls[{text}]")
    return modes
