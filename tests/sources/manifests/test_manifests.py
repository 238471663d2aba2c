"""Objects from real manifest files, as a listener of the graph sees them come and go."""

import asyncio
import gc
import json
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asyncinotify import Inotify, Mask

from xds_server.exceptions import LocalError
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kinds import KINDS
from xds_server.objects.kubernetes import Namespace, Node, Pod, Service
from xds_server.sources.manifests.holdings import Timing
from xds_server.sources.manifests.source import ManifestSource
from xds_server.sources.problems import Problems
from xds_server.store.collection import Change
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry

TIMING = Timing(settle_seconds=0.1, retry_seconds=0.01, longest_retry_seconds=0.02, scan_seconds=3600)


def node(name: str, uid: str = "") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid}}


def nodes(*names: str, uid: str = "") -> str:
    """YAML of one document a node; YAML may be cut after each."""
    return "".join(f"---\n{json.dumps(node(name, uid))}\n" for name in names)


class CountingGraph(Graph):
    """Knows how many transactions there were."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.transactions += 1
        with super().transaction():
            yield


class Running:
    """A source at work, and every change of nodes that a listener was told."""

    def __init__(self, *paths: Path, timing: Timing = TIMING) -> None:
        self.graph = CountingGraph()
        self.registry = Registry(self.graph, (*KINDS.values(), Pair))
        self.problems = Problems()
        self.source = ManifestSource(paths, self.registry, self.problems, timing)
        self.history: list[str] = []
        """``+name`` for a node that was set, ``-name`` for one that was removed."""
        self._told = asyncio.Event()
        self.registry.graph.listen(self.registry.of(Node), self._receive)

    def _receive(self, changes: Mapping[str, Change[Node]]) -> None:
        self.history += sorted(
            f"{'-' if change.new is None else '+'}{key}" for key, change in changes.items()
        )
        self._told.set()

    @property
    def nodes(self) -> dict[str, str]:
        return {key: item.metadata.uid for key, item in self.registry.of(Node).items()}

    async def until(self, *events: str) -> list[str]:
        """Wait until a listener was told all of ``events``; return and forget everything it was told."""
        while not set(events) <= set(self.history):
            self._told.clear()
            await self._told.wait()
        told, self.history = self.history, []
        return told

    async def until_problems(self, *expected: str) -> None:
        """Wait until the problems in force are ``expected``: nothing tells of them but a look."""
        while self.told() != list(expected):
            await asyncio.sleep(0.005)

    def told(self) -> list[str]:
        return [
            str(problem) for _, problems in sorted(self.problems.by_place.items()) for problem in problems
        ]


def inotify_descriptors() -> int:
    targets = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return targets.count("anon_inode:inotify")


def ignore_progress(_done: int, _total: int) -> None:
    pass


@asynccontextmanager
async def running(*paths: Path, timing: Timing = TIMING) -> AsyncIterator[Running]:
    run = Running(*paths, timing=timing)
    await run.source.load(ignore_progress)
    run.history, run.graph.transactions = [], 0
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(run.source.follow())
        yield run
        following.cancel()


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """A file whose deletion is the last thing a test does: what had to settle before has settled."""
    path = tmp_path / "zz-sentinel.yaml"
    path.write_text(nodes("sentinel"))
    return path


async def test_the_first_load_reads_every_file_in_every_form_and_marks_the_kinds_synced(
    tmp_path: Path,
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.yaml").write_text(nodes("a", "b"))
    (tmp_path / "deep" / "c.yml").write_text(nodes("c"))
    items = [{"metadata": {"name": "d"}}, node("e")]
    (tmp_path / "deep" / "er" / "d.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "NodeList", "items": items})
    )
    (tmp_path / "f.yaml").write_text(
        json.dumps({"apiVersion": "v1", "kind": "Secret"}) + "\n---\n" + nodes("f")
    )
    (tmp_path / "README.md").write_text("no manifest")
    run = Running(tmp_path)
    assert not any(source.synced for source in run.registry)
    with closing(run.source):
        await run.source.load(ignore_progress)
    assert sorted(run.nodes) == ["a", "b", "c", "d", "e", "f"]
    assert run.registry.unsynced == ["Pair"]
    assert run.source.ignored == {"v1/Secret": 1}
    assert run.told() == []
    assert run.source.files == {
        str(tmp_path / name): count
        for name, count in {"a.yaml": 2, "deep/c.yml": 1, "deep/er/d.json": 2, "f.yaml": 1}.items()
    }


async def test_the_first_load_commits_kinds_in_order_in_slices_and_lets_others_run(tmp_path: Path) -> None:
    items = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": f"{kind.lower()}-{number}"}}
        for kind in ("Pod", "Service", "Node", "Namespace")
        for number in range(600)
    ]
    (tmp_path / "a.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    run = Running(tmp_path)
    committed: list[tuple[str, int]] = []
    for kind in (Pod, Service, Node, Namespace):

        def listen(changes: Mapping[str, Change[Any]], kind: type = kind) -> None:
            assert all(change.old is None for change in changes.values())
            committed.append((kind.__name__, len(changes)))

        run.registry.graph.listen(run.registry.of(kind), listen)
    progress: list[tuple[int, int]] = []
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    with closing(run.source):
        await run.source.load(lambda done, total: progress.append((done, total)))
    other.cancel()
    assert progress == [(500, 2400), (1000, 2400), (1500, 2400), (2000, 2400), (2400, 2400)]
    assert turns >= len(progress)
    kinds = [kind for kind, _ in committed]
    assert sorted(kinds, key=["Namespace", "Node", "Service", "Pod"].index) == kinds
    assert max(count for _, count in committed) <= 500
    assert sum(count for _, count in committed) == 2400


async def test_a_load_of_nothing_is_synced_and_says_that_it_is_done(tmp_path: Path) -> None:
    run, progress = Running(tmp_path), []
    with closing(run.source):
        await run.source.load(lambda done, total: progress.append((done, total)))
    assert progress == [(0, 0)]
    assert run.registry.unsynced == ["Pair"]


async def test_following_what_was_not_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        await Running(tmp_path).source.follow()


async def test_new_changed_and_deleted_objects_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(nodes("a", "b"))
    async with running(tmp_path) as run:
        path.write_text(nodes("a") + nodes("b", uid="2") + nodes("c"))
        assert await run.until("+c") == ["+b", "+c"]
        assert run.nodes == {"a": "", "b": "2", "c": ""}
        path.write_text(nodes("b", uid="2"))
        assert await run.until("-a", "-c") == ["-a", "-c"]
        path.unlink()
        assert await run.until("-b") == ["-b"]
        assert run.source.files == {}


async def test_a_text_that_says_the_same_changes_nothing(tmp_path: Path, sentinel: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(nodes("a", "b"))
    async with running(tmp_path) as run:
        path.write_text("# comment\n" + nodes("b", "a"))
        os.utime(path)
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        assert run.graph.transactions == 1


async def test_a_changed_definition_that_is_not_in_force_changes_nothing(
    tmp_path: Path, sentinel: Path
) -> None:
    (tmp_path / "1.yaml").write_text(nodes("a"))
    (tmp_path / "2.yaml").write_text(nodes("a", uid="2"))
    async with running(tmp_path) as run:
        (tmp_path / "2.yaml").write_text(nodes("a", uid="3"))
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        assert run.graph.transactions == 1


async def test_objects_of_files_changed_together_change_in_one_transaction(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        for number in range(50):
            (tmp_path / f"{number}.yaml").write_text(nodes(f"n{number}", f"m{number}"))
        await run.until(*(f"+n{number}" for number in range(50)))
        assert run.graph.transactions == 1


async def test_a_change_of_one_file_of_200_reads_only_that_file(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.yaml").write_text(nodes(f"n{number}"))
    async with running(tmp_path) as run:
        with Inotify(sync_timeout=0) as opened:
            opened.add_watch(tmp_path, Mask.OPEN)
            (tmp_path / "7.yaml").write_text(nodes("n7", uid="2"))
            assert await run.until("+n7") == ["+n7"]
            assert {event.name for event in opened} == {Path("7.yaml")}


def rename_over(path: Path, text: str) -> None:
    path.with_name("scratch").write_text(text)
    path.with_name("scratch").replace(path)


def truncate_then_write(path: Path, text: str) -> None:
    path.write_text("")
    path.write_text(text)


def delete_then_create(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def move_aside_then_create(path: Path, text: str) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)


@pytest.mark.parametrize(
    "rewrite", [Path.write_text, rename_over, truncate_then_write, delete_then_create, move_aside_then_create]
)
async def test_a_rewritten_file_never_looks_like_a_deletion(
    tmp_path: Path, sentinel: Path, rewrite: Callable[[Path, str], Any]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(nodes("a", "b"))
    async with running(tmp_path) as run:
        rewrite(path, nodes("a", "b", uid="2"))
        assert await run.until("+a", "+b") == ["+a", "+b"]
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]


FULL = nodes("a", "b", "c")
LIST = json.dumps({"apiVersion": "v1", "kind": "List", "items": [node("a"), node("b"), node("c")]}, indent=1)


@pytest.mark.parametrize(
    ("name", "whole", "half"),
    [
        ("a.yaml", FULL, ""),
        ("a.yaml", FULL, "\n\n"),
        ("a.yaml", FULL, nodes("a")),
        ("a.yaml", FULL, FULL[: len(FULL) // 2]),
        ("a.yaml", FULL, nodes("a") + "---\n"),
        ("a.yaml", FULL, "# a comment\n"),
        ("a.json", LIST, ""),
        ("a.json", LIST, LIST[: len(LIST) // 2]),
        ("a.json", LIST, LIST[:-1]),
    ],
)
async def test_a_file_written_in_two_halves_50_ms_apart_is_never_taken_as_a_deletion(
    tmp_path: Path, sentinel: Path, name: str, whole: str, half: str
) -> None:
    path = tmp_path / name
    path.write_text(whole)
    slow = Timing(settle_seconds=0.25, retry_seconds=0.01, scan_seconds=3600)
    async with running(tmp_path, timing=slow) as run:
        path.write_text(half)
        await asyncio.sleep(0.05)
        path.write_text(whole.replace('"uid": ""', '"uid": "2"'))
        assert await run.until("+a", "+b", "+c") == ["+a", "+b", "+c"]
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        assert run.told() == []


async def test_a_broken_file_keeps_what_it_held_and_goes_on_when_it_is_mended(
    tmp_path: Path, sentinel: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text(LIST)
    async with running(tmp_path) as run:
        path.write_text(LIST[:-1])
        await run.until_problems(f"{path}: its JSON is unusable (Input data was truncated)")
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        path.write_text(json.dumps(node("a")))
        assert await run.until("-b", "-c") == ["-b", "-c"]
        assert run.told() == []


async def test_a_broken_file_that_is_mended_does_not_wait_for_its_next_trial(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(LIST[:-1])
    patient = Timing(retry_seconds=3600, longest_retry_seconds=3600, scan_seconds=3600)
    async with running(tmp_path, timing=patient) as run:
        assert len(run.told()) == 1
        path.write_text(LIST)
        assert await run.until("+a", "+b", "+c") == ["+a", "+b", "+c"]


async def test_an_emptied_file_keeps_what_it_held_until_it_is_deleted(tmp_path: Path, sentinel: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(FULL)
    async with running(tmp_path) as run:
        path.write_text("")
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        what_to_do = "expected objects; what it held stays in force, delete the file to remove that"
        await run.until_problems(f"{path}: the file is empty: {what_to_do}")
        path.unlink()
        assert await run.until("-a", "-b", "-c") == ["-a", "-b", "-c"]
        assert run.told() == []


async def test_a_file_that_was_broken_at_the_first_load_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to("link.yaml")
    (tmp_path / "good.yaml").write_text(nodes("good"))
    async with running(tmp_path) as run:
        assert run.nodes == {"good": ""}
        assert run.told() == [
            f"{tmp_path / 'link.yaml'}: the file is unreadable (Too many levels of symbolic links)"
        ]
        rename_over(tmp_path / "link.yaml", nodes("a"))
        assert await run.until("+a") == ["+a"]
        assert run.told() == []


async def test_a_pipe_is_a_problem_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.yaml").write_text(nodes("a"))
    async with running(tmp_path / "pipe", tmp_path / "a.yaml") as run:
        assert run.nodes == {"a": ""}
        assert run.told() == [
            f"{tmp_path / 'pipe'}: the file is no regular file: expected a file or a folder"
        ]


async def test_one_bad_object_is_a_problem_and_the_others_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(nodes("a"))
    async with running(tmp_path) as run:
        path.write_text(nodes("a") + "---\n{apiVersion: v1, kind: Node, metadata: {name: B}}\n" + nodes("c"))
        assert await run.until("+c") == ["+c"]
        await run.until_problems(
            f"{path}:4: Node B metadata.name is 'B': "
            "expected string matching regex '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\\\\Z'"
        )


async def test_an_object_that_becomes_unusable_keeps_its_last_good_version(
    tmp_path: Path, sentinel: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(nodes("a", "b"))
    async with running(tmp_path) as run:
        path.write_text(nodes("a") + "---\n{apiVersion: v1, kind: Node, metadata: {name: b, uid: 5}}\n")
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        assert run.told() == [
            f"{path}:4: Node b metadata.uid is 5 (its last good version stays in force): expected string"
        ]


async def test_a_yaml_bomb_is_a_problem_and_the_file_keeps_what_it_held(
    tmp_path: Path, sentinel: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(nodes("a"))
    names = "abcdefghi"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in pairwise(names)
    )
    async with running(tmp_path) as run:
        path.write_text(bomb)
        why = "its aliases stand for more than 7,371 further values"
        await run.until_problems(f"{path}:5: its YAML is unusable at column 8 ({why})")
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]


async def test_the_swap_of_a_mounted_configmap_is_one_change_without_removals(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    for version in ("1", "2"):
        (mount / f"..{version}").mkdir()
        (mount / f"..{version}" / "a.yaml").write_text(nodes("a", uid=version))
        (mount / f"..{version}" / "b.yaml").write_text(nodes("b", uid=version))
    (mount / "..data").symlink_to("..1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    (mount / "b.yaml").symlink_to("..data/b.yaml")
    async with running(mount) as run:
        assert run.nodes == {"a": "1", "b": "1"}
        (mount / "..data_tmp").symlink_to("..2")
        (mount / "..data_tmp").replace(mount / "..data")
        shutil.rmtree(mount / "..1")
        assert await run.until("+a", "+b") == ["+a", "+b"]
        assert run.graph.transactions == 1
        (mount / "b.yaml").unlink()
        assert await run.until("-b") == ["-b"]


async def test_a_new_folder_of_manifests_is_taken_in_and_goes_with_its_objects(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "a.yaml").write_text(nodes("a"))
    async with running(root) as run:
        outside.rename(root / "new")
        assert await run.until("+a") == ["+a"]
        shutil.rmtree(root / "new")
        assert await run.until("-a") == ["-a"]


async def test_an_object_in_two_files_is_that_of_the_first_and_the_second_takes_over(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(nodes("a", uid="1"))
    second.write_text(nodes("a", uid="2"))
    async with running(tmp_path) as run:
        assert run.nodes == {"a": "1"}
        rivalry = (
            f"{second}: Node a is also defined in {first}: expected one definition; that one is in force"
        )
        assert run.told() == [rivalry]
        first.unlink()
        assert await run.until("+a") == ["+a"]
        assert run.nodes == {"a": "2"}
        await run.until_problems()
        first.write_text(nodes("a", uid="1"))
        assert await run.until("+a") == ["+a"]
        assert run.nodes == {"a": "1"}
        await run.until_problems(rivalry)


async def test_an_object_moved_to_another_file_is_never_gone(tmp_path: Path, sentinel: Path) -> None:
    (tmp_path / "1.yaml").write_text(nodes("a"))
    async with running(tmp_path) as run:
        (tmp_path / "1.yaml").rename(tmp_path / "2.yaml")
        sentinel.unlink()
        assert await run.until("-sentinel") == ["-sentinel"]
        assert run.nodes == {"a": ""}
        assert run.told() == []
        assert run.source.files == {str(tmp_path / "2.yaml"): 1}


async def test_a_given_path_that_is_missing_is_a_problem_until_it_appears(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    async with running(folder, file) as run:
        assert run.told() == [
            f"{path}: the path is missing: expected a file or a folder" for path in (file, folder)
        ]
        folder.mkdir()
        file.write_text(nodes("a"))
        assert await run.until("+a") == ["+a"]
        await run.until_problems()


async def test_each_fresh_problem_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.json"
    path.write_text("{")
    with caplog.at_level(logging.WARNING):
        async with running(tmp_path) as run:
            path.write_text("{]")
            await run.until_problems(
                f"{path}:1: its JSON is unusable at column 2 (object keys must be strings)"
            )
            (tmp_path / "b.yaml").write_text(nodes("b"))
            await run.until("+b")
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        f"{path}: its JSON is unusable (Input data was truncated)",
        f"{path}:1: its JSON is unusable at column 2 (object keys must be strings)",
    ]


async def test_a_file_large_enough_for_a_thread_is_followed_alike(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    names = [f"node-{number}" for number in range(3000)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [node(name) for name in names]}))
    assert path.stat().st_size > 128 * 1024
    async with running(tmp_path) as run:
        assert len(run.nodes) == 3000
        path.write_text(
            json.dumps({"apiVersion": "v1", "kind": "List", "items": [node(name) for name in names[1:]]})
        )
        assert await run.until("-node-0") == ["-node-0"]


async def test_a_source_that_stops_leaves_no_task_and_no_watch(tmp_path: Path) -> None:
    gc.collect()  # of what other tests left behind
    before = inotify_descriptors()
    async with running(tmp_path) as run:
        (tmp_path / "a.yaml").write_text(nodes("a"))
        await run.until("+a")
        assert inotify_descriptors() == before + 1
    assert inotify_descriptors() == before
    assert asyncio.all_tasks() == {asyncio.current_task()}
