"""
Istio's AuthorizationPolicy and PeerAuthentication.

Their specs are kept as they came: a policy that cannot be read must not be missing, for that would
permit what it forbids. What it means is judged, part by part, where it is put into force.
"""

from typing import Any

from xds_server.objects.kubernetes import DatedObject, KubernetesObject


class AuthorizationPolicy(KubernetesObject, frozen=True):
    """Who may talk to whom."""

    spec: Any = None


class PeerAuthentication(DatedObject, frozen=True):
    """Which ports of which workloads take mutual TLS only."""

    spec: Any = None
