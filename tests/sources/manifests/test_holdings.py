"""What a reading of a file changes, when, and what is to follow; time is an argument."""

import pytest

from xds_server.exceptions import Problem
from xds_server.objects.kubernetes import Node, ObjectMeta
from xds_server.sources.manifests.decode import Contents, ObjectId
from xds_server.sources.manifests.holdings import Holdings, Timing, Verdict
from xds_server.sources.manifests.reading import Mark, Outcome, Reading
from xds_server.sources.watch.survey import Stamp

SETTLE, RETRY, LONGEST = 10.0, 1.0, 60.0


def node(name: str, uid: str = "") -> Node:
    return Node(metadata=ObjectMeta(name=name, uid=uid))


def known(name: str) -> ObjectId:
    return Node, name


def mark(text: str, written_at: int = 0) -> Mark:
    return Mark(Stamp(1, written_at, len(text)), text.encode())


def said(text: str, *unusable: str) -> Reading:
    """A reading of a file whose every letter is a node."""
    problems = {known(name): Problem("f", f"Node {name}", "bad", "good") for name in unusable}
    objects = {known(name): node(name) for name in text if name not in unusable}
    return Reading(mark(text), Contents(dict(objects), problems, [*problems.values()]))


def same(text: str, written_at: int = 0) -> Reading:
    return Reading(mark(text, written_at), Outcome.SAME)


def broken(text: str) -> Reading:
    return Reading(mark(text), Problem("f", "its YAML", "unusable", ""))


BLANK = Reading(mark(""), Outcome.BLANK)
MISSING = Reading(Mark(), Outcome.MISSING)
FOLDER = Reading(Mark(), Outcome.FOLDER)
LOCKED = Reading(Mark(), Problem("f", "the file", "unreadable", ""))


class Story:
    """One file ``f`` and the readings of it, one after another."""

    def __init__(self, *given: str) -> None:
        self.holdings = Holdings(given, Timing(SETTLE, RETRY, LONGEST))

    def tell(self, now: float, reading: Reading) -> Verdict:
        return self.holdings.receive("f", reading, now)

    @property
    def in_force(self) -> str:
        return "".join(sorted(name for _, name in self.holdings.definitions))

    @property
    def problems(self) -> list[str]:
        return [str(problem) for problem in self.holdings.problems("f")]


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_a_file_newly_says_is_in_force_at_once(story: Story) -> None:
    assert story.tell(0, said("ab")) == Verdict({known("a"), known("b")}, None)
    assert story.tell(1, said("abc")) == Verdict({known("c")}, None)
    assert story.in_force == "abc"


def test_what_a_file_no_longer_says_goes_when_it_is_still_unsaid_after_the_pause(story: Story) -> None:
    story.tell(0, said("ab"))
    assert story.tell(1, said("ac")) == Verdict({known("c")}, 1 + SETTLE)
    assert story.in_force == "abc"
    assert story.tell(1 + SETTLE, same("ac")) == Verdict({known("b")}, None)
    assert story.in_force == "ac"


def test_reading_it_again_too_early_settles_nothing(story: Story) -> None:
    story.tell(0, said("ab"))
    story.tell(1, said("a"))
    assert story.tell(2, same("a")) == Verdict((), 1 + SETTLE)
    assert story.in_force == "ab"


def test_a_file_written_again_meanwhile_starts_the_pause_anew(story: Story) -> None:
    story.tell(0, said("ab"))
    story.tell(1, said("a"))
    assert story.tell(5, same("a", written_at=5)) == Verdict((), 5 + SETTLE)
    assert story.tell(1 + SETTLE, same("a", written_at=5)) == Verdict((), 5 + SETTLE)
    assert story.in_force == "ab"
    story.tell(5 + SETTLE, same("a", written_at=5))
    assert story.in_force == "a"


def test_what_is_said_again_within_the_pause_was_never_gone(story: Story) -> None:
    story.tell(0, said("ab"))
    story.tell(1, said("a"))
    assert story.tell(2, said("ab")) == Verdict(set(), None)
    assert story.tell(1 + SETTLE, same("ab")) == Verdict((), None)
    assert story.in_force == "ab"


def test_the_objects_of_a_file_that_is_missing_go_when_it_is_still_missing_after_the_pause(
    story: Story,
) -> None:
    story.tell(0, said("ab"))
    assert story.tell(1, MISSING).again_at == 1 + SETTLE
    assert story.tell(2, MISSING) == Verdict((), 1 + SETTLE)
    assert story.in_force == "ab"
    assert story.tell(1 + SETTLE, MISSING) == Verdict({known("a"), known("b")}, None)
    assert story.in_force == ""
    assert story.holdings.states == {}


def test_a_file_that_returns_within_the_pause_was_never_gone(story: Story) -> None:
    story.tell(0, said("ab"))
    story.tell(1, MISSING)
    assert story.tell(2, said("ab")) == Verdict(set(), None)
    assert story.in_force == "ab"


@pytest.mark.parametrize("unusable", [broken("a"), LOCKED, BLANK])
def test_an_unusable_file_keeps_all_it_held_and_is_read_again(story: Story, unusable: Reading) -> None:
    story.tell(0, said("ab"))
    assert story.tell(1, unusable) == Verdict((), 1 + RETRY)
    assert story.in_force == "ab"
    assert len(story.problems) == 1


