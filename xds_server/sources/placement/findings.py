"""What is wrong in one file, gathered while it is read, so that one edit can mend it all."""

from collections.abc import Sequence

from xds_server.exceptions import InputError, Problem

SHOWN_AT_MOST = 60


class PlacementError(InputError):
    """The placement map cannot be used; ``problems`` are the reasons, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class Findings:
    """The problems of one file. Past ``at_most`` they are only counted: a broken file stays readable."""

    def __init__(self, where: str, at_most: int = 20) -> None:
        self.where = where
        self._at_most = at_most
        self._found: list[tuple[int, Problem]] = []
        self._more = 0

    def __len__(self) -> int:
        return len(self._found) + self._more

    @property
    def full(self) -> bool:
        """True when a further problem would only be counted, so its wording need not be worked out."""
        return len(self._found) >= self._at_most

    def add(self, line: int, subject: str, value: str, expected: str) -> None:
        """Note a problem; ``line`` counts from 1."""
        if self.full:
            self._more += 1
        else:
            self._found.append((line, Problem(f"{self.where}:{line}", subject, value, expected)))

    def problems(self) -> tuple[Problem, ...]:
        """Return the problems by line, the last one telling how many more there are."""
        by_line = sorted(self._found, key=lambda found: found[0])
        problems = [problem for _, problem in by_line]
        if self._more:
            problems.append(Problem(self.where, f"and {self._more} more", "", ""))
        return tuple(problems)


def shown(text: str) -> str:
    """Return ``text`` quoted and on one line, cut where it would hide the message around it."""
    if len(text) > SHOWN_AT_MOST:
        return f"{text[:SHOWN_AT_MOST]!r}... ({len(text)} characters)"
    return repr(text)
