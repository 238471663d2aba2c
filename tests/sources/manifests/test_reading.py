"""What one reading of a manifest file finds."""

import os
import threading
from pathlib import Path

import pytest

from xds_server.exceptions import Problem
from xds_server.objects.kubernetes import Node
from xds_server.sources.manifests.decode import Contents, decode
from xds_server.sources.manifests.reading import Mark, Outcome, Reading, read, read_now

TEXT = "{apiVersion: v1, kind: Node, metadata: {name: a}}"


def test_a_text_is_decoded_under_the_name_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT.replace("a}", "B}"))
    result = read_now(path, Mark()).result
    assert isinstance(result, Contents)
    assert [problem.where for problem in result.problems] == [f"{path}:1"]


def test_a_text_that_was_read_before_is_the_same_whenever_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    first = read_now(path, Mark())
    os.utime(path, ns=(0, 0))
    again = read_now(path, first.mark)
    assert again.result is Outcome.SAME
    assert again.mark.digest == first.mark.digest
    assert again.mark != first.mark


@pytest.mark.parametrize("text", ["", " ", "\n\n\t "])
def test_a_text_without_a_character_is_blank(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert read_now(tmp_path / "a.yaml", Mark()).result is Outcome.BLANK


def test_what_is_no_file_is_missing_and_a_folder_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(TEXT)
    assert read_now(tmp_path / "none", Mark()) == Reading(Mark(), Outcome.MISSING)
    assert read_now(tmp_path / "file" / "a.yaml", Mark()) == Reading(Mark(), Outcome.MISSING)
    assert read_now(tmp_path, Mark()) == Reading(Mark(), Outcome.FOLDER)


def test_a_file_that_cannot_be_opened_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert read_now(tmp_path / "loop", Mark()).result == Problem(
        str(tmp_path / "loop"), "the file", "unreadable (Too many levels of symbolic links)", ""
    )


def test_a_bug_in_decoding_is_a_problem_of_that_file_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(where: str, text: bytes) -> Contents:
        raise ZeroDivisionError(where)

    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    result = read_now(path, Mark(), fail).result
    assert isinstance(result, Problem)
    assert result.value == f"not decoded (internal error: ZeroDivisionError({str(path)!r}))"
    assert [record.message for record in caplog.records] == [
        f"{path} could not be decoded, what it held stays"
    ]


@pytest.mark.parametrize(("padding", "in_a_thread"), [(0, False), (200 * 1024, True)])
async def test_only_a_large_file_is_worth_a_thread(tmp_path: Path, padding: int, in_a_thread: bool) -> None:
    threads: list[threading.Thread] = []

    def note_thread(where: str, text: bytes) -> Contents | Problem:
        threads.append(threading.current_thread())
        return decode(where, text)

    path = tmp_path / "a.yaml"
    path.write_text(TEXT + "\n" * padding)
    result = (await read(path, Mark(), note_thread)).result
    assert isinstance(result, Contents)
    assert list(result.objects) == [(Node, "a")]
    assert [thread is not threading.main_thread() for thread in threads] == [in_a_thread]
