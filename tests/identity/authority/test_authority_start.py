"""How a certificate authority comes to be, and renews what it made itself."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.identity.authority.held_authority import (
    OVERLAP,
    Clock,
    authority_on,
    loaded,
    make_unwritable,
    put,
)
from tests.identity.authority.made_certificates import NOW, make, plugged_in
from xds_server.exceptions import InputError

OLD, NEW = plugged_in(make("old root")), plugged_in(make("new root"))
YEAR = 365 * 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bundle(folder: Path) -> str:
    return (folder / "trust-bundle.pem").read_text()


async def test_a_first_start_makes_an_authority_and_the_next_finds_it(folder: Path, clock: Clock) -> None:
    first, second = await loaded(folder, clock), await loaded(folder, clock)
    assert first.signing == second.signing
    assert bundle(folder) == first.trust_bundle == (folder / "root-cert.pem").read_text()


async def test_all_but_the_bundle_is_for_the_owner_only(folder: Path, clock: Clock) -> None:
    await loaded(folder, clock)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes.pop("trust-bundle.pem") == 0o644
    assert {*modes} > {"root-key.pem", "ca-key.pem", "rotation.json"}
    assert {*modes.values()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_first_starts_at_the_same_time_agree(folder: Path, clock: Clock) -> None:
    authorities = [authority_on(folder, clock) for _ in range(8)]
    await asyncio.gather(*(authority.load() for authority in authorities))
    assert len({authority.signing.digest for authority in authorities}) == 1
    assert len({authority.trust_bundle for authority in authorities}) == 1


def test_first_starts_of_several_processes_agree(folder: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from xds_server.identity.authority.authority import CertificateAuthority as Authority\n"
        "from xds_server.identity.authority.folder import AuthorityFolder as Folder\n"
        "authority = Authority(Folder(pathlib.Path(sys.argv[1])), 'mesh.example', 10.0)\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "asyncio.run(authority.load())\n"
        "print(authority.signing.digest)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = {process.communicate()[0] for process in started}
    assert len(said) == 1
    assert len(said.pop().strip()) == 64


@pytest.mark.parametrize("name", sorted(OLD))
async def test_some_of_the_files_keep_a_start_from_making_any(folder: Path, clock: Clock, name: str) -> None:
    put(folder, {name: OLD[name]})
    with pytest.raises(InputError, match="missing"):
        await loaded(folder, clock)
    assert (folder / name).read_bytes() == OLD[name]
    assert not (folder / "root-key.pem").exists()


async def test_a_bad_set_at_the_start_is_refused_and_changes_nothing(folder: Path, clock: Clock) -> None:
    put(folder, OLD | {"ca-key.pem": NEW["ca-key.pem"]})
    authority = authority_on(folder, clock)
    with pytest.raises(InputError, match=r"ca-key.pem"):
        await authority.load()
    with pytest.raises(InputError, match="no certificate authority is loaded"):
        assert authority.signing
    assert not (folder / "rotation.json").exists()


async def test_a_self_made_intermediate_is_renewed_and_signs_at_once(folder: Path, clock: Clock) -> None:
    authority = await loaded(folder, clock)
    first, root = authority.signing.digest, authority.trust_bundle
    clock.now += YEAR * 0.7
    await authority.refresh()
    assert authority.signing.digest != first
    assert authority.trust_bundle == root
    assert authority.signing.not_after == clock.now + YEAR


async def test_a_self_made_root_is_replaced_by_a_rotation(folder: Path, clock: Clock) -> None:
    authority = await loaded(folder, clock)
    old_root = authority.trust_bundle
    for _ in range(13):
        clock.now += YEAR * 0.6
        await authority.refresh()
    assert authority.trust_bundle == old_root
    clock.now = NOW + 8.1 * YEAR
    await authority.refresh()
    assert len(authority.rotation.roots) == 2
    assert authority.signing.roots == (old_root,)
    for _ in range(2):
        clock.now += OVERLAP
        await authority.refresh()
    assert authority.trust_bundle == (folder / "root-cert.pem").read_text() != old_root


async def test_replicas_renew_a_self_made_authority_once(folder: Path, clock: Clock) -> None:
    replicas = [await loaded(folder, clock) for _ in range(4)]
    clock.now += YEAR * 0.7
    await asyncio.gather(*(replica.refresh() for replica in replicas))
    await asyncio.gather(*(replica.refresh() for replica in replicas))
    assert len({replica.signing.digest for replica in replicas}) == 1


async def test_a_renewal_that_cannot_be_written_is_told_while_the_old_goes_on(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await loaded(folder, clock)
    make_unwritable(monkeypatch)
    clock.now += YEAR * 0.7
    authority = await loaded(folder, clock)
    assert authority.signing == first.signing
    assert "Read-only file system" in authority.failure
