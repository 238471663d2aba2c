"""What is told of watched folders, and what no longer is."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncinotify import Inotify, Mask, Watch

from xds_server.sources.watch.folder_events import Event, FolderEvents, open_folder_events


@pytest.fixture
def events() -> Iterator[FolderEvents]:
    opened = open_folder_events()
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


def told(events: FolderEvents) -> list[tuple[str, str]]:
    """Return the name of each entry and what is said of it, in the order of the events."""
    flags = ("of_folder", "created", "appeared", "lost")
    return [(event.name, " ".join(flag for flag in flags if getattr(event, flag))) for event in events.take()]


def test_each_way_in_which_an_entry_changes_is_told(
    events: FolderEvents, folder: Path, tmp_path: Path
) -> None:
    assert events.watch({str(folder)})
    (folder / "file").write_text("text")
    (folder / "file").rename(tmp_path / "away")
    (tmp_path / "away").rename(folder / "back")
    (folder / "back").unlink()
    (folder / "sub").mkdir()
    assert told(events) == [
        ("file", "created appeared"),
        ("file", ""),
        ("file", ""),
        ("back", "appeared"),
        ("back", ""),
        ("sub", "of_folder created appeared"),
    ]


def test_an_event_names_the_folder_and_the_whole_entry(events: FolderEvents, folder: Path) -> None:
    events.watch({str(folder)})
    os.mkfifo(folder / "a")
    assert events.take() == [Event(str(folder), "a", str(folder / "a"), created=True, appeared=True)]
    assert events.take() == []


def test_a_folder_is_added_once(events: FolderEvents, folder: Path) -> None:
    assert events.watch({str(folder)})
    assert not events.watch({str(folder)})


def test_a_folder_no_longer_watched_is_silent(events: FolderEvents, folder: Path, tmp_path: Path) -> None:
    events.watch({str(folder), str(tmp_path)})
    (folder / "before").touch()
    events.watch({str(tmp_path)})
    (folder / "after").touch()
    (tmp_path / "other").mkdir()
    assert told(events) == [("other", "of_folder created appeared")]


def test_a_watched_folder_that_is_removed_is_lost_and_can_be_watched_anew(
    events: FolderEvents, folder: Path
) -> None:
    events.watch({str(folder)})
    folder.rmdir()
    assert told(events) == [("", "lost")]
    assert not events.watch({str(folder)})
    folder.mkdir()
    assert events.watch({str(folder)})


def test_a_watched_folder_that_moves_is_lost_with_all_beneath_it(
    events: FolderEvents, folder: Path, tmp_path: Path
) -> None:
    deep, beside = folder / "deep", tmp_path / "folder-beside"
    deep.mkdir()
    beside.mkdir()
    events.watch({str(folder), str(deep), str(beside)})
    folder.rename(tmp_path / "moved")
    assert told(events) == [("", "lost")]
    (tmp_path / "moved" / "deep" / "unheard").touch()
    (beside / "heard").mkdir()
    assert told(events) == [("heard", "of_folder created appeared")]


def test_events_that_the_kernel_had_no_room_for_are_a_loss(events: FolderEvents, folder: Path) -> None:
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    events.watch({str(folder)})
    for _ in range(room // 3 + 1):  # created, closed, deleted
        (folder / "a").touch()
        (folder / "a").unlink()
    assert events.take()[-1] == Event(lost=True)
    assert not events.watch({str(folder)}), "the watch itself was not lost"


def test_a_kernel_without_watches_left_is_noticed_and_logged_once(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Inotify):
        def add_watch(self, path: object, mask: Mask) -> Watch:
            raise OSError(errno.ENOSPC, "No space left on device")

    events = FolderEvents(Full(sync_timeout=0))
    assert not events.exhausted
    assert not events.watch({str(folder), str(tmp_path)})
    assert events.exhausted
    assert len(caplog.messages) == 1
    assert "fs.inotify.max_user_watches" in caplog.messages[0]
    events.close()
