"""Which files are named as changed, and which are not, by a watch on real files."""

import asyncio
import errno
import gc
import os
import shutil
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from asyncinotify import Inotify, Mask, Watch

from xds_server.sources.watch.files import FileWatch
from xds_server.sources.watch.folder_events import Event, FolderEvents, open_folder_events

NEVER = 3600.0
"""A scan pause that no test lives to see: what is named was told by the kernel."""


def inotify_descriptors() -> int:
    targets = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return targets.count("anon_inode:inotify")


def is_yaml(name: str) -> bool:
    return name.endswith(".yaml")


class Watched:
    """A watch and what it has named so far."""

    def __init__(self, watch: FileWatch, batches: AsyncGenerator[set[Path], None]) -> None:
        self.watch = watch
        self.named: set[Path] = set()
        self._batches = batches

    async def take(self) -> None:
        """Wait for the next that are named."""
        self.named |= await anext(self._batches)

    async def until(self, *paths: Path) -> set[Path]:
        """Wait until all ``paths`` were named; return and forget everything that was."""
        while not self.named.issuperset(paths):
            await self.take()
        named, self.named = self.named, set()
        return named


class Overflowing(FolderEvents):
    """Knows only that something happened, as after an overflow of the kernel's queue."""

    def take(self) -> list[Event]:
        super().take()
        return [Event(lost=True)]


class Full(Inotify):
    """A kernel that has no watch left."""

    def add_watch(self, path: object, mask: Mask) -> Watch:
        raise OSError(errno.ENOSPC, "No space left on device")


class DeafToOne(FolderEvents):
    """Misses what happens to one file."""

    missed = "missed.yaml"

    def take(self) -> list[Event]:
        return [event for event in super().take() if event.name != self.missed]


def deaf_to_one() -> FolderEvents:
    return DeafToOne(Inotify(sync_timeout=0))


async def hear() -> None:
    """Give the loop turns in which the kernel is heard."""
    for _ in range(10):
        await asyncio.sleep(0)


def deaf() -> None:
    """A system, or a file system, that tells of no change."""


@asynccontextmanager
async def watching(
    *paths: Path,
    wanted: Callable[[str], bool] = is_yaml,
    scan_seconds: float = NEVER,
    listen: Callable[[], FolderEvents | None] = open_folder_events,
) -> AsyncIterator[Watched]:
    watch = FileWatch(paths, wanted, scan_seconds, listen)
    try:
        async with asyncio.timeout(10), aclosing(watch.changes()) as batches:
            yield Watched(watch, batches)
    finally:
        watch.close()


def put_configmap(folder: Path, version: str, **files: str) -> None:
    """Write files as kubelet mounts a ConfigMap: a new folder, then ``..data`` renamed onto it."""
    content = folder / f"..{version}"
    content.mkdir()
    for name, text in files.items():
        (content / f"{name}.yaml").write_text(text)
    (folder / "..data_tmp").symlink_to(content.name)
    (folder / "..data_tmp").replace(folder / "..data")
    for name in files:
        link = folder / f"{name}.yaml"
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}.yaml")


def write(path: Path) -> None:
    path.write_text("new")


def replace_by_rename(path: Path) -> None:
    scratch = path.with_name("scratch")
    scratch.write_text("new")
    scratch.replace(path)


def delete_and_recreate(path: Path) -> None:
    path.unlink()
    path.write_text("new")


