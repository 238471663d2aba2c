"""
What manifest files hold, and what a reading of one changes in that.

Theory
1. What a file newly says is in force at once. What it no longer says is *leaving*, and goes only when
   a reading ``settle_seconds`` later finds the same: an editor that replaces a file, or a writer that
   closes and reopens it, never looks like a deletion.
2. A file that cannot be read, is blank or is no JSON or YAML keeps all it held, and is to be read again.
3. An object that can be told but not used keeps the last version that could.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from xds_server.exceptions import Problem
from xds_server.sources.manifests.decode import Contents, ObjectId
from xds_server.sources.manifests.definitions import Definitions
from xds_server.sources.manifests.reading import Mark, Outcome, Reading

_MOST_PROBLEMS = 100

# Past this the longest pause is reached by any sensible first one, and the product stays a small number.
_MOST_DOUBLINGS = 20

_KEPT = "its last good version stays in force"


@dataclass(frozen=True, slots=True)
class Timing:
    """Pauses, in seconds."""

    settle_seconds: float = 0.25
    """What a file no longer says must stay unsaid for this long."""
    retry_seconds: float = 0.1
    """The first pause before an unusable file is read again; each further one is twice as long."""
    longest_retry_seconds: float = 5.0
    scan_seconds: float | None = None
    """Between looks for changes the system did not tell of; None leaves it to the watch."""


class Verdict(NamedTuple):
    """What follows from a reading."""

    touched: Collection[ObjectId] = ()
    """Objects whose definition in force may differ now."""
    again_at: float | None = None
    """When the file is to be read again, whether or not it changes."""


@dataclass(slots=True)
class FileState:
    """What is known of a file beside its objects."""

    mark: Mark = field(default_factory=Mark)
    settles_at: float | None = None
    """When what is leaving may go, if the file is still as ``mark`` says."""
    failures: int = 0
    """Unusable readings since the file last changed."""
    problems: Sequence[Problem] = ()
    ignored: Counter[str] = field(default_factory=Counter)


class Holdings:
    """The state of every file, and the definitions that follow."""

    def __init__(self, given: Collection[str], timing: Timing) -> None:
        self._given = given
        self._timing = timing
        self.definitions = Definitions()
        self.states: dict[str, FileState] = {}

    def mark(self, file: str) -> Mark:
        """Return the mark of the last reading of a file."""
        state = self.states.get(file)
        return state.mark if state else Mark()

    def problems(self, file: str) -> list[Problem]:
        """Return what is wrong with a file, the last problem standing for all past a bound."""
        state = self.states.get(file)
        problems = [*state.problems] if state else []
        for (kind, key), winner in self.definitions.overruled(file):
            value, expected = f"also defined in {winner}", "one definition; that one is in force"
            problems.append(Problem(file, f"{kind.__name__} {key}", value, expected))
        if len(problems) > _MOST_PROBLEMS:
            more = f"{len(problems) - _MOST_PROBLEMS} more problems"
            problems[_MOST_PROBLEMS:] = [Problem(file, f"and {more}", "", "")]
        return problems

    def receive(self, file: str, reading: Reading, now: float) -> Verdict:
        """Take in a reading of ``file`` made at ``now``."""
        state = self.states.setdefault(file, FileState())
        match reading.result:
            case Contents() as contents:
                return self._receive_contents(file, reading.mark, contents, now)
            case Problem() as problem:
                return self._fail(state, reading.mark, [problem], now)
            case Outcome.BLANK:
                return self._receive_blank(file, reading.mark, now)
            case Outcome.SAME:
                return self._receive_same(file, reading.mark, now)
            case Outcome.MISSING | Outcome.FOLDER as absence:
                return self._receive_absence(file, absence, now)

    def _receive_contents(self, file: str, mark: Mark, contents: Contents, now: float) -> Verdict:
        held = self.definitions.held(file)
        lost = contents.unusable.keys() - contents.objects.keys()
        kept = {known: held[known] for known in lost & held.keys()}
        said = {**kept, **contents.objects}
        unsaid = {known: item for known, item in held.items() if known not in said}
        settles_at = now + self._timing.settle_seconds if unsaid else None
        problems = _with_kept(contents, kept)
        self.states[file] = FileState(mark, settles_at, 0, problems, contents.ignored)
        touched = self.definitions.replace(file, {**unsaid, **said}, frozenset(unsaid))
        return Verdict(touched, settles_at)

    def _receive_blank(self, file: str, mark: Mark, now: float) -> Verdict:
        if not self.definitions.held(file):
            return self._receive_contents(file, mark, Contents(), now)
        expected = "objects; what it held stays in force, delete the file to remove that"
        return self._fail(self.states[file], mark, [Problem(file, "the file", "empty", expected)], now)

    def _receive_absence(self, file: str, absence: Outcome, now: float) -> Verdict:
        state, held = self.states[file], self.definitions.held(file)
        if held and (state.mark != Mark() or state.settles_at is None):
            settles_at = now + self._timing.settle_seconds
            self.states[file] = FileState(settles_at=settles_at)
            return Verdict(self.definitions.replace(file, held, frozenset(held)), settles_at)
        if held and state.settles_at is not None and now < state.settles_at:
            return Verdict((), state.settles_at)
        del self.states[file]
        if absence is Outcome.MISSING and file in self._given:
            self.states[file] = FileState(
                problems=[Problem(file, "the path", "missing", "a file or a folder")]
            )
        return Verdict(self.definitions.replace(file, {}))

    def _receive_same(self, file: str, mark: Mark, now: float) -> Verdict:
        state = self.states[file]
        if state.failures:
            return self._fail(state, mark, state.problems, now)
        if state.settles_at is not None and state.mark != mark:
            state.settles_at = now + self._timing.settle_seconds
        state.mark = mark
        if state.settles_at is None or now < state.settles_at:
            return Verdict((), state.settles_at)
        state.settles_at = None
        leaving = self.definitions.leaving(file)
        said = {known: item for known, item in self.definitions.held(file).items() if known not in leaving}
        return Verdict(self.definitions.replace(file, said))

    def _fail(self, state: FileState, mark: Mark, problems: Sequence[Problem], now: float) -> Verdict:
        """Keep all a file holds, and have it read again."""
        state.failures = state.failures + 1 if mark == state.mark else 1
        state.mark, state.problems, state.settles_at = mark, problems, None
        doublings = min(state.failures - 1, _MOST_DOUBLINGS)
        pause = min(self._timing.retry_seconds * 2**doublings, self._timing.longest_retry_seconds)
        return Verdict((), now + pause)


def _with_kept(contents: Contents, kept: Collection[ObjectId]) -> list[Problem]:
    """Return the problems of a file, telling for which objects an earlier version stays."""
    concerned = {contents.unusable[known] for known in kept}
    return [
        replace(problem, value=f"{problem.value} ({_KEPT})") if problem in concerned else problem
        for problem in contents.problems
    ]