def test_an_empty_file_that_held_objects_says_how_to_remove_them(story: Story) -> None:
    story.tell(0, said("a"))
    story.tell(1, BLANK)
    assert story.problems == [
        "f: the file is empty: expected objects; what it held stays in force, delete the file to remove that"
    ]


def test_an_empty_file_that_held_nothing_is_no_problem(story: Story) -> None:
    assert story.tell(0, BLANK) == Verdict(set(), None)
    assert story.problems == []


@pytest.mark.parametrize("again", [same("a"), LOCKED])
def test_pauses_between_readings_of_an_unusable_file_double_up_to_the_longest(
    story: Story, again: Reading
) -> None:
    story.tell(0, LOCKED if again is LOCKED else broken("a"))
    pauses = [(story.tell(0, again).again_at or 0) for _ in range(2000)]
    assert pauses[:7] == [2, 4, 8, 16, 32, LONGEST, LONGEST]
    assert pauses[-1] == LONGEST


def test_an_unusable_file_that_changed_is_read_again_soon(story: Story) -> None:
    for text in ("x", "y", "z"):
        assert story.tell(0, broken(text)).again_at == RETRY


def test_a_file_that_becomes_usable_has_no_problem_and_no_further_reading(story: Story) -> None:
    story.tell(0, broken("x"))
    assert story.tell(1, said("a")) == Verdict({known("a")}, None)
    assert story.problems == []


def test_a_broken_file_that_is_deleted_gives_up_its_objects(story: Story) -> None:
    story.tell(0, said("a"))
    story.tell(1, broken("x"))
    assert story.tell(2, MISSING).again_at == 2 + SETTLE
    assert story.problems == []
    story.tell(2 + SETTLE, MISSING)
    assert story.in_force == ""


def test_an_unreadable_file_does_not_count_as_missing(story: Story) -> None:
    story.tell(0, said("a"))
    story.tell(1, LOCKED)
    story.tell(2, MISSING)
    story.tell(3, LOCKED)
    assert story.tell(2 + SETTLE, MISSING).again_at == 2 + 2 * SETTLE
    assert story.in_force == "a"


def test_an_object_that_becomes_unusable_keeps_its_last_good_version_and_says_so(story: Story) -> None:
    story.tell(0, said("ab"))
    assert story.tell(1, said("ab", "b")) == Verdict(set(), None)
    assert story.tell(1 + SETTLE, same("ab")) == Verdict((), None)
    assert story.in_force == "ab"
    assert story.problems == ["f: Node b is bad (its last good version stays in force): expected good"]


def test_an_unusable_object_that_never_was_good_is_just_a_problem(story: Story) -> None:
    story.tell(0, said("ab", "b"))
    assert story.in_force == "a"
    assert story.problems == ["f: Node b is bad: expected good"]


def test_a_good_definition_beside_an_unusable_one_is_in_force(story: Story) -> None:
    story.tell(0, said("a"))
    problem = Problem("f", "Node a", "bad", "good")
    twice = Contents({known("a"): node("a", "new")}, {known("a"): problem}, [problem])
    assert story.tell(1, Reading(mark("aa"), twice)) == Verdict({known("a")}, None)
    assert story.problems == ["f: Node a is bad: expected good"]


def test_an_unusable_object_that_is_taken_out_of_its_file_goes(story: Story) -> None:
    story.tell(0, said("ab"))
    story.tell(1, said("ab", "b"))
    story.tell(2, said("a"))
    story.tell(2 + SETTLE, same("a"))
    assert story.in_force == "a"


@pytest.mark.parametrize(("absence", "problems"), [(MISSING, 1), (FOLDER, 0)])
def test_a_given_path_that_is_missing_is_a_problem_and_a_folder_is_none(
    absence: Reading, problems: int
) -> None:
    story = Story("f")
    assert story.tell(0, absence) == Verdict(set(), None)
    assert len(story.problems) == problems
    story.tell(1, said("a"))
    assert story.problems == []


def test_an_object_moved_to_another_file_is_in_force_from_there_at_once(story: Story) -> None:
    story.tell(0, said("a"))
    story.tell(1, MISSING)
    moved = Reading(mark("moved"), Contents({known("a"): node("a", "moved")}))
    assert story.holdings.receive("g", moved, 1).touched == {known("a")}
    assert story.holdings.definitions.in_force(known("a")) == node("a", "moved")
    assert story.problems == []
    assert story.holdings.problems("g") == []


def test_an_object_defined_in_two_files_is_a_problem_of_the_second(story: Story) -> None:
    story.tell(0, said("a"))
    story.holdings.receive("g", said("a"), 0)
    assert story.problems == []
    assert [str(problem) for problem in story.holdings.problems("g")] == [
        "g: Node a is also defined in f: expected one definition; that one is in force"
    ]


def test_a_flood_of_problems_is_cut_and_counted(story: Story) -> None:
    problems = [Problem("f", f"Node {number}", "bad", "") for number in range(150)]
    story.tell(0, Reading(mark("x"), Contents(problems=problems)))
    assert len(story.problems) == 101
    assert story.problems[-1] == "f: and 50 more problems"
