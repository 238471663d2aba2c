"""
What governs a made-up mesh: a waypoint for every namespace, which its services use, and policies.

It lies in files beside those of the mesh, and each policy has a file of its own, so that it can change.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from bench.changes import Change
from bench.layout import Size, address, app_name, namespace_name, uid
from bench.objects import BORN, Json, namespace

POLICIES = 500
WAYPOINT = "waypoint"
_CLASS = "istio-waypoint"
_USES_WAYPOINT = {"istio.io/use-waypoint": WAYPOINT}


def governing_objects(size: Size) -> Iterator[Json]:
    """Yield the class of waypoints and a ready waypoint for each namespace."""
    yield {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": _CLASS, "uid": uid("GatewayClass", _CLASS), "creationTimestamp": BORN},
        "spec": {"controllerName": "istio.io/mesh-controller"},
    }
    yield from (_waypoint(number) for number in range(size.namespaces))


def governed_namespace(number: int) -> Json:
    """Return the namespace of this number, whose services use its waypoint."""
    made = namespace(number)
    made["metadata"]["labels"] |= _USES_WAYPOINT
    return made


def _waypoint(number: int) -> Json:
    home = f"team-{number}"
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": WAYPOINT,
            "namespace": home,
            "uid": uid("Gateway", f"{home}/{WAYPOINT}"),
            "labels": {"istio.io/waypoint-for": "service"},
            "creationTimestamp": BORN,
        },
        "spec": {
            "gatewayClassName": _CLASS,
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
        },
        "status": {"addresses": [{"type": "IPAddress", "value": address(112, number)}]},
    }


def policy(size: Size, number: int, port: int = 8080) -> Json:
    """Return a policy that lets one namespace reach one port of one service's pods."""
    chosen = number % size.services
    home, name = namespace_name(chosen), f"only-peers-{number}"
    source = {"source": {"namespaces": [home]}}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {
            "name": name,
            "namespace": home,
            "uid": uid("AuthorizationPolicy", f"{home}/{name}"),
            "creationTimestamp": BORN,
        },
        "spec": {
            "action": "ALLOW",
            "selector": {"matchLabels": {"app": app_name(chosen)}},
            "rules": [{"from": [source], "to": [{"operation": {"ports": [str(port)]}}]}],
        },
    }


class ChangingPolicy:
    """A policy in a file of its own, which is rewritten in place with another port."""

    def __init__(self, folder: Path, size: Size, number: int) -> None:
        self._file = _policy_file(folder, number)
        self._size = size
        self._number = number

    def change(self, revision: int) -> Change:
        made = policy(self._size, self._number, port=1024 + revision % 60_000)
        self._file.write_text(json.dumps(made))
        return Change(made["metadata"]["name"], revision, time.time_ns())


def govern(folder: Path, size: Size) -> None:
    """Add what governs to the folder of a mesh that has governed namespaces."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(governing_objects(size))}
    (folder / "mesh" / "governing.json").write_text(json.dumps(listed))
    _policy_file(folder, 0).parent.mkdir()
    for number in range(POLICIES):
        _policy_file(folder, number).write_text(json.dumps(policy(size, number)))


def _policy_file(folder: Path, number: int) -> Path:
    return folder / "mesh" / "policies" / f"policy-{number}.json"
