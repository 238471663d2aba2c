"""
Renews the Lease of a DPU node, by which the control plane knows that the pair lives.

The pod's own account is used, over the standard library's HTTP: a client of Kubernetes would take more
memory than all of the agent. The Lease is applied, so it is made if it is not there.
"""

import asyncio
import json
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException, HTTPSConnection

from xds_server.agent.settings import LeaseSettings
from xds_server.agent.tokens import read_token
from xds_server.exceptions import ClusterError

log = logging.getLogger(__name__)

_LABELS = {"offmesh.io/agent": "true", "app.kubernetes.io/managed-by": "offmesh"}
_TIMEOUT_SECONDS = 5.0
_MOST_TOLD = 300


async def renew_lease(settings: LeaseSettings, node: Callable[[], str]) -> None:
    """Renew until cancelled; ``node`` tells whose Lease it is now, or nothing while none is to be renewed."""
    problem = ""
    while True:
        name = node()
        try:
            if name:
                await asyncio.to_thread(renew_once, settings, name, datetime.now(UTC), os.environ)
                if problem:
                    log.info("Lease %s/%s is renewed again", settings.namespace, name)
                problem = ""
        except ClusterError as error:
            if str(error) != problem:
                log.warning("Lease %s/%s is not renewed: %s", settings.namespace, name, error)
            problem = str(error)
        # As soon as there is something to renew, and sooner after a failure than the next turn.
        await asyncio.sleep(settings.renew_seconds if name and not problem else settings.renew_seconds / 5)


def renew_once(settings: LeaseSettings, node: str, now: datetime, environment: Mapping[str, str]) -> None:
    """
    Renew a Lease as of ``now``.

    Raises:
        ClusterError: there is no account to do so with, no answer, or a refusal.

    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ClusterError("KUBERNETES_SERVICE_HOST is not set: expected to run in a pod")
    if not port.isdecimal():
        raise ClusterError(f"KUBERNETES_SERVICE_PORT is {port!r}: expected a number")
    path = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases/{node}"
    body = json.dumps(_lease(settings, node, now))
    try:
        token = read_token(settings.account / "token")
        trust = ssl.create_default_context(cafile=str(settings.account / "ca.crt"))
        connection = HTTPSConnection(host, int(port), timeout=_TIMEOUT_SECONDS, context=trust)
    except (OSError, ValueError) as error:
        raise ClusterError(f"the account in {settings.account} is of no use: {error}") from error
    try:
        connection.request("PATCH", f"{path}?fieldManager=offmesh-agent&force=true", body, _headers(token))
        answer = connection.getresponse()
        said = answer.read(1 << 16).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise ClusterError(f"the API server at {host}:{port}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status not in (200, 201):
        raise ClusterError(f"the API server refused, {answer.status}: {said[:_MOST_TOLD]}")


def _headers(token: str) -> dict[str, str]:
    kind = "application/apply-patch+yaml"
    return {"Authorization": f"Bearer {token}", "Content-Type": kind, "Accept": "application/json"}


def _lease(settings: LeaseSettings, node: str, now: datetime) -> object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node, "namespace": settings.namespace, "labels": _LABELS},
        "spec": {
            "holderIdentity": node,
            "leaseDurationSeconds": settings.duration_seconds,
            "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }
