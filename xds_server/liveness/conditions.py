"""Conditions of Nodes: whether a node is ready, and what a CPU node is made to say of its pair."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from xds_server.cluster.request import STRATEGIC_MERGE_PATCH, Request
from xds_server.liveness.damping import Reason
from xds_server.liveness.verdicts import PairVerdict
from xds_server.objects.kubernetes import Node

PAIR_READY = "OffMeshPairReady"
"""The condition type that is kept on the CPU node of each judged pair."""
EVENTS = "/api/v1/namespaces/default/events"
"""Where Events about objects without a namespace belong."""
_MANAGER = {"fieldManager": "offmesh"}


class Told(NamedTuple):
    """The content of the condition."""

    status: str
    reason: str
    message: str


_UP = Told("True", "PairReady", "The agent on the DPU node renews its Lease, and both nodes are ready.")


def status_of(node: Node | None, condition: str) -> str | None:
    """Return the status of a condition; None where there is none."""
    found = (item.status for item in (node.status.conditions or () if node else ()) if item.type == condition)
    return next(found, None)


def found_on(node: Node) -> Told | None:
    """Return what the condition of a node says as far as that is read: reason and text are not."""
    status = status_of(node, PAIR_READY)
    if status is None:
        return None
    return _UP if status == "True" else Told(status, "", "")


def is_ready(node: Node | None) -> bool:
    """Tell whether nothing is said against a node: it may not be there, or not have told of itself yet."""
    return status_of(node, "Ready") in (None, "True")


def told_of(verdict: PairVerdict, lease_seconds: float) -> Told:
    """Return what the condition of a pair is to be; the same words as long as nothing changes."""
    if not verdict.down:
        return _UP
    texts = {
        Reason.LEASE_EXPIRED: f"The agent on DPU node {verdict.dpu_node} has not renewed its Lease for "
        f"{lease_seconds:g} s.",
        Reason.DPU_NOT_READY: f"DPU node {verdict.dpu_node} is not ready.",
        Reason.CPU_NOT_READY: "This node is not ready.",
    }
    return Told("False", verdict.reasons[0], " ".join(texts[reason] for reason in verdict.reasons))


def condition_patch(node: str, told: Told, now: datetime, *, is_transition: bool) -> Request:
    """Return what writes the condition; the time of its transition stays if this is none."""
    at = _time(now)
    condition = {"type": PAIR_READY, **told._asdict(), "lastHeartbeatTime": at}
    return _patch(node, condition | ({"lastTransitionTime": at} if is_transition else {}))


def removal_patch(node: str) -> Request:
    return _patch(node, {"$patch": "delete", "type": PAIR_READY})


def _patch(node: str, condition: dict[str, str]) -> Request:
    path, body = f"/api/v1/nodes/{node}/status", {"status": {"conditions": [condition]}}
    kind, right = STRATEGIC_MERGE_PATCH, "patch of nodes/status"
    return Request("PATCH", path, body, _MANAGER, content_type=kind, right=right)


def event_of(node: Node, told: Told, now: datetime) -> Request:
    """Return what makes the Event of a transition, where ``kubectl describe node`` finds it."""
    reference = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.metadata.uid}
    at = _time(now)
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{node.name}.", "namespace": "default"},
        "involvedObject": reference,
        "type": "Normal" if told.status == "True" else "Warning",
        "reason": told.reason,
        "message": told.message,
        "source": {"component": "offmesh"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    return Request("POST", EVENTS, body, _MANAGER, right="create of events in namespace default")


def _time(at: datetime) -> str:
    """As the API takes it: RFC 3339, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
