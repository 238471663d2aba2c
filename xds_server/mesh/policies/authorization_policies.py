"""AuthorizationPolicies: what each has a ztunnel enforce, and where (facts wds, 5.2)."""

from typing import Any, NamedTuple

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.policies.authorization import AuthorizationRow, authorization_row
from xds_server.mesh.policies.reading import Note, Reading, shown
from xds_server.mesh.policies.rules import group_of
from xds_server.mesh.policies.selection import selection_group, selector_labels
from xds_server.objects.policies import AuthorizationPolicy
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security
from xds_server.settings import MeshSettings
from xds_server.store.derive import Fetch

_Action = security.Action
_ACTIONS = {"ALLOW": _Action.ALLOW, "DENY": _Action.DENY}
_FOR_WAYPOINTS = ("AUDIT", "CUSTOM")
_KNOWN = frozenset({"selector", "rules", "action", "provider", "targetRef", "targetRefs"})
# As Go reads booleans, so that what istiod takes for a dry run is one here.
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Selection(msgspec.Struct, frozen=True, gc=False):
    """The workloads that must name a policy."""

    name: str
    namespace: str
    labels: dict[str, str]

    @property
    def group(self) -> str:
        return selection_group(self.namespace, self.labels)


class _Reach(NamedTuple):
    """Which connections a policy is about, before its rules; ``whole`` unless some of it cannot be read."""

    action: _Action
    labels: dict[str, str] | None
    whole: bool


class PolicyConversion:
    """AuthorizationPolicies under the settings of a mesh."""

    def __init__(self, settings: MeshSettings) -> None:
        self._root = settings.root_namespace
        self._dry_runs = settings.dry_run_policies

    def authorization(self, fetch: Fetch, key: str, policy: AuthorizationPolicy) -> AuthorizationRow | None:
        namespace, _, name = key.partition("/")
        reach = self._reach(policy, fetch.note)
        if reach is None:
            return None
        message = security.Authorization(
            name=name,
            namespace=namespace,
            scope=self._scope(namespace, reach),
            action=reach.action,
            groups=_groups(policy, reach, namespace, fetch.note),
            dry_run=self._dry_runs and _is_dry_run(policy, fetch.note),
        )
        return authorization_row(message)

    def selection(self, _fetch: Fetch, key: str, policy: AuthorizationPolicy) -> Selection | None:
        """Problems are told where the policy is converted, not again here."""
        reach = self._reach(policy, lambda _problem: None)
        if reach is None or not reach.labels:
            return None
        return Selection(key, key.partition("/")[0], reach.labels)

    def _scope(self, namespace: str, reach: _Reach) -> security.Scope:
        """A selector without labels selects all: no workload would look for it by one of its own."""
        if reach.labels:
            return security.Scope.WORKLOAD_SELECTOR
        return security.Scope.GLOBAL if namespace == self._root else security.Scope.NAMESPACE

    def _reach(self, policy: AuthorizationPolicy, note: Note) -> _Reach | None:
        """Tell what a policy is about; None where it is not for ztunnels."""
        if not self._dry_runs and _is_dry_run(policy, note):
            note("annotation istio.io/dry-run is true: expected another; dry runs are not served")
            return None
        try:
            spec = _spec(policy)
            if _is_for_waypoints(spec):
                return None
        except InputError as problem:
            note(f"{problem}; the policy denies everything")
            return _Reach(_Action.DENY, None, whole=False)
        return _read_reach(spec, note)


def _spec(policy: AuthorizationPolicy) -> dict[Any, Any]:
    spec = {} if policy.spec is None else policy.spec
    if not isinstance(spec, dict):
        raise InputError(f"spec is {shown(spec)}: expected a mapping")
    return spec


def _is_for_waypoints(spec: dict[Any, Any]) -> bool:
    refs = spec.get("targetRefs")
    if refs:
        if isinstance(refs, list | tuple) and all(isinstance(ref, dict) and ref for ref in refs):
            return True
        raise InputError(f"targetRefs is {shown(refs)}: expected a list of references")
    ref = spec.get("targetRef")
    if ref is None:
        return False
    if isinstance(ref, dict) and ref:
        return True
    raise InputError(f"targetRef is {shown(ref)}: expected a reference")


def _read_reach(spec: dict[Any, Any], note: Note) -> _Reach | None:
    given = spec.get("action")
    if isinstance(given, str) and given in _FOR_WAYPOINTS:
        note(f"action is {given}: expected ALLOW or DENY; a ztunnel does not enforce the policy")
        return None
    action = _action(given, note)
    whole = action is not None
    labels = None
    try:
        labels = selector_labels(spec.get("selector"))
    except InputError as problem:
        note(f"{problem}; it denies everything in its namespace")
        whole = False
    if unknown := spec.keys() - _KNOWN:
        names, expected = shown(sorted(map(str, unknown))), ", ".join(sorted(_KNOWN))
        note(f"spec has {names}: expected {expected}; it denies everything selected")
        whole = False
        # The action may be among what cannot be read.
        action = action if given else None
    return _Reach(_Action.DENY if action is None else action, labels, whole)


def _action(given: object, note: Note) -> _Action | None:
    if given is None or given == "":
        return _Action.ALLOW
    action = _ACTIONS.get(given) if isinstance(given, str) else None
    if action is None:
        expected = ", ".join((*_ACTIONS, *_FOR_WAYPOINTS))
        note(f"action is {shown(given)}: expected one of {expected}; the policy denies everything selected")
    return action


def _groups(policy: AuthorizationPolicy, reach: _Reach, namespace: str, note: Note) -> list[security.Group]:
    """A policy that cannot be read whole allows nothing if it allows, and denies everything if it denies."""
    reading = Reading(namespace, reach.action == _Action.DENY, note)
    everything = [security.Group()] if reading.denies else []
    if not reach.whole:
        return everything
    rules = _spec(policy).get("rules")
    if rules is not None and not isinstance(rules, list | tuple):
        note(f"rules is {shown(rules)}: expected a list; the policy denies everything selected")
        return everything
    groups = (group_of(reading, rule, f"rules[{at}]") for at, rule in enumerate(rules or ()))
    return [group for group in groups if group is not None]


def _is_dry_run(policy: AuthorizationPolicy, note: Note) -> bool:
    text = policy.annotations.dry_run
    if text is not None and text not in _TRUE | _FALSE:
        note(f"annotation istio.io/dry-run is {text!r}: expected true or false; the policy is in force")
    return text in _TRUE
