"""
One kind, kept equal to what the API server has.

Rules (Kubernetes API concepts; field facts, 5.4)
1. List, then watch from the version of the list. A list is streamed where the server can, else read
   by pages; the version is passed on as it came.
2. A watch that ends, however it ends, is resumed from the last version it told of, also by a bookmark.
   Only when the server no longer has that version (410, by status or in the stream) is the kind listed
   anew, and then compared: what is not in the list is gone.
3. Nothing is removed but by a DELETED event or a complete list. An error keeps what is held.
4. Versions grow within a watch. Where they do not, events were repeated or came out of order, and
   no event says by itself what is true: the kind is listed anew.
5. From time to time what is held is compared with an exact list of the very version it amounts to,
   while the watch goes on: whatever differs was missed. It is counted and mended.
6. A kind that is not installed has no objects. One that was there is believed to be gone when the
   server has said so several times, for a server that starts may not know all its kinds yet.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.outage import Outage
from xds_server.cluster.request import ApiError
from xds_server.exceptions import ClusterError, Problem
from xds_server.objects.kubernetes import KubernetesObject
from xds_server.sources.kubernetes.comparison import Comparison
from xds_server.sources.kubernetes.decode import Batch, Row
from xds_server.sources.kubernetes.kinds import WatchedKind
from xds_server.sources.kubernetes.reading import Reading
from xds_server.sources.kubernetes.rows import Rows

_ABSENT = 404
_GONE = 410
_CANNOT_STREAM = (400, 422, 500)
"""An API server whose store is too old for streamed lists says 500 within the stream."""
_TIMES_ABSENT = 3
_SHORT_WATCH_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReflectorTiming:
    """Pauses, in seconds."""

    check_seconds: float = 600.0
    """About; between comparisons with an exact list."""
    absent_seconds: float = 30.0
    """Between looks for a kind that is not installed."""
    doubted_seconds: float = 5.0
    """Between looks for a kind that was installed and seems not to be."""


@dataclass(slots=True)
class Contact:
    """How the following of one kind goes; times are of the loop's clock."""

    version: str = ""
    """What is held amounts to this resource version."""
    heard_at: float = 0.0
    """When the API server last said something of this kind."""
    failure: str = ""
    """Why it cannot be followed now."""
    installed: bool = True
    streamed: bool = True
    """Whether the last list was streamed."""
    events: int = 0
    lists: int = 0
    resumed: int = 0
    checks: int = 0
    drift: int = 0
    """Objects that were missed and found by a check."""
    disorder: int = 0
    """Watches whose versions did not grow."""


@dataclass(slots=True)
class _Listing:
    """A list on its way; one that is streamed may tell of changes, too, before it is whole."""

    objects: dict[str, KubernetesObject] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    version: str = ""

    def receive(self, batch: Batch, same: Callable[[Row], KubernetesObject | None]) -> None:
        """Take a part; ``same`` returns the held object where that is equal."""
        for row in batch.rows:
            item = same(row)
            self.problems.pop(row.key, None)
            if item is None:
                self.objects.pop(row.key, None)
            else:
                self.objects[row.key] = item
        self.problems.update(batch.problems)
        self.version = batch.version or self.version


