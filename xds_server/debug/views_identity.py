"""What is told of identities: who may have which, why, and what was issued. Never a key."""

from collections.abc import Iterator

from cryptography import x509

from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.question import Question, RefusedError
from xds_server.debug.served import Served
from xds_server.debug.times import epoch_text, time_text
from xds_server.exceptions import InputError
from xds_server.identity.audit import Issued
from xds_server.identity.explain import explain as explained
from xds_server.identity.parts import IdentityParts
from xds_server.identity.spiffe import Identity
from xds_server.mesh.placement import DPU_CLUSTER

_CLUSTERS = {"first": "", "dpu": DPU_CLUSTER}
_EXAMPLE = "/debug/explain?node=dpu-a&identity=spiffe://cluster.local/ns/default/sa/web"


def explain(served: Served, question: Question) -> Json:
    """Tell why the ztunnel of a node may or may not have an identity; of namesakes, that of ``cluster``."""
    node, identity, cluster = question.text("node"), question.text("identity"), question.text("cluster")
    if not node or not identity:
        missing = "identity" if node else "node"
        raise RefusedError(400, f"parameter {missing} is missing: expected {_EXAMPLE}")
    if cluster and cluster not in _CLUSTERS:
        raise RefusedError(400, f"parameter cluster is {cluster[:100]!r}: expected {' or '.join(_CLUSTERS)}")
    explanation = explained(_parts(served).authorizer, node, identity, _CLUSTERS.get(cluster))
    return {
        "cluster": "dpu" if explanation.cluster else "first",
        "node": node,
        "identity": identity,
        "allowed": explanation.allowed,
        "checks": [
            {"check": check.name, "passed": check.passed, "found": check.found, "expected": check.expected}
            for check in explanation.checks
        ],
    }


def secretz(served: Served, question: Question) -> Json:
    """Tell the authority, and of each identity who may hold it and the latest certificate it was given."""
    parts = _parts(served)
    node, namespace = question.text("node"), question.text("ns")
    return {
        "trustDomain": served.settings.mesh.trust_domain,
        "authority": _authority(parts),
        "identities": _identities(served, parts, node, namespace),
    }


def _parts(served: Served) -> IdentityParts:
    if served.identity is None:
        raise RefusedError(404, "the secure port is off, so no identity is given to anybody")
    return served.identity


def _authority(parts: IdentityParts) -> Json:
    try:
        rotation = parts.authority.rotation
    except InputError as error:
        return {"failure": str(error)}
    following = rotation.next
    roots = x509.load_pem_x509_certificates(rotation.trust_bundle.encode())
    return {
        "issuer": rotation.current.digest,
        "issuerNotAfter": epoch_text(rotation.current.not_after),
        "nextIssuer": following.digest if following else None,
        "nextIssuerFrom": epoch_text(rotation.switch_at) if following else None,
        "roots": [_certificate(root) for root in roots],
        "failure": parts.authority.failure,
    }


def _certificate(certificate: x509.Certificate) -> Json:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "notBefore": time_text(certificate.not_valid_before_utc),
        "notAfter": time_text(certificate.not_valid_after_utc),
    }


def _identities(served: Served, parts: IdentityParts, node: str, namespace: str) -> Iterator[object]:
    issued = dict(parts.audit.issued())
    accounts = served.mesh.identities.accounts(parts.authorizer.trusted_node_accounts)
    domain = served.settings.mesh.trust_domain
    held = {str(Identity(domain, *account.split("/", 1))): nodes for account, nodes in accounts.items()}
    for identity in sorted(held.keys() | issued.keys()):
        nodes = held.get(identity, set())
        if (node and node not in nodes) or (namespace and f"/ns/{namespace}/" not in identity):
            yield SKIPPED
            continue
        yield {"identity": identity, "nodes": sorted(nodes), **_latest(issued.get(identity))}


def _latest(issued: Issued | None) -> Json:
    if issued is None:
        return {"serial": None, "notBefore": None, "notAfter": None, "issuedTo": None, "by": None}
    return {
        "serial": issued.serial,
        "notBefore": epoch_text(issued.not_before),
        "notAfter": epoch_text(issued.not_after),
        "issuedTo": issued.caller,
        "by": issued.way.value,
    }
