"""How a made-up mesh is laid out: the names and addresses that follow from an object's number."""

import hashlib
import uuid
from typing import NamedTuple

REGION = "region-1"
ZONES = 3
SERVICES_PER_NAMESPACE = 20
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # those of Kubernetes: no word can come of them


class Size(NamedTuple):
    """How much there is of everything."""

    pods: int
    services: int
    nodes: int

    @property
    def paired_nodes(self) -> int:
        """The first half of the nodes: CPU node, DPU node, CPU node, ..."""
        return self.nodes // 4 * 2

    @property
    def namespaces(self) -> int:
        return -(-self.services // SERVICES_PER_NAMESPACE)


def uid(kind: str, name: str) -> str:
    return str(uuid.UUID(bytes=hashlib.md5(f"{kind}/{name}".encode(), usedforsecurity=False).digest()))


def short_hash(text: str, length: int) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:length]


def address(network: int, number: int) -> str:
    """Return the host of this number in ``10.network.0.0``, and the networks after it."""
    number += (network << 16) + 10
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def app_name(service: int) -> str:
    return f"app-{service}"


def namespace_name(service: int) -> str:
    return f"team-{service // SERVICES_PER_NAMESPACE}"


def node_name(node: int) -> str:
    return f"node{node}"


def node_address(node: int) -> str:
    return f"172.16.{node >> 8}.{node & 255}"


def pod_address(pod: int) -> str:
    return address(128, pod)


def service_of(size: Size, pod: int) -> int:
    return pod % size.services


def node_of(size: Size, pod: int) -> int:
    """Spread pods over all nodes but the DPUs."""
    hosts = size.nodes - size.paired_nodes // 2
    host = pod % hosts
    return 2 * host if host < size.paired_nodes // 2 else host + size.paired_nodes // 2


def zone(node: int) -> str:
    return f"zone-{node // 2 % ZONES}"


def pod_name(size: Size, pod: int) -> str:
    app = app_name(service_of(size, pod))
    return f"{app}-v1-{short_hash(app, 10)}-{pod_suffix(pod)}"


def pod_suffix(pod: int) -> str:
    """Return five letters that look like chance and are another pod's never."""
    # A factor without a divisor of the base makes a permutation of all suffixes.
    number, letters = pod * 5_000_011 % len(_LETTERS) ** 5, ""
    for _ in range(5):
        number, letter = divmod(number, len(_LETTERS))
        letters += _LETTERS[letter]
    return letters
