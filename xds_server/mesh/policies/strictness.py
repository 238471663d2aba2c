"""
Modes of mutual TLS, put into what a ztunnel knows: denial of those without identity (facts wds, 5.7).

Policies that deny are OR-ed, so an exception must stand in the same policy as what it is an exception
from. Hence three cases for a workload: none, the static policy of the mesh, or one converted for it.
"""

from google.protobuf.empty_pb2 import Empty

from xds_server.mesh.policies.authorization import AuthorizationRow, workload_policy
from xds_server.mesh.policies.peer_authentications import Mode, PeerRule
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security

STATIC_NAME = "istio_converted_static_strict"
_OPEN = (Mode.PERMISSIVE, Mode.DISABLE)


def is_strict(mode: Mode, inherited: bool) -> bool:
    return inherited if mode is Mode.UNSET else mode is Mode.STRICT


def static_policy(namespace: str) -> AuthorizationRow:
    """Return the policy of workloads all of whose ports are strict."""
    group = security.Group(rules=[_without_identity()])
    return workload_policy(namespace, STATIC_NAME, security.Action.DENY, [group])


def converted_policy(rule: PeerRule, inherited: bool) -> AuthorizationRow | None:
    """Return the policy of workloads whose ports differ; None where they do not, or none is selected."""
    strict = is_strict(rule.mode, inherited)
    open_ports = [port for port, mode in rule.ports if mode in _OPEN] if strict else []
    strict_ports = [port for port, mode in rule.ports if mode is Mode.STRICT] if not strict else []
    groups = [security.Group(rules=[_without_identity(port)]) for port in strict_ports]
    if open_ports:
        groups.append(security.Group(rules=_strict_but_for(open_ports, rule.mode, inherited)))
    if rule.labels is None or not groups:
        return None
    namespace, _, name = rule.resource_name.partition("/")
    return workload_policy(namespace, name, security.Action.DENY, groups)


def is_converted(rule: PeerRule, inherited: bool) -> bool:
    """Tell whether workloads name the converted policy, not the static one or none."""
    strict = is_strict(rule.mode, inherited)
    if not strict:
        return any(mode is Mode.STRICT for _, mode in rule.ports)
    return any(mode in _exceptions(rule.mode) for _, mode in rule.ports)


def ineffective_ports(rule: PeerRule, inherited: bool) -> list[int]:
    """Return the ports that are meant to be open and stay strict."""
    if not is_strict(rule.mode, inherited) or is_converted(rule, inherited):
        return []
    return [port for port, mode in rule.ports if mode in _OPEN]


def _exceptions(mode: Mode) -> tuple[Mode, ...]:
    """Under strict parents DISABLE makes no exception: as istiod has it, and on the safe side."""
    return (Mode.PERMISSIVE,) if mode is Mode.UNSET else _OPEN


def _strict_but_for(ports: list[int], mode: Mode, inherited: bool) -> list[security.Rules]:
    """A clause may stand twice, first and last: it is the order in which istiod puts them."""
    own = [_without_identity()] if mode is Mode.STRICT else []
    above = [_without_identity()] if inherited else []
    other_ports = [security.Rules(matches=[security.Match(not_destination_ports=[port])]) for port in ports]
    return [*own, *other_ports, *above]


def _without_identity(*ports: int) -> security.Rules:
    anyone = security.StringMatch(presence=Empty())
    return security.Rules(matches=[security.Match(not_principals=[anyone], destination_ports=ports)])
