"""The conditions rules are made of, and which of them a ztunnel can judge (facts wds, 5.3)."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from xds_server.mesh.policies.values import ip_block, port, service_account, string_match


class Attribute(NamedTuple):
    """What is compared: the field of ``Match`` that holds its values, and how one is read."""

    field: str
    read: Callable[[str, str], Any]
    expected: str


class Term(NamedTuple):
    """One list of values: a connection must have one of them or, if ``negative``, none."""

    attribute: Attribute
    negative: bool

    @property
    def field(self) -> str:
        return f"not_{self.attribute.field}" if self.negative else self.attribute.field


class Conditions(NamedTuple):
    """What may stand in one source, operation or condition; ``http`` is what only a waypoint can judge."""

    terms: Mapping[str, Term]
    http: frozenset[str] = frozenset()


_PATTERN = "text, with * at its start or end or alone"
_PRINCIPALS = Attribute("principals", string_match, _PATTERN)
_NAMESPACES = Attribute("namespaces", string_match, _PATTERN)
_SOURCE_IPS = Attribute("source_ips", ip_block, "an IP address or CIDR block")
_DESTINATION_IPS = Attribute("destination_ips", ip_block, "an IP address or CIDR block")
_PORTS = Attribute("destination_ports", port, "a port number from 0 to 65535, as text")
_SERVICE_ACCOUNTS = Attribute("service_accounts", service_account, "<account> or <namespace>/<account>")


def _terms(**attributes: Attribute) -> dict[str, Term]:
    """Each condition and its negation: ``ports`` and ``notPorts``."""
    terms = {}
    for name, attribute in attributes.items():
        terms[name] = Term(attribute, negative=False)
        terms[f"not{name[0].upper()}{name[1:]}"] = Term(attribute, negative=True)
    return terms


SOURCE = Conditions(
    _terms(
        principals=_PRINCIPALS,
        namespaces=_NAMESPACES,
        ipBlocks=_SOURCE_IPS,
        serviceAccounts=_SERVICE_ACCOUNTS,
    ),
    frozenset({"remoteIpBlocks", "notRemoteIpBlocks", "requestPrincipals", "notRequestPrincipals"}),
)
OPERATION = Conditions(
    _terms(ports=_PORTS),
    frozenset({"hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"}),
)
WHEN: Mapping[str, Conditions] = {
    key: Conditions(_terms(values=attribute))
    for key, attribute in {
        "source.ip": _SOURCE_IPS,
        "source.namespace": _NAMESPACES,
        "source.principal": _PRINCIPALS,
        "destination.ip": _DESTINATION_IPS,
        "destination.port": _PORTS,
    }.items()
}
"""What a ztunnel can judge, by ``key``."""

OF_REQUESTS = re.compile(
    r"request\.headers\[.*\]|request\.auth\.(?:principal|audiences|presenter|claims\[.*\])"
    r"|remote\.ip|connection\.sni|source\.serviceAccount|experimental\..*",
    re.DOTALL,
)
"""The other keys there are, which only a waypoint can judge."""
