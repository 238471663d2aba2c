"""How a certificate authority follows its folder and the clock by itself."""

import asyncio
from pathlib import Path

import pytest

from tests.identity.authority.held_authority import (
    OVERLAP,
    Clock,
    following,
    loaded,
    put,
)
from tests.identity.authority.made_certificates import NOW, make, plugged_in
from xds_server.identity.authority import authority as module
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.authority.folder import AuthorityFolder
from xds_server.identity.authority.material import read_generation

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


def _running(start: Clock) -> Clock:
    """A clock that starts at the test's time and runs."""
    loop = asyncio.get_running_loop()
    begin = loop.time()

    class Running(Clock):
        def __call__(self) -> float:
            return start.now + loop.time() - begin

    return Running()
