"""The canary: a second waypoint that takes a share of a service's traffic (facts wds, 4.8)."""

import re
from typing import NamedTuple

from xds_server.mesh.waypoints.attachment import Attachment, foreign, unsupported
from xds_server.mesh.waypoints.references import CANARY_LABEL
from xds_server.protobuf.workloadapi import workload_pb2 as api

WEIGHT_ANNOTATION = "istio.io/use-waypoint-canary-weight"
_WEIGHT = re.compile(r"[+-]?[0-9]{1,9}")


class Canary(NamedTuple):
    """A canary as asked for, with what is wrong already."""

    attachment: Attachment | None = None
    weight: str | None = None
    problem: str = ""


class Shares(NamedTuple):
    """Shares of both waypoints, or none of them and why."""

    weighted: tuple[api.WeightedWaypoint, ...] = ()
    problem: str = ""


def weighted(primary: Attachment, canary: Canary, private_to: str | None) -> Shares:
    """Share out the traffic of a service, which ``private_to`` keeps inside of one namespace."""
    other = canary.attachment
    if other is None or other.place is None or primary.place is None:
        # A client rejects a whole service for one share without a destination.
        return Shares(problem=canary.problem)
    problem = _problem(primary, other, private_to)
    if problem:
        return Shares(problem=problem)
    weight = _weight(canary.weight)
    if weight is None:
        expected = "expected a whole number from 0 to 100 (CanaryInvalidWeight)"
        return Shares(problem=f"annotation {WEIGHT_ANNOTATION} is {canary.weight!r}: {expected}")
    stays = api.WeightedWaypoint(destination=primary.place.message(), weight=100 - weight)
    moves = api.WeightedWaypoint(destination=other.place.message(), weight=weight)
    return Shares((stays, moves))


def _problem(primary: Attachment, other: Attachment, private_to: str | None) -> str:
    if other.gateway == primary.gateway:
        expected = "expected another waypoint than the first (CanarySameAsPrimary)"
        return f"label {CANARY_LABEL} says {other.gateway!r}: {expected}"
    if not other.takes("service"):
        return unsupported(CANARY_LABEL, other.gateway, "service")
    # istiod lets a canary out of the namespace that keeps the primary in; nobody who may label
    # a ServiceEntry should get round what the mesh's settings say of its visibility.
    if private_to is not None and private_to != other.namespace:
        return foreign(CANARY_LABEL, other.gateway, private_to)
    return ""


def _weight(text: str | None) -> int | None:
    if text is None:
        return 0
    if not _WEIGHT.fullmatch(text):
        return None
    weight = int(text)
    return weight if 0 <= weight <= 100 else None
