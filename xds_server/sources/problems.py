"""The inputs that could not be used: what ``/debug/errorsz`` shows and a metric counts."""

from collections.abc import Sequence

from xds_server.exceptions import Problem


class Problems:
    """Problems in force, by the place (a file) that has them, and how many were ever reported."""

    def __init__(self) -> None:
        self.by_place: dict[str, tuple[Problem, ...]] = {}
        self.reported = 0

    def replace(self, place: str, problems: Sequence[Problem]) -> list[Problem]:
        """Make ``problems`` all that is wrong at ``place``; return those that were not known before."""
        known = self.by_place.get(place, ())
        fresh = [problem for problem in problems if problem not in known]
        self.reported += len(fresh)
        if problems:
            self.by_place[place] = tuple(problems)
        else:
            self.by_place.pop(place, None)
        return fresh
