"""Numbers: how they are ranked and how they are told."""

from collections.abc import Sequence
from math import inf, isfinite
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all does not exceed, infinite when there is none."""
    if not values:
        return inf
    return sorted(values)[int((len(values) - 1) * share)]


def rounded(value: float) -> str:
    """Round to three digits at most, as one would say the number."""
    if not isfinite(value):
        return "never"
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """Tell the median, and from where to where when there are several."""
    middle = rounded(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({rounded(min(values))}..{rounded(max(values))})"
