"""Policies as YAML, and what is made of one of them."""

from typing import Any

import yaml

from tests.helpers.policies import PoliciesUnderTest, groups
from xds_server.objects.policies import AuthorizationPolicy
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization


def policy(spec: str = "{}", *, namespace: str = "ns1", annotations: str = "{}") -> str:
    return (
        f"{{kind: AuthorizationPolicy, metadata: {{name: p, namespace: {namespace}, "
        f"annotations: {annotations}}}, spec: {spec}}}"
    )


def served(spec: str, **where: str) -> Authorization:
    return PoliciesUnderTest(policy(spec, **where)).served()[f"{where.get('namespace', 'ns1')}/p"]


def converted(action: str, *rules: str) -> list[Any]:
    return groups(served(f"{{action: {action}, rules: [{', '.join(rules)}]}}"))


def told(spec: object) -> str:
    policies = PoliciesUnderTest()
    policies.put_spec(AuthorizationPolicy, yaml.safe_load(spec) if isinstance(spec, str) else spec)
    return policies.problems().get("ns1/p", "")


def peer(name: str, spec: str, namespace: str = "ns1", created: str = "2024-01-01T00:00:00Z") -> str:
    return (
        f"{{kind: PeerAuthentication, metadata: {{name: {name}, namespace: {namespace}, "
        f"creationTimestamp: '{created}'}}, spec: {spec}}}"
    )


def mode(name: str) -> str:
    return f"{{mtls: {{mode: {name}}}}}"


def selecting(name: str, ports: str = "{}") -> str:
    return f"{{selector: {{matchLabels: {{app: a}}}}, mtls: {{mode: {name}}}, portLevelMtls: {ports}}}"
