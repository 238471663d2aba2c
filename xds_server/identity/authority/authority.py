"""The certificate authority: what signs and what is trusted, kept up with a store and the clock."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec

from xds_server.exceptions import ClusterError, InputError
from xds_server.identity.authority.material import Generation, read_generation
from xds_server.identity.authority.rotation import Rotation, advance, offer
from xds_server.identity.authority.self_made import make_files, renewed_files
from xds_server.identity.authority.store import AuthorityStore

# A clock that was set is noticed, and material that becomes valid is taken, within this.
_MOST_SECONDS = 60.0

log = logging.getLogger(__name__)


class CertificateAuthority:
    """
    What signs now and what is trusted, from a store that replicas share.

    ``overlap`` is the longest life of a leaf and the clocks' skew, in seconds. Call ``load`` first,
    then keep ``follow`` running.
    """

    def __init__(
        self,
        store: AuthorityStore,
        trust_domain: str,
        overlap: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._overlap = overlap
        self._clock = clock
        self._rotation: Rotation | None = None
        self._read_last: tuple[Mapping[str, bytes], Generation] | None = None
        self._failure = ""
        self._listeners: list[Callable[[], None]] = []

    @property
    def signing(self) -> Generation:
        """
        What to sign with now.

        Raises:
            InputError: nothing is loaded, or the issuer, or what it is signed by, has expired.

        """
        current = self.rotation.current
        if current.not_after <= self._clock():
            raise InputError(f"the issuing certificate expired at {_told(current.not_after)}")
        return current

    @property
    def trust_bundle(self) -> str:
        """Every root to trust, in PEM, each once, in an order that only changes with them."""
        return self.rotation.trust_bundle

    @property
    def rotation(self) -> Rotation:
        """
        Where a rotation stands.

        Raises:
            InputError: nothing is loaded.

        """
        if self._rotation is None:
            raise InputError("no certificate authority is loaded")
        return self._rotation

    @property
    def failure(self) -> str:
        """Why what is in the store is not taken; empty when it is."""
        return self._failure

    def listen(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after every change of what signs or of the trust bundle."""
        self._listeners.append(callback)

    async def load(self) -> None:
        """
        Take what is in the store, or make a certificate authority when there is nothing.

        Raises:
            InputError: it cannot be used; nothing was changed.
            ClusterError: the store is away.

        """
        saved = await self._store.load_rotation()
        generation, failure = await self._read()
        await self._take(saved, generation)
        self._note(failure)

    async def follow(self) -> None:
        """Keep up with the store and the clock, for ever."""
        changed = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(changed))
            while True:
                changed.clear()
                await self.refresh()
                try:
                    async with asyncio.timeout(self._pause()):
                        await changed.wait()
                except TimeoutError:
                    continue

    async def _watch(self, changed: asyncio.Event) -> None:
        async with aclosing(self._store.changes()) as changes:
            async for _ in changes:
                changed.set()

    async def refresh(self) -> None:
        """Look at the store and the clock once. What cannot be used leaves in force what was."""
        generation = None
        try:
            # The state comes before the files: whoever changes the files later also changes the state,
            # and then ours, made for files that are gone, is not saved.
            saved = await self._store.load_rotation()
            try:
                generation, failure = await self._read()
            except (InputError, ClusterError) as error:
                failure = str(error)
            await self._take(saved, generation)
        except (InputError, ClusterError) as error:
            failure = str(error)
            if self._rotation:
                self._adopt(advance(self._rotation, self._clock(), self._overlap))
        self._note(failure)

    async def _read(self) -> tuple[Generation, str]:
        """Read the material, made or renewed first where that is ours to do; also why it was not renewed."""
        files, now = await self._store.load(), self._clock()
        failure = ""
        if not files:
            made = make_files(self._trust_domain, now)
            files = await self._store.create(made)
            whose = "here" if files == made else "by another replica"
            log.info("no certificates were given: those made %s are in use", whose)
        elif renewed := renewed_files(files, self._trust_domain, now):
            try:
                files = await self._store.replace(files, renewed)
            except (InputError, ClusterError) as error:
                failure = str(error)
        # To check an RSA key keeps every other thread waiting: only for new files.
        if self._read_last is None or self._read_last[0] != files or self._read_last[1].not_after <= now:
            self._read_last = (files, await asyncio.to_thread(read_generation, files, now))
        return self._read_last[1], failure

    async def _take(self, saved: bytes | None, generation: Generation | None) -> None:
        """Go on from the saved state, or else from ours, to what the generation and the clock ask for."""
        before, now = (_decode(saved) if saved else None) or self._rotation, self._clock()
        if generation:
            after = offer(before, generation, now, self._overlap)
        elif before:
            after = advance(before, now, self._overlap)
        else:
            return
        if not saved or after != before:
            winner = await self._store.save_rotation(saved, msgspec.json.encode(after))
            after = _decode(winner) or after
        self._adopt(after)
        await self._store.publish_bundle(after.trust_bundle)

    def _adopt(self, rotation: Rotation) -> None:
        before, self._rotation = self._rotation, rotation
        if before == rotation:
            return
        _tell(before, rotation)
        if (
            before is None
            or before.current != rotation.current
            or before.trust_bundle != rotation.trust_bundle
        ):
            for callback in self._listeners:
                callback()

    def _note(self, failure: str) -> None:
        """Keep why the store's material is not taken, and tell it once."""
        if failure and failure != self._failure:
            log.warning("the certificate authority keeps what it has: %s", failure)
        if self._failure and not failure:
            log.info("the certificate authority's files are in order again")
        self._failure = failure

    def _pause(self) -> float:
        due = self._rotation.changes_at if self._rotation else None
        return _MOST_SECONDS if due is None else min(_MOST_SECONDS, max(0.0, due - self._clock()))


def _decode(state: bytes) -> Rotation | None:
    """Read a saved state; None, told, if it is none: then all goes on as without it."""
    try:
        return msgspec.json.decode(state, type=Rotation)
    except msgspec.MsgspecError:
        # The error's own text may quote the state, and that holds keys.
        log.warning("the saved state of the certificates' rotation is unreadable and not used")
        return None


def _tell(before: Rotation | None, after: Rotation) -> None:
    if after.next and (before is None or before.next != after.next):
        name, switch_at = after.next.digest[:16], _told(after.switch_at)
        log.info("issuer %s is announced and will sign from %s on", name, switch_at)
    if before is None or before.current.digest != after.current.digest:
        name, not_after = after.current.digest[:16], _told(after.current.not_after)
        log.info("issuer %s signs, until %s at most", name, not_after)
    if before is None or before.trust_bundle != after.trust_bundle:
        log.info("%d roots are trusted, %d of them only for a time", len(after.roots), len(after.retired))


def _told(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"
