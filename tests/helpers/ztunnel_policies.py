"""How a ztunnel enforces policies: a model to judge conversions by (facts wds, 5.1)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from xds_server.protobuf.workloadapi.security import authorization_pb2 as security


class Identity(NamedTuple):
    namespace: str
    account: str
    trust_domain: str = "cluster.local"

    @property
    def principal(self) -> str:
        return f"{self.trust_domain}/ns/{self.namespace}/sa/{self.account}"


@dataclass(frozen=True)
class Connection:
    """One that arrives; without identity where it does not come by mutual TLS."""

    source_ip: str = "10.0.0.1"
    identity: Identity | None = None
    destination_ip: str = "10.0.0.2"
    port: int = 80


def applying(
    served: Mapping[str, security.Authorization], namespace: str, names: Iterable[str]
) -> list[security.Authorization]:
    """Policies in force for a workload; a name that is not known is passed over."""
    by_scope = [
        policy
        for policy in served.values()
        if policy.scope == security.Scope.GLOBAL
        or (policy.scope == security.Scope.NAMESPACE and policy.namespace == namespace)
    ]
    return by_scope + [served[name] for name in names if name in served]


def allows(policies: Iterable[security.Authorization], connection: Connection) -> bool:
    policies = [policy for policy in policies if not policy.dry_run]
    if any(policy.action == security.Action.DENY and matches(policy, connection) for policy in policies):
        return False
    allowing = [policy for policy in policies if policy.action == security.Action.ALLOW]
    return not allowing or any(matches(policy, connection) for policy in allowing)


def matches(policy: security.Authorization, connection: Connection) -> bool:
    """Any group whose clauses all match; a clause without matches does, one of empty matches does not."""
    return any(
        all(
            not clause.matches or any(_matches(match, connection) for match in clause.matches)
            for clause in group.rules
        )
        for group in policy.groups
    )


def _matches(match: security.Match, connection: Connection) -> bool:
    if match.ByteSize() == 0:
        return False
    identity = connection.identity
    tests: dict[str, Callable[[Any], bool]] = {
        "namespaces": lambda text: _string(text, identity.namespace if identity else ""),
        "principals": lambda text: identity is not None and _string(text, identity.principal),
        "source_ips": lambda block: _contains(block, connection.source_ip),
        "destination_ips": lambda block: _contains(block, connection.destination_ip),
        "destination_ports": lambda port: bool(port == connection.port),
        "service_accounts": lambda account: (
            identity is not None and (account.namespace, account.serviceAccount) == identity[:2]
        ),
    }
    return all(
        _one_of(getattr(match, name), test) and not any(map(test, getattr(match, f"not_{name}")))
        for name, test in tests.items()
    )


def _one_of(values: Iterable[Any], test: Callable[[Any], bool]) -> bool:
    values = list(values)
    return not values or any(map(test, values))


def _string(wanted: security.StringMatch, text: str) -> bool:
    match wanted.WhichOneof("match_type"):
        case "exact":
            return text == wanted.exact
        case "prefix":
            return text.startswith(wanted.prefix)
        case "suffix":
            return text.endswith(wanted.suffix)
    return text != ""


def _contains(block: security.Address, ip: str) -> bool:
    network = ip_network(f"{ip_address(block.address)}/{block.length}", strict=False)
    return ip_address(ip) in network
