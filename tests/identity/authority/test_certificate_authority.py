"""What signs and what is trusted, kept up with a folder and the clock."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.identity.authority.held_authority import (
    OVERLAP,
    Clock,
    authority_on,
    following,
    loaded,
    make_unwritable,
    put,
)
from tests.identity.authority.made_certificates import DAY, MOMENT, NOW, Shape, istio_files, make, plugged_in
from xds_server.exceptions import ClusterError, InputError
from xds_server.identity.authority import authority as module
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.authority.folder import AuthorityFolder
from xds_server.identity.authority.material import read_generation

OLD, NEW = plugged_in(make("old root")), plugged_in(make("new root"))
OLD_DIGEST, NEW_DIGEST = (read_generation(files, NOW).digest for files in (OLD, NEW))
OLD_ROOT, NEW_ROOT = OLD["root-cert.pem"].decode(), NEW["root-cert.pem"].decode()
BOTH = "".join(sorted([OLD_ROOT, NEW_ROOT]))
YEAR = 365 * 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "certs"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bundle(folder: Path) -> str:
    return (folder / "trust-bundle.pem").read_text()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


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


async def test_a_new_root_is_announced_then_signs_then_the_old_one_goes(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    put(folder, NEW)
    seen = []
    for wait in (0.0, OVERLAP - 1, 1.0, OVERLAP - 1, 1.0):
        clock.now += wait
        await authority.refresh()
        seen.append((authority.signing.digest, authority.trust_bundle))
        assert bundle(folder) == authority.trust_bundle
    assert seen == [
        (OLD_DIGEST, BOTH),
        (OLD_DIGEST, BOTH),
        (NEW_DIGEST, BOTH),
        (NEW_DIGEST, BOTH),
        (NEW_DIGEST, NEW_ROOT),
    ]


async def test_a_restart_amid_a_rotation_goes_on_with_it(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    await loaded(folder, clock)
    put(folder, NEW)
    announced = await loaded(folder, clock)
    clock.now += 1_000
    restarted = await loaded(folder, clock)
    assert restarted.rotation == announced.rotation
    assert restarted.signing.key_pem.encode() == OLD["ca-key.pem"]


async def test_replicas_on_one_folder_go_through_one_rotation(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    one, other = await loaded(folder, clock), await loaded(folder, clock)
    put(folder, NEW)
    await one.refresh()
    clock.now += 500
    await asyncio.gather(one.refresh(), other.refresh())
    assert one.rotation == other.rotation
    assert other.rotation.switch_at == NOW + OVERLAP


async def test_a_bad_new_set_leaves_the_good_one_in_force_and_is_told_once(
    folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    put(folder, {"ca-key.pem": NEW["ca-key.pem"]})
    for _ in range(3):
        await authority.refresh()
    assert authority.signing.digest == OLD_DIGEST
    assert "ca-key.pem" in authority.failure
    put(folder, {"ca-key.pem": b"garbage"})
    for _ in range(3):
        await authority.refresh()
    assert [("garbage" in text, "ca-key.pem" in text) for text in warnings(caplog)] == [(False, True)] * 2
    put(folder, OLD)
    await authority.refresh()
    assert authority.failure == ""


async def test_a_set_that_is_taken_away_leaves_the_good_one_in_force(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    (folder / "ca-cert.pem").unlink()
    await authority.refresh()
    assert authority.signing.digest == OLD_DIGEST
    assert "ca-cert.pem" in authority.failure


async def test_a_rotation_goes_on_while_the_files_are_bad(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    put(folder, NEW)
    await authority.refresh()
    put(folder, {"ca-key.pem": b"garbage"})
    clock.now += OVERLAP
    await authority.refresh()
    assert authority.signing.digest == NEW_DIGEST


async def test_an_expired_issuer_signs_nothing_until_another_comes_that_signs_at_once(
    folder: Path, clock: Clock
) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    clock.now = (MOMENT + 100 * DAY).timestamp()
    await authority.refresh()
    with pytest.raises(InputError, match="the issuing certificate expired at 2027-04-25T08:00:00Z"):
        assert authority.signing
    assert "in the past" in authority.failure
    root = make("later root", shape=Shape(end=MOMENT + 200 * DAY))
    put(folder, istio_files(make("later", root, shape=Shape(end=MOMENT + 200 * DAY)), root))
    await authority.refresh()
    assert authority.signing.not_after == (MOMENT + 200 * DAY).timestamp()
    assert root.pem.decode() in authority.trust_bundle
    assert authority.failure == ""


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


async def test_a_folder_that_cannot_be_written_serves_a_whole_rotation(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, OLD)
    make_unwritable(monkeypatch)
    authority = await loaded(folder, clock)
    put(folder, NEW)
    seen = []
    for _ in range(3):
        await authority.refresh()
        seen.append((authority.signing.digest, authority.trust_bundle))
        clock.now += OVERLAP
    assert seen == [(OLD_DIGEST, BOTH), (NEW_DIGEST, BOTH), (NEW_DIGEST, NEW_ROOT)]
    assert len(warnings(caplog)) == 1


async def test_an_unreadable_state_is_told_and_not_used(
    folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, OLD | {"rotation.json": b'{"current": "PRIVATE"}'})
    authority = await loaded(folder, clock)
    assert authority.signing.digest == OLD_DIGEST
    assert len(warnings(caplog)) == 1
    assert (await loaded(folder, clock)).rotation == authority.rotation
    assert len(warnings(caplog)) == 1


class AbsentStore(AuthorityFolder):
    """A folder that can be away, as a cluster can."""

    away = False

    async def load_rotation(self) -> bytes | None:
        if self.away:
            raise ClusterError("the API server does not answer")
        return await super().load_rotation()


async def test_a_rotation_goes_on_while_the_store_is_away(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    store = AbsentStore(folder)
    authority = CertificateAuthority(store, "mesh.example", OVERLAP, clock)
    await authority.load()
    put(folder, NEW)
    await authority.refresh()
    store.away = True
    clock.now += OVERLAP
    await authority.refresh()
    assert authority.signing.digest == NEW_DIGEST
    assert "does not answer" in authority.failure
    store.away = False
    await authority.refresh()
    assert authority.failure == ""
    assert (await loaded(folder, clock)).signing.digest == NEW_DIGEST


async def test_files_are_followed_and_every_change_is_told(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    async with following(authority) as told:
        put(folder, NEW)
        assert await told.get() == OLD_DIGEST
        assert authority.trust_bundle == BOTH
        clock.now += OVERLAP
        put(folder, NEW)
        assert await told.get() == NEW_DIGEST
    assert told.empty()


async def test_replicas_follow_what_one_of_them_decided(folder: Path, clock: Clock) -> None:
    put(folder, OLD)
    one, other = await loaded(folder, clock), await loaded(folder, clock)
    async with following(other) as told:
        put(folder, NEW)
        await told.get()
        clock.now += OVERLAP
        await one.refresh()
        assert await told.get() == NEW_DIGEST
    assert one.rotation == other.rotation


async def test_a_switch_comes_in_time_without_any_change_of_files(folder: Path) -> None:
    clock = Clock()
    put(folder, OLD)
    authority = CertificateAuthority(AuthorityFolder(folder), "mesh.example", 0.05, _running(clock))
    await authority.load()
    async with following(authority) as told:
        put(folder, NEW)
        assert await told.get() == OLD_DIGEST
        assert await told.get() == NEW_DIGEST
        await told.get()
        assert authority.trust_bundle == NEW_ROOT


async def test_a_clock_that_is_set_is_noticed(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.01)
    put(folder, OLD)
    authority = await loaded(folder, clock)
    put(folder, NEW)
    async with following(authority) as told:
        assert await told.get() == OLD_DIGEST
        clock.now += OVERLAP
        assert await told.get() == NEW_DIGEST


async def test_a_bundle_that_was_removed_is_published_again(folder: Path, clock: Clock) -> None:
    authority = await loaded(folder, clock)
    (folder / "trust-bundle.pem").unlink()
    await authority.refresh()
    assert bundle(folder) == authority.trust_bundle


async def test_no_key_is_ever_logged_or_printed(
    folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    authority = await loaded(folder, clock)
    keys = [authority.signing.key_pem, (folder / "root-key.pem").read_text()]
    (folder / "root-key.pem").unlink()
    put(folder, OLD)
    await authority.refresh()
    put(folder, {"ca-cert.pem": OLD["ca-key.pem"], "root-cert.pem": OLD["ca-key.pem"]})
    await authority.refresh()
    (folder / "rotation.json").write_text('{"current": 1}')
    await authority.refresh()
    said = "".join([caplog.text, authority.failure, repr(authority.rotation), repr(authority.signing)])
    for line in (line for key in [*keys, OLD["ca-key.pem"].decode()] for line in key.splitlines()[1:-1]):
        assert line not in said
    assert authority.failure


def _running(start: Clock) -> Clock:
    """A clock that starts at the test's time and runs."""
    loop = asyncio.get_running_loop()
    begin = loop.time()

    class Running(Clock):
        def __call__(self) -> float:
            return start.now + loop.time() - begin

    return Running()
