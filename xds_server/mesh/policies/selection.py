"""Which workloads a policy selects: labels they must all have (facts wds, 5.5)."""

from typing import Any

from xds_server.exceptions import InputError
from xds_server.mesh.policies.reading import shown
from xds_server.mesh.targets import label_group


def selector_labels(selector: object) -> dict[str, str] | None:
    """
    Read ``selector``; None where there is none, which is not the same as one without labels.

    Raises:
        InputError: it is no selector.

    """
    if selector is None:
        return None
    if not isinstance(selector, dict) or selector.keys() - {"matchLabels"}:
        raise InputError(f"selector is {shown(selector)}: expected only matchLabels")
    labels = selector.get("matchLabels")
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(map(_is_text, labels.items())):
        raise InputError(f"selector.matchLabels is {shown(labels)}: expected a mapping of text to text")
    return labels


def selection_group(namespace: str, labels: dict[str, str]) -> str:
    """
    Name the one label of a selector by which the policy is looked up.

    A workload looks under each of its labels and checks the rest itself, so a changed policy reruns only
    the workloads that carry this label. The longest text is most often the rarest.
    """
    name, value = max(labels.items(), key=lambda item: (len(item[0]) + len(item[1]), item))
    return label_group(namespace, name, value)


def _is_text(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], str)
