"""Sets of files that are put whole or not at all."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xds_server.identity.authority.locked_files import LockedFiles

SET = {"one": b"1", "two": b"2"}
NAMES = ["one", "two", "three"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "folder"


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_folder_that_is_not_there_holds_nothing_and_is_not_made_to_be_read(folder: Path) -> None:
    assert LockedFiles(folder).read(NAMES) == {}
    assert not folder.exists()


def test_a_set_is_put_where_there_is_none_for_its_owner_only(folder: Path) -> None:
    files = LockedFiles(folder)
    assert files.write_set(NAMES, {}, SET)
    assert files.read(NAMES) == SET
    assert folder.stat().st_mode & 0o777 == 0o700
    assert modes(folder) == {".lock": 0o600, "one": 0o600, "two": 0o600}


def test_a_set_is_not_put_over_one_that_was_not_seen(folder: Path) -> None:
    files = LockedFiles(folder)
    folder.mkdir(parents=True)
    (folder / "three").write_bytes(b"an operator's")
    assert not files.write_set(NAMES, {}, SET)
    assert files.read(NAMES) == {"three": b"an operator's"}


def test_a_file_is_put_over_the_one_seen_only(folder: Path) -> None:
    files = LockedFiles(folder)
    assert files.write("one", None, b"first", 0o644)
    assert not files.write("one", None, b"second")
    assert not files.write("one", b"another", b"second")
    assert files.read(["one"]) == {"one": b"first"}
    assert modes(folder)["one"] == 0o644
    assert files.write("one", b"first", b"second")
    assert files.read(["one"]) == {"one": b"second"}


def test_of_many_writers_at_once_one_wins(folder: Path) -> None:
    sets = [{name: str(number).encode() for name in NAMES} for number in range(16)]
    with ThreadPoolExecutor(len(sets)) as threads:
        won = list(threads.map(lambda one: LockedFiles(folder).write_set(NAMES, {}, one), sets))
    assert won.count(True) == 1
    assert LockedFiles(folder).read(NAMES) == sets[won.index(True)]


def test_a_set_whose_writer_died_half_way_is_read_whole_and_finished_by_the_next(folder: Path) -> None:
    files = LockedFiles(folder)
    files.write_set(NAMES, {}, {"one": b"old", "two": b"old"})
    (folder / "one").write_bytes(b"new")
    (folder / ".journal.json").write_text(json.dumps({"one": "bmV3", "two": "bmV3"}))
    (folder / ".scratch").write_bytes(b"half a ")
    whole = {"one": b"new", "two": b"new"}
    assert files.read(NAMES) == whole
    assert files.write("three", None, b"3")
    assert (folder / "two").read_bytes() == b"new"
    assert modes(folder).keys() == {".lock", *NAMES}


def test_a_journal_that_no_writer_wrote_is_told(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".journal.json").write_text("{")
    with pytest.raises(OSError, match=r"unreadable.*journal"):
        LockedFiles(folder).read(NAMES)
    with pytest.raises(OSError, match=r"unreadable.*journal"):
        LockedFiles(folder).write("one", None, b"1")
