"""What signs and what is trusted, when files and the clock change."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.identity.authority.held_authority import (
    OVERLAP,
    Clock,
    loaded,
    make_unwritable,
    put,
)
from tests.identity.authority.made_certificates import DAY, MOMENT, NOW, Shape, istio_files, make, plugged_in
from xds_server.exceptions import ClusterError, InputError
from xds_server.identity.authority import authority as module
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.authority.folder import AuthorityFolder
from xds_server.identity.authority.material import Generation, read_generation

OLD, NEW = plugged_in(make("old root")), plugged_in(make("new root"))
OLD_DIGEST, NEW_DIGEST = (read_generation(files, NOW).digest for files in (OLD, NEW))
OLD_ROOT, NEW_ROOT = OLD["root-cert.pem"].decode(), NEW["root-cert.pem"].decode()
BOTH = "".join(sorted([OLD_ROOT, NEW_ROOT]))


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


class RacingStore(AuthorityFolder):
    """A folder on which another replica acts while this one reads the files."""

    def __init__(self, path: Path, other: CertificateAuthority) -> None:
        super().__init__(path)
        self._other = other

    async def load(self) -> Mapping[str, bytes]:
        await self._other.refresh()
        return await super().load()


async def test_a_replica_that_comes_too_late_goes_on_with_what_another_decided(
    folder: Path, clock: Clock
) -> None:
    put(folder, OLD)
    first = await loaded(folder, clock)
    late_clock = Clock()
    late_clock.now += 500
    late = CertificateAuthority(RacingStore(folder, first), "mesh.example", OVERLAP, late_clock)
    await late.load()
    put(folder, NEW)
    await late.refresh()
    assert late.rotation == first.rotation
    assert late.rotation.switch_at == NOW + OVERLAP


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


async def test_files_that_did_not_change_are_not_checked_again(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, OLD)
    authority = await loaded(folder, clock)
    checked = []

    def check(files: Mapping[str, bytes], now: float) -> Generation:
        checked.append(files)
        return read_generation(files, now)

    monkeypatch.setattr(module, "read_generation", check)
    await authority.refresh()
    assert not checked
    put(folder, NEW)
    await authority.refresh()
    await authority.refresh()
    assert len(checked) == 1


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