class Reflector:
    """Follows one kind: ``load`` until its first state is in, then ``follow`` for ever."""

    def __init__(
        self,
        kind: WatchedKind,
        reading: Reading,
        rows: Rows,
        random: Callable[[], float],
        timing: ReflectorTiming | None = None,
    ) -> None:
        self.kind = kind
        self.contact = Contact()
        self.loaded = asyncio.Event()
        """Set when the first whole state is in."""
        self.turn: asyncio.Event | None = None
        """What must be set before the first objects are committed."""
        self._reading = reading
        self.rows = rows
        self._random = random
        self._timing = timing or ReflectorTiming()
        self._backoff = Backoff(random)
        self._absences = 0
        self._outage = Outage(log, f"following {kind.name}")
        self._steady = asyncio.Lock()
        """Held while rows and version change together."""

    @property
    def path(self) -> str:
        """Where in the API the kind is read now."""
        return self.kind.path(self._reading.version)

    async def load(self) -> None:
        """Return when the first whole state is in; failures are told and tried again."""
        while not self.loaded.is_set():
            await self._try(self._list)

    async def follow(self) -> None:
        """Keep the rows current, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._check_for_ever())
            while True:
                await self._try(self._watch if self.contact.version else self._list)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except ClusterError as error:
            await self._receive_failure(error)
        except Exception as bug:
            # One object that we cannot take must not keep all others from being served.
            log.exception("following %s failed", self.kind.name)
            self.contact.version = ""
            await self._receive_failure(ClusterError(f"internal error: {bug!r}"))

    async def _list(self) -> None:
        listing = _Listing()
        self.contact.lists += 1
        self.contact.streamed = await self._stream_list(listing)
        if not self.contact.streamed:
            listing = _Listing()
            async for batch in self._reading.pages():
                await self._receive_listed(batch, listing)
        await self.rows.replace(listing.objects, listing.problems)
        self.contact.version = listing.version
        self.contact.installed = True
        self._backoff.reset()
        self.loaded.set()

    async def _stream_list(self, listing: _Listing) -> bool:
        """Read a streamed list to its end; return whether the server can do that."""
        listed = False
        try:
            async for batch in self._reading.streamed_list():
                await self._receive_listed(batch, listing)
                listed = batch.listed
        except ApiError as error:
            if error.code in _CANNOT_STREAM:
                return False
            raise
        return listed

    async def _receive_listed(self, batch: Batch, listing: _Listing) -> None:
        self._hear()
        if not self.rows.source.synced:
            if self.turn is not None:
                await self.turn.wait()
            await self.rows.add(batch)
        listing.receive(batch, self.rows.same)
        await asyncio.sleep(0)

    async def _watch(self) -> None:
        contact, began_at = self.contact, asyncio.get_running_loop().time()
        batches_heard = 0
        async with aclosing(self._reading.watch(contact.version)) as batches:
            async for batch in batches:
                self._hear()
                batches_heard += 1
                if not batch.ordered:
                    contact.disorder += 1
                    contact.version = ""
                    log.warning("a watch of %s repeats events: it is listed anew", self.kind.name)
                    return
                async with self._steady:
                    await self.rows.receive_events(batch)
                    contact.version = batch.version
                contact.events += len(batch.rows)
                if batches_heard > 1:
                    self._backoff.reset()
        contact.resumed += 1
        if batches_heard < 2 and asyncio.get_running_loop().time() - began_at < _SHORT_WATCH_SECONDS:
            raise ClusterError(f"a watch of {self.kind.name} ended as soon as it began")

    def _hear(self) -> None:
        self.contact.heard_at = asyncio.get_running_loop().time()
        self.contact.failure = ""
        self._absences = 0
        self._outage.end()

    async def _receive_failure(self, error: ClusterError) -> None:
        """Note why it failed, and wait until it is worth another try."""
        contact = self.contact
        code = error.code if isinstance(error, ApiError) else 0
        if code == _ABSENT and self.kind.optional:
            await self._receive_absence()
            return
        if code == _GONE:
            contact.version = ""
        else:
            contact.failure = str(error)
            self._outage.begin(str(error))
        await asyncio.sleep(self._backoff.after(error))

    async def _receive_absence(self) -> None:
        """Try the next version; when none is installed, believe it in the end (rule 6)."""
        contact, versions = self.contact, self.kind.versions
        contact.version = ""
        following = versions.index(self._reading.version) + 1
        self._reading.version = versions[following % len(versions)]
        if following < len(versions):
            return
        self._absences += 1
        if self.rows.source.rows and self._absences < _TIMES_ABSENT:
            await asyncio.sleep(self._timing.doubted_seconds)
            return
        if contact.installed:
            log.info("%s is not installed: it has no objects until it is", self.kind.name)
        contact.installed, contact.failure = False, ""
        await self.rows.replace({}, {})
        if self.loaded.is_set():
            await asyncio.sleep(self._timing.absent_seconds)
        self.loaded.set()

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._timing.check_seconds * (0.8 + 0.4 * self._random()))
            if self.contact.version:
                await self.check()

    async def check(self) -> None:
        """Compare what is held with an exact list of the same version, and mend it (rule 5)."""
        async with self._steady:
            version = self.contact.version
            comparison = Comparison(self.rows)
        try:
            async for batch in self._reading.pages(version):
                comparison.receive(batch)
                await asyncio.sleep(0)
        except ClusterError as error:
            # The version is too old by now, or the server is away: the next check is as good.
            log.debug("%s is not compared: %s", self.kind.name, error)
            comparison.end()
            return
        async with self._steady:
            drift = await comparison.mend()
        self.contact.checks += 1
        self.contact.drift += drift
        if drift:
            log.warning("%d objects of %s were not what the API server has: mended", drift, self.kind.name)