def move_aside_and_rewrite(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text("new")
    path.with_name(f"{path.name}~").unlink()


def hard_link(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("new")
    path.unlink()
    path.hardlink_to(elsewhere)


def symlink(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("new")
    path.unlink()
    path.symlink_to(elsewhere)


def rename_away(path: Path) -> None:
    path.rename(path.with_name("away"))


CHANGES = [
    write,
    replace_by_rename,
    delete_and_recreate,
    move_aside_and_rewrite,
    hard_link,
    symlink,
    rename_away,
    os.unlink,
]


@pytest.mark.parametrize("given", ["file", "folder"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_file_is_named_and_no_other(
    tmp_path: Path, change: Callable[[Path], None], given: str
) -> None:
    changed, other, last = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "last.yaml"
    for path in (changed, other, last):
        path.write_text("old")
    async with watching(*([tmp_path] if given == "folder" else [changed, other, last])) as watched:
        change(changed)
        assert await watched.until(changed) == {changed}
        last.write_text("new")
        assert await watched.until(last) == {last}


async def test_a_file_is_not_named_while_its_writer_holds_it_open(tmp_path: Path) -> None:
    half, begun, whole = tmp_path / "half.yaml", tmp_path / "begun.yaml", tmp_path / "whole.yaml"
    half.write_text("old")
    async with watching(tmp_path) as watched:
        with half.open("w") as new:
            new.write("hal")
            new.flush()
            with begun.open("w"):
                whole.write_text("new")
                assert await watched.until(whole) == {whole}
            assert await watched.until(begun) == {begun}
        assert await watched.until(half) == {half}


async def test_a_new_hard_link_is_named_though_nobody_writes_to_it(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.write_text("whole")
    async with watching(root) as watched:
        (root / "a.yaml").hardlink_to(elsewhere)
        assert await watched.until(root / "a.yaml") == {root / "a.yaml"}


@pytest.mark.parametrize("name", [".hidden.yaml", "a.yaml~", ".a.yaml.swp", "#a.yaml#", "a.txt", "4913"])
async def test_what_editors_leave_beside_a_file_is_not_named(tmp_path: Path, name: str) -> None:
    last = tmp_path / "last.yaml"
    async with watching(tmp_path) as watched:
        (tmp_path / name).write_text("new")
        last.write_text("new")
        assert await watched.until(last) == {last}
        assert watched.watch.files == {tmp_path, last}


async def test_a_given_file_counts_whatever_its_name(tmp_path: Path) -> None:
    given = tmp_path / ".conf"
    given.write_text("old")
    async with watching(given) as watched:
        assert watched.watch.files == {given}
        (tmp_path / "beside.yaml").write_text("new")
        given.write_text("new")
        assert await watched.until(given) == {given}


async def test_the_files_of_a_new_folder_are_named_at_any_depth(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    (outside / "deep").mkdir(parents=True)
    (outside / "a.yaml").write_text("old")
    (outside / "deep" / "b.yaml").write_text("old")
    async with watching(root) as watched:
        outside.rename(root / "new")
        moved = {root / "new" / "a.yaml", root / "new" / "deep" / "b.yaml"}
        assert await watched.until(*moved) == moved
        (root / "new" / "deep" / "c.yaml").write_text("new")
        assert await watched.until(root / "new" / "deep" / "c.yaml")


async def test_files_written_at_once_into_nested_new_folders_are_all_named(tmp_path: Path) -> None:
    async with watching(tmp_path) as watched:
        files = [tmp_path / f"{number}" / "x" / "y" / "a.yaml" for number in range(20)]
        for file in files:
            file.parent.mkdir(parents=True)
            file.write_text("new")
        assert await watched.until(*files) == set(files)


@pytest.mark.parametrize(
    "remove", [shutil.rmtree, lambda folder: folder.rename(folder.parent.parent / "away")]
)
async def test_the_files_of_a_folder_that_goes_are_named(
    tmp_path: Path, remove: Callable[[Path], None]
) -> None:
    root, kept = tmp_path / "root", tmp_path / "root" / "kept.yaml"
    deep = root / "gone" / "deep"
    deep.mkdir(parents=True)
    gone = [root / "gone" / "a.yaml", deep / "b.yaml"]
    for path in (kept, *gone):
        path.write_text("old")
    async with watching(root) as watched:
        remove(root / "gone")
        assert await watched.until(*gone) == set(gone)
        assert watched.watch.files == {root, kept}


async def test_a_folder_moved_within_is_named_under_both_names_and_watched_under_the_new(
    tmp_path: Path,
) -> None:
    deep = tmp_path / "old" / "deep"
    deep.mkdir(parents=True)
    (deep / "a.yaml").write_text("old")
    async with watching(tmp_path) as watched:
        (tmp_path / "old").rename(tmp_path / "new")
        moved = tmp_path / "new" / "deep" / "a.yaml"
        assert await watched.until(moved) == {moved, deep / "a.yaml"}
        moved.write_text("new")
        assert await watched.until(moved) == {moved}
        deep.mkdir(parents=True)
        (deep / "b.yaml").write_text("new")
        assert await watched.until(deep / "b.yaml") == {deep / "b.yaml"}


async def test_a_folder_replaced_by_another_of_its_name_is_watched_anew(tmp_path: Path) -> None:
    root, deep = tmp_path / "root", tmp_path / "root" / "sub" / "deep"
    deep.mkdir(parents=True)
    (deep / "a.yaml").write_text("old")
    async with watching(root) as watched:
        (root / "sub").rename(tmp_path / "away")
        deep.mkdir(parents=True)
        (deep / "a.yaml").write_text("new")
        assert await watched.until(deep / "a.yaml") == {deep / "a.yaml"}
        (tmp_path / "away" / "deep" / "b.yaml").write_text("not ours")
        (deep / "c.yaml").write_text("new")
        assert await watched.until(deep / "c.yaml") == {deep / "c.yaml"}


async def test_a_given_folder_is_named_with_its_files_when_it_goes_and_when_it_returns(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.yaml").write_text("old")
    async with watching(root) as watched:
        shutil.rmtree(root)
        assert await watched.until(root, root / "a.yaml") == {root, root / "a.yaml"}
        root.mkdir()
        (root / "b.yaml").write_text("new")
        assert await watched.until(root, root / "b.yaml") == {root, root / "b.yaml"}


@pytest.mark.parametrize("given", ["root", "root/a.yaml", "root/deep/a.yaml"])
async def test_a_path_that_does_not_exist_yet_is_named_when_it_appears(tmp_path: Path, given: str) -> None:
    path = tmp_path / given
    async with watching(path) as watched:
        assert watched.watch.files == set()
        file = path if path.suffix else path / "a.yaml"
        file.parent.mkdir(parents=True)
        file.write_text("new")
        assert file in await watched.until(path)


async def test_the_swap_of_a_mounted_configmap_names_its_files(tmp_path: Path) -> None:
    put_configmap(tmp_path, "1", a="old", b="old")
    async with watching(tmp_path) as watched:
        put_configmap(tmp_path, "2", a="new", b="old")
        shutil.rmtree(tmp_path / "..1")
        assert await watched.until(tmp_path / "a.yaml") == {tmp_path / "a.yaml", tmp_path / "b.yaml"}
        put_configmap(tmp_path, "3", a="newer", b="newer")
        assert await watched.until(tmp_path / "a.yaml")


async def test_the_swap_of_a_mounted_configmap_names_a_file_given_alone(tmp_path: Path) -> None:
    put_configmap(tmp_path, "1", a="old", b="old")
    async with watching(tmp_path / "a.yaml") as watched:
        put_configmap(tmp_path, "2", a="new", b="old")
        assert await watched.until(tmp_path / "a.yaml") == {tmp_path / "a.yaml"}


async def test_the_swap_of_a_symlink_on_the_way_names_the_files_behind_it(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release / "manifests").mkdir(parents=True)
        (tmp_path / release / "manifests" / "a.yaml").write_text(release)
    (tmp_path / "current").symlink_to("1")
    given = tmp_path / "current" / "manifests"
    async with watching(given) as watched:
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").replace(tmp_path / "current")
        assert given / "a.yaml" in await watched.until(given / "a.yaml")
        (tmp_path / "2" / "manifests" / "a.yaml").write_text("3")
        assert await watched.until(given / "a.yaml") == {given / "a.yaml"}


async def test_a_write_to_the_target_of_a_symlink_names_the_symlink(tmp_path: Path) -> None:
    root, target = tmp_path / "root", tmp_path / "elsewhere" / "target"
    root.mkdir()
    target.parent.mkdir()
    target.write_text("old")
    (root / "a.yaml").symlink_to(target)
    async with watching(root) as watched:
        target.write_text("new")
        assert await watched.until(root / "a.yaml") == {root / "a.yaml"}


async def test_a_new_symlink_to_a_folder_names_the_files_behind_it(tmp_path: Path) -> None:
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    target.mkdir()
    (target / "a.yaml").write_text("old")
    async with watching(root) as watched:
        (root / "link").symlink_to(target)
        assert await watched.until(root / "link" / "a.yaml") == {root / "link" / "a.yaml"}


async def test_symlinks_that_lead_in_a_circle_or_nowhere_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    async with watching(tmp_path) as watched:
        assert watched.watch.files == {tmp_path, tmp_path / "loop.yaml"}
        (tmp_path / "nowhere").write_text("new")
        assert await watched.until(tmp_path / "dangling.yaml") == {tmp_path / "dangling.yaml"}


async def test_a_change_between_construction_and_the_first_wait_is_named(tmp_path: Path) -> None:
    watch = FileWatch([tmp_path], is_yaml, NEVER)
    (tmp_path / "a.yaml").write_text("new")
    async with asyncio.timeout(10), aclosing(watch.changes()) as batches:
        assert await anext(batches) == {tmp_path / "a.yaml"}
    watch.close()


async def test_changes_while_the_reader_is_busy_come_as_one_batch(tmp_path: Path) -> None:
    async with watching(tmp_path) as watched:
        (tmp_path / "first.yaml").write_text("new")
        await watched.until(tmp_path / "first.yaml")
        files = {tmp_path / f"{number}.yaml" for number in range(100)}
        for file in files:
            file.write_text("new")
        assert await watched.until(*files) == files


async def test_what_happened_while_the_reader_was_busy_is_named_without_further_ado(tmp_path: Path) -> None:
    async with watching(tmp_path) as watched:
        for name in ("a.yaml", "b.yaml"):
            (tmp_path / name).write_text("new")
            await hear()
            assert await watched.until(tmp_path / name) == {tmp_path / name}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_scan_finds_what_no_event_told(tmp_path: Path, change: Callable[[Path], None]) -> None:
    changed = tmp_path / "a.yaml"
    changed.write_text("old")
    async with watching(tmp_path, scan_seconds=0.01, listen=deaf) as watched:
        change(changed)
        assert await watched.until(changed) == {changed}


async def test_a_scan_does_not_name_a_file_that_is_still_being_written(tmp_path: Path) -> None:
    growing, last = tmp_path / "growing.yaml", tmp_path / "last.yaml"
    growing.write_text("")
    async with watching(tmp_path, scan_seconds=0.01, listen=deaf) as watched:
        scans = asyncio.create_task(watched.until(last))
        with growing.open("a") as new:
            for _ in range(20):
                new.write("more")
                new.flush()
                await asyncio.sleep(0.005)
            last.write_text("new")
            new.write("more")
            new.flush()
            assert growing not in await scans
        # A look at the other file, made while it was written, may be told once more.
        assert await watched.until(growing) <= {growing, last}


async def test_events_that_were_dropped_are_made_up_for_by_a_look_at_everything(tmp_path: Path) -> None:
    changed, gone, new = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "sub" / "c.yaml"
    changed.write_text("old")
    gone.write_text("old")
    async with watching(tmp_path, listen=lambda: Overflowing(Inotify(sync_timeout=0))) as watched:
        changed.write_text("newer")
        gone.unlink()
        new.parent.mkdir()
        new.write_text("new")
        assert await watched.until(changed, gone, new) == {changed, gone, new}


async def test_a_scan_takes_place_though_other_files_change_all_the_time(tmp_path: Path) -> None:
    missed, busy = tmp_path / DeafToOne.missed, tmp_path / "busy.yaml"
    async with watching(tmp_path, scan_seconds=0.01, listen=deaf_to_one) as watched:
        missed.write_text("new")
        while missed not in watched.named:
            busy.write_text("new")
            await hear()
            await watched.take()


async def test_a_folder_that_appears_during_a_scan_stays_under_watch(tmp_path: Path) -> None:
    listing, go_on = threading.Event(), threading.Event()

    def wanted(name: str) -> bool:
        """Hold up the scan, which alone asks from a thread of its own, until the test lets it go on."""
        if threading.current_thread() is not threading.main_thread():
            listing.set()
            go_on.wait(10)
        return is_yaml(name)

    first, second = tmp_path / "new" / "a.yaml", tmp_path / "new" / "b.yaml"
    (tmp_path / "old.yaml").write_text("old")
    async with watching(tmp_path, wanted=wanted) as watched:
        scan = asyncio.create_task(watched.watch._scan())
        await asyncio.to_thread(listing.wait, 10)
        first.parent.mkdir()
        first.write_text("new")
        assert await watched.until(first) == {first}
        go_on.set()
        await scan
        second.write_text("new")
        assert await watched.until(second) == {second}


async def test_without_watches_left_files_are_found_by_scans_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = tmp_path / "new.yaml"
    watch = FileWatch([tmp_path], is_yaml, listen=lambda: FolderEvents(Full(sync_timeout=0)))
    async with asyncio.timeout(10), aclosing(watch.changes()) as batches:
        new.write_text("new")
        assert await anext(batches) == {new}
    watch.close()
    assert [
        record.message for record in caplog.records if "max_user_watches" in record.message
    ] == caplog.messages
    assert len(caplog.messages) == 1


async def test_files_under_a_relative_path_are_named_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("old")
    async with watching(Path()) as watched:
        assert watched.watch.files == {Path(), Path("a.yaml")}
        (tmp_path / "a.yaml").unlink()
        assert await watched.until(Path("a.yaml")) == {Path("a.yaml")}
        assert watched.watch.files == {Path()}
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "b.yaml").write_text("new")
        assert await watched.until(Path("sub/b.yaml")) == {Path("sub/b.yaml")}


async def test_a_closed_watch_holds_no_file_descriptor(tmp_path: Path) -> None:
    gc.collect()  # of what other tests left behind
    before = inotify_descriptors()
    async with watching(tmp_path) as watched:
        (tmp_path / "a.yaml").write_text("new")
        await watched.until(tmp_path / "a.yaml")
        assert inotify_descriptors() == before + 1
    assert inotify_descriptors() == before
