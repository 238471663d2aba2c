"""References: which waypoint the labels of an object or of its namespace name (facts wds, 4.1)."""

from collections.abc import Mapping

USE_LABEL = "istio.io/use-waypoint"
CANARY_LABEL = "istio.io/use-waypoint-canary"
OPTED_OUT = ""


def use_reference(labels: Mapping[str, str], namespace: str) -> str | None:
    """
    Return ``namespace/name`` of the Gateway named by an object of ``namespace``.

    None where nothing is said, ``OPTED_OUT`` where no waypoint is wanted. Presence decides: an
    empty name is a reference that no Gateway answers.
    """
    return _reference(labels, namespace, USE_LABEL)


def canary_reference(labels: Mapping[str, str], namespace: str) -> str | None:
    """Return the same of the canary; here an empty name is an opt-out too."""
    return OPTED_OUT if labels.get(CANARY_LABEL) == "" else _reference(labels, namespace, CANARY_LABEL)


def _reference(labels: Mapping[str, str], namespace: str, label: str) -> str | None:
    name = labels.get(label)
    if name is None:
        return None
    if name == "none":
        return OPTED_OUT
    return f"{labels.get(f'{label}-namespace', namespace)}/{name}"
