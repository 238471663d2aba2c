"""The folder of a certificate authority."""

from pathlib import Path

import pytest

from tests.identity.authority.held_authority import make_unwritable, put
from tests.identity.authority.made_certificates import plugged_in
from xds_server.exceptions import InputError
from xds_server.identity.authority.folder import AuthorityFolder

FILES = plugged_in()
OTHERS = plugged_in()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "certs"


async def test_an_absent_folder_holds_nothing(path: Path) -> None:
    folder = AuthorityFolder(path)
    assert await folder.load() == {}
    assert await folder.load_rotation() is None


async def test_material_is_only_created_where_there_is_none(path: Path) -> None:
    assert await AuthorityFolder(path).create(FILES) == FILES
    assert await AuthorityFolder(path).create(OTHERS) == FILES
    assert await AuthorityFolder(path).load() == FILES


async def test_a_single_file_of_an_operator_keeps_material_from_being_created(path: Path) -> None:
    put(path, {"tls.crt": b"an operator's"})
    assert await AuthorityFolder(path).create(FILES) == {"tls.crt": b"an operator's"}


async def test_material_is_only_replaced_while_it_is_what_was_seen(path: Path) -> None:
    folder = AuthorityFolder(path)
    await folder.create(FILES)
    assert await folder.replace(OTHERS, {}) == FILES
    assert await folder.replace(FILES, OTHERS) == OTHERS
    assert await folder.replace(FILES, FILES) == OTHERS


async def test_of_two_states_of_a_rotation_the_one_that_knew_the_last_wins(path: Path) -> None:
    one, other = AuthorityFolder(path), AuthorityFolder(path)
    assert await one.save_rotation(None, b"first") == b"first"
    assert await other.save_rotation(None, b"too late") == b"first"
    assert await other.save_rotation(b"first", b"second") == b"second"
    assert await one.load_rotation() == b"second"
    assert (path / "rotation.json").stat().st_mode & 0o777 == 0o600


async def test_the_bundle_is_public_and_only_written_when_it_differs(path: Path) -> None:
    folder = AuthorityFolder(path)
    await folder.publish_bundle("roots")
    bundle = path / "trust-bundle.pem"
    assert bundle.read_text() == "roots"
    assert bundle.stat().st_mode & 0o777 == 0o644
    inode = bundle.stat().st_ino
    await folder.publish_bundle("roots")
    assert bundle.stat().st_ino == inode
    await folder.publish_bundle("more roots")
    assert bundle.read_text() == "more roots"


async def test_a_file_that_cannot_be_read_is_told(path: Path) -> None:
    (path / "ca-cert.pem").mkdir(parents=True)
    (path / "rotation.json").mkdir()
    with pytest.raises(InputError, match=r"ca-cert.pem: Is a directory"):
        await AuthorityFolder(path).load()
    with pytest.raises(InputError, match=r"rotation.json: Is a directory"):
        await AuthorityFolder(path).load_rotation()


async def test_material_is_not_created_where_it_would_be_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unwritable(monkeypatch)
    with pytest.raises(InputError, match=r"certs: Read-only file system: expected a folder to write"):
        await AuthorityFolder(path).create(FILES)


async def test_a_folder_that_cannot_be_written_keeps_the_rotation_in_memory_and_tells_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(path, FILES | {"rotation.json": b"before"})
    folder = AuthorityFolder(path)
    with monkeypatch.context() as patch:
        make_unwritable(patch)
        assert await folder.load() == FILES
        assert await folder.save_rotation(b"before", b"first") == b"first"
        assert await folder.save_rotation(b"first", b"second") == b"second"
        assert await folder.load_rotation() == b"second"
        await folder.publish_bundle("roots")
        assert len(caplog.records) == 1
        assert "Read-only file system" in caplog.text
    assert await folder.save_rotation(b"second", b"third") == b"third"
    assert (path / "rotation.json").read_bytes() == b"third"


async def test_changes_are_told_from_the_first_moment_on(path: Path) -> None:
    folder = AuthorityFolder(path)
    changes = folder.changes()
    await anext(changes)
    for files in (FILES, {"cert-chain.pem": b""}, {"rotation.json": b"{}"}):
        put(path, files)
        await anext(changes)
    (path / "ca-cert.pem").unlink()
    await anext(changes)
    await changes.aclose()
