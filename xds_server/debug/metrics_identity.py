"""What is measured of identities: who proved itself, what was granted, what waits to be signed."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from xds_server.debug.metric_families import counters
from xds_server.debug.served import Served
from xds_server.exceptions import InputError


def identity_metrics(served: Served) -> Iterator[Metric]:
    parts = served.identity
    if parts is None:
        return
    yield counters(
        "offmesh_authentications",
        "Calls by how they proved who they are.",
        ["proof"],
        parts.authenticator.outcomes,
    )
    yield counters(
        "offmesh_identities", "Identities asked for.", ["service", "outcome"], parts.audit.outcomes
    )
    yield CounterMetricFamily("offmesh_certificates_signed", "Certificates signed.", parts.signer.signed)
    yield GaugeMetricFamily(
        "offmesh_signing_waiting", "Requests that wait to be signed.", parts.signer.waiting
    )
    failing = bool(parts.authority.failure)
    yield GaugeMetricFamily(
        "offmesh_authority_failing", "Whether the files of the authority are not those in force.", failing
    )
    try:
        until = parts.authority.rotation.current.not_after
    except InputError:
        return
    yield GaugeMetricFamily(
        "offmesh_issuer_expiry_timestamp_seconds",
        "When the issuing certificate expires, in Unix time.",
        until,
    )
