"""Label selectors of the Kubernetes API, which several kinds hold: matchLabels and matchExpressions."""

from collections.abc import Callable, Mapping

from xds_server.exceptions import InputError
from xds_server.objects.kubernetes import Part

_Test = Callable[[str | None, tuple[str, ...]], bool]

_OPERATORS: dict[str, tuple[bool, _Test]] = {
    "In": (True, lambda value, values: value is not None and value in values),
    # As in Kubernetes, a label that is absent is not in any set either.
    "NotIn": (True, lambda value, values: value is None or value not in values),
    "Exists": (False, lambda value, _: value is not None),
    "DoesNotExist": (False, lambda value, _: value is None),
}
"""Operator -> whether it takes values, and its test of the label's value (None where absent)."""


class Requirement(Part, frozen=True):
    """One of matchExpressions."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None


class LabelSelector(Part, frozen=True):
    """A selector that says nothing selects everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Requirement, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """
        Tell whether the labels are selected.

        Raises:
            InputError: an operator or its values are not what Kubernetes accepts.

        """
        wanted = self.match_labels or {}
        # Every expression is read before any decides: a malformed one is told whatever the labels are.
        met = [_is_met(item, labels) for item in self.match_expressions or ()]
        return wanted.items() <= labels.items() and all(met)


def _is_met(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    if requirement.operator not in _OPERATORS:
        expected = ", ".join(_OPERATORS)
        raise InputError(f"operator of {requirement.key!r} is {requirement.operator!r}: expected {expected}")
    takes_values, test = _OPERATORS[requirement.operator]
    values = requirement.values or ()
    if bool(values) is not takes_values:
        expected = "values" if takes_values else "no values"
        raise InputError(f"{requirement.operator} of {requirement.key!r} has {values!r}: expected {expected}")
    return test(labels.get(requirement.key), values)
