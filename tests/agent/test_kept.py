"""What was held last, on disk."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.saying import cpu, dpu, ranges, told
from xds_server.agent import kept
from xds_server.exceptions import KernelError

PROGRAM, RANGES = "node-program.pb", "pod-ranges.pb"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    kept.save(tmp_path, told(cpu()))
    assert kept.load(tmp_path, "cpu") == (told(cpu()), "")
    kept.save(tmp_path, told(cpu(pods=[]), ranges(stated=())))
    assert kept.load(tmp_path, "cpu") == (told(cpu(pods=[]), ranges(stated=())), "")


def test_nothing_is_kept_before_something_is_saved_and_after_it_is_forgotten(tmp_path: Path) -> None:
    assert kept.load(tmp_path, "cpu") == (None, "")
    kept.save(tmp_path, told(cpu()))
    kept.forget(tmp_path)
    assert kept.load(tmp_path, "cpu") == (None, "")
    assert list(tmp_path.iterdir()) == []
    kept.forget(tmp_path)


@pytest.mark.parametrize("missing", [PROGRAM, RANGES])
def test_one_of_the_two_alone_is_nothing(tmp_path: Path, missing: str) -> None:
    kept.save(tmp_path, told(cpu()))
    (tmp_path / missing).unlink()
    assert kept.load(tmp_path, "cpu") == (None, "")


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xff\xff\xff")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [_garbage, _cut, _folder])
@pytest.mark.parametrize("name", [PROGRAM, RANGES])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, spoil: Callable[[Path], None]) -> None:
    kept.save(tmp_path, told(cpu()))
    spoil(tmp_path / name)
    found, problem = kept.load(tmp_path, "cpu")
    assert found is None
    assert problem.startswith(f"{tmp_path}: what was held last cannot be read: ")


def test_what_another_node_held_is_not_taken(tmp_path: Path) -> None:
    kept.save(tmp_path, told(dpu()))
    problem = f"{tmp_path}: what was held last is for node 'dpu', not 'cpu'"
    assert kept.load(tmp_path, "cpu") == (None, problem)


def test_a_file_is_there_as_a_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full, or the node goes down, before what is written is on it."""
    kept.save(tmp_path, told(cpu()))

    def fail(_number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(os, "fsync", fail)
        kept.save(tmp_path, told(cpu(pods=[])))
    assert kept.load(tmp_path, "cpu") == (told(cpu()), "")


def test_who_reads_while_it_is_saved_reads_what_was_there(tmp_path: Path) -> None:
    kept.save(tmp_path, told(cpu()))
    with (tmp_path / PROGRAM).open("rb") as opened:
        kept.save(tmp_path, told(cpu(pods=[])))
        assert opened.read() == cpu().SerializeToString(deterministic=True)


def test_what_was_left_half_written_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"{PROGRAM}.new").write_bytes(b"half")
    kept.save(tmp_path, told(cpu()))
    assert sorted(path.name for path in tmp_path.iterdir()) == [PROGRAM, RANGES]


def test_a_second_agent_is_refused_while_the_first_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "state"
    with kept.alone(folder):
        with (
            pytest.raises(KernelError, match=r"--state-dir .*/state: another agent of this node is running"),
            kept.alone(folder),
        ):
            pytest.fail("there are two")
        with kept.alone(tmp_path / "elsewhere"):
            pass
    with kept.alone(folder):
        pass


def test_the_folder_is_the_agents_alone(tmp_path: Path) -> None:
    with kept.alone(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(KernelError, match=r"--state-dir .*/file/state: Not a directory"),
        kept.alone(tmp_path / "file" / "state"),
    ):
        pytest.fail("it is in use")
