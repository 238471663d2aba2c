"""The placement map file: read at start, followed from then on, and the last good map kept."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given

from tests.helpers.followed_map import START, Followed, following
from tests.helpers.placement_maps import maps
from xds_server.exceptions import InputError, LocalError
from xds_server.mesh.graph import new_registry
from xds_server.objects.cluster_conf import Pair, PlacementMap, Single
from xds_server.sources.placement.in_force import put_in_force

ONE = "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.2}\nsingles: [10.0.0.9]\n"
OTHER = "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.3}\nsingles: [10.0.0.9]\n"
BAD = "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.300}\n"


@pytest.fixture
async def followed(tmp_path: Path) -> AsyncIterator[Followed]:
    path = tmp_path / "cluster-conf.yaml"
    path.write_text(ONE)
    followed = Followed(path)
    await followed.source.load()
    async with following(followed):
        yield followed


async def test_the_first_load_fills_both_collections_and_marks_them_synced(followed: Followed) -> None:
    assert dict(followed.pairs.items()) == {"10.0.0.1": Pair("10.0.0.1", "10.0.0.2", line=2)}
    assert dict(followed.singles.items()) == {"10.0.0.9": Single("10.0.0.9", line=3)}
    assert followed.pairs.synced
    assert followed.singles.synced


async def test_the_state_tells_path_time_and_digest_of_the_map_in_force(followed: Followed) -> None:
    state = followed.source.state
    assert state is not None
    assert (state.path, state.loaded_at) == (str(followed.path), START)
    assert state.digest == hashlib.sha256(ONE.encode()).hexdigest()
    assert (state.reloads, state.failed_reloads, state.failure) == (0, 0, ())


def absent(path: Path) -> None:
    assert not path.exists()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (absent, "placement map is missing: expected a file with pairs: or singles:"),
        (below_a_file, "placement map is missing: expected a file with pairs: or singles:"),
        (Path.mkdir, "placement map is unreadable (Is a directory): expected a file with pairs: or singles:"),
        (Path.touch, "placement map is empty: expected pairs: or singles:"),
        (lambda path: path.write_text("pair: []\n"), "pair is an unknown key: expected pairs"),
    ],
    ids=["absent", "below a file", "a folder", "empty", "wrong"],
)
async def test_a_start_without_a_good_map_fails_and_syncs_nothing(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "etc" / "cluster-conf.yaml"
    path.parent.mkdir()
    make(path)
    started = Followed(path)
    with pytest.raises(InputError) as caught:
        await started.source.load()
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith(told)
    assert started.source.state is None
    assert not started.pairs.synced
    assert not started.singles.synced


async def test_a_map_is_not_followed_before_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        await Followed(tmp_path / "cluster-conf.yaml").source.follow()


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def rename_over(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text)
    scratch.replace(path)


def remove_and_write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("edit", [write_in_place, rename_over, remove_and_write])
async def test_an_edit_is_in_force_without_a_restart(
    followed: Followed, edit: Callable[[Path, str], None]
) -> None:
    followed.now = START + timedelta(minutes=1)
    edit(followed.path, OTHER)
    await followed.until(lambda: followed.dpu() == "10.0.0.3")
    state = followed.source.state
    assert state is not None
    assert (state.loaded_at, state.reloads, state.failure) == (followed.now, 1, ())
    assert state.digest == hashlib.sha256(OTHER.encode()).hexdigest()


async def test_a_config_map_that_is_swapped_as_the_kubelet_does_it_is_in_force(tmp_path: Path) -> None:
    def publish(version: str, text: str) -> None:
        folder = tmp_path / f"..{version}"
        folder.mkdir()
        (folder / "cluster-conf.yaml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    publish("2024_05_01", ONE)
    (tmp_path / "cluster-conf.yaml").symlink_to("..data/cluster-conf.yaml")
    followed = Followed(tmp_path / "cluster-conf.yaml")
    await followed.source.load()
    async with following(followed):
        publish("2024_05_02", OTHER)
        await followed.until(lambda: followed.dpu() == "10.0.0.3")
        publish("2024_05_03", ONE)
        await followed.until(lambda: followed.dpu() == "10.0.0.2")


async def test_an_edit_made_while_other_inputs_are_loaded_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "cluster-conf.yaml"
    path.write_text(ONE)
    started = Followed(path)
    await started.source.load()
    path.write_text(OTHER)
    async with following(started):
        await started.until(lambda: started.dpu() == "10.0.0.3")


async def test_only_rows_that_differ_change_and_all_in_one_transaction(followed: Followed) -> None:
    followed.path.write_text(
        "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.2}\n- {cpuNodeIP: 10.0.0.9, dpuNodeIP: 10.0.0.2}\n"
        "- {cpuNodeIP: 10.0.0.5, dpuNodeIP: 10.0.0.6}\n"
    )
    await followed.until(lambda: len(followed.pairs) == 3)
    followed.path.write_text(ONE)
    await followed.until(lambda: len(followed.pairs) == 1)
    assert followed.singles_then == [{"10.0.0.9"}, set(), {"10.0.0.9"}]
    assert followed.changes == [{"10.0.0.1"}, {"10.0.0.5", "10.0.0.9"}, {"10.0.0.5", "10.0.0.9"}]


async def test_a_bad_edit_keeps_the_map_and_is_told_until_a_good_one(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    expected = "expected an IP address such as 192.168.50.130 or fd00::130"
    told = f"{followed.path}:2: dpuNodeIP is '10.0.0.300': {expected}"
    followed.path.write_text(BAD)
    await followed.until(lambda: followed.failure == [told])
    assert followed.dpu() == "10.0.0.2"
    assert [str(problem) for problem in followed.problems.by_place[str(followed.path)]] == [told]
    assert followed.source.state is not None
    assert (followed.source.state.failed_reloads, followed.source.state.loaded_at) == (1, START)
    assert [told in record.message for record in caplog.records if record.levelname == "ERROR"] == [True]

    followed.path.write_text(OTHER)
    await followed.until(lambda: followed.dpu() == "10.0.0.3")
    assert followed.failure == []
    assert followed.problems.by_place == {}
    assert (followed.source.state.reloads, followed.source.state.failed_reloads) == (1, 1)


async def test_a_failure_is_counted_and_logged_once_until_it_is_another(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.path.write_text(BAD)
    await followed.until(lambda: followed.problems.reports >= 1)
    followed.path.write_text(BAD + "# a comment\n")
    await followed.until(lambda: followed.problems.reports >= 2)
    followed.path.write_text(BAD + "extra: 1\n")
    await followed.until(lambda: len(followed.failure) == 2)
    assert followed.source.state is not None
    assert followed.source.state.failed_reloads == 2
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


async def test_a_file_that_vanishes_keeps_the_map_and_may_come_back(followed: Followed) -> None:
    followed.path.unlink()
    missing = f"{followed.path}: placement map is missing: expected a file with pairs: or singles:"
    await followed.until(lambda: followed.failure == [missing])
    assert followed.dpu() == "10.0.0.2"

    followed.path.write_text(ONE)
    await followed.until(lambda: not followed.failure)
    assert followed.problems.by_place == {}
    assert followed.source.state is not None
    assert (followed.source.state.reloads, followed.changes) == (0, [{"10.0.0.1"}])


async def test_a_file_that_could_not_be_read_is_read_again_by_itself(followed: Followed) -> None:
    followed.path.unlink()
    followed.path.mkdir()
    unreadable = f"{followed.path}: placement map is unreadable (Is a directory)"
    await followed.until(lambda: bool(followed.failure) and followed.failure[0].startswith(unreadable))
    before = followed.problems.reports
    await followed.until(lambda: followed.problems.reports > before + 1)
    assert followed.dpu() == "10.0.0.2"
    followed.path.rmdir()
    rename_over(followed.path, OTHER)
    await followed.until(lambda: followed.dpu() == "10.0.0.3")


async def test_a_map_that_is_still_being_written_is_not_looked_at(followed: Followed, tmp_path: Path) -> None:
    beside = tmp_path / "beside.yaml"
    beside.write_text(ONE)
    other = Followed(beside)
    await other.source.load()
    async with following(other):
        with followed.path.open("w") as file:
            file.write(OTHER.partition("singles")[0])  # by itself a good map, without the single
            file.flush()
            os.fsync(file.fileno())
            beside.write_text(OTHER)
            await other.until(lambda: other.dpu() == "10.0.0.3")
            assert followed.dpu() == "10.0.0.2"
            file.write("singles: [10.0.0.8]\n")
        await followed.until(lambda: followed.dpu() == "10.0.0.3")
    assert list(followed.singles) == ["10.0.0.8"]
    assert followed.source.state is not None
    assert (followed.source.state.reloads, followed.source.state.failed_reloads) == (1, 0)


@given(maps(), maps())
def test_whatever_was_in_force_the_rows_become_those_of_the_new_map(
    old: PlacementMap, new: PlacementMap
) -> None:
    registry = new_registry()
    put_in_force(old, registry)
    touched: set[str] = set()
    registry.graph.listen(registry.of(Pair), touched.update)
    before = dict(registry.of(Pair).items())
    put_in_force(new, registry)
    after = {pair.cpu_node_ip: pair for pair in new.pairs}
    assert dict(registry.of(Pair).items()) == after
    assert dict(registry.of(Single).items()) == {single.node_ip: single for single in new.singles}
    assert touched == {key for key in before | after if before.get(key) != after.get(key)}
    assert put_in_force(new, registry) == 0
