"""
The signer: from a granted identity and a CSR to the chain a client is given.

The rules of time are here: how long a certificate lives, from when, and that none outlives its
issuer. Facts: wds 7.4 and 7.5, ztunnel 3.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from xds_server.exceptions import InputError, LimitError, PeerError
from xds_server.identity.authority.material import Generation
from xds_server.identity.signing.process import SigningProcess
from xds_server.identity.signing.queue import FairQueue
from xds_server.identity.signing.work import Done, Work
from xds_server.identity.spiffe import Identity
from xds_server.settings import IdentitySettings

LONGEST_WAIT_SECONDS = 10.0
_MOST_WAITING = 4_096
_MOST_WAITING_EACH = 2_048


class Authority(Protocol):
    """What the signer needs of the certificate authority."""

    @property
    def signing(self) -> Generation: ...
    @property
    def trust_bundle(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was issued. ``chain``: the leaf, its issuers one a string, all roots in the last (PEM)."""

    identity: Identity
    chain: tuple[str, ...]
    serial: str
    not_before: int
    not_after: int
    key: str = field(default="", repr=False)

    @property
    def renew_at(self) -> float:
        """Half of its life, as clients do."""
        return (self.not_before + self.not_after) / 2


@dataclass(slots=True)
class _Waiting:
    work: Work
    deadline: float
    answer: asyncio.Future[Done]


class Signer:
    """Signs for callers in turn, in processes of its own."""

    def __init__(
        self,
        authority: Authority,
        settings: IdentitySettings,
        processes: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._authority = authority
        self._settings = settings
        self._clock = clock
        self._queue: FairQueue[_Waiting] = FairQueue(_MOST_WAITING, _MOST_WAITING_EACH)
        self._answers: dict[int, _Waiting] = {}
        self._last = 0
        self.signed = 0
        self._wanted = asyncio.Event()
        self._processes = [SigningProcess(self) for _ in range(processes)]

    @property
    def trust_bundle(self) -> str:
        return self._authority.trust_bundle

    @property
    def waiting(self) -> int:
        """How many requests wait for a process."""
        return len(self._queue)

    async def run(self) -> None:
        """Keep the signing processes alive, for ever; they are started when there is work."""
        await self._wanted.wait()
        async with asyncio.TaskGroup() as tasks:
            for process in self._processes:
                tasks.create_task(process.run())

    async def sign(
        self,
        caller: str,
        identity: Identity,
        csr: str = "",
        ttl: int = 0,
        within: float = LONGEST_WAIT_SECONDS,
    ) -> Certificate:
        """
        Issue a certificate for an identity the caller was granted; without a CSR, make its key too.

        ``ttl`` is in seconds, 0 for the default; ``within`` is how long the caller waits, in seconds.

        Raises:
            PeerError: the CSR or the time asked for cannot be granted.
            InputError: the authority has no valid issuer.
            LimitError: too much waits, or it waited too long.

        """
        now = self._clock()
        generation = self._authority.signing
        not_after = int(min(now + self._lifetime(ttl), generation.not_after))
        if not_after <= now:
            raise InputError("the issuing certificate has expired")
        self._last += 1
        work = Work(
            self._last,
            str(identity),
            csr,
            int(now) - self._settings.clock_skew_seconds,
            not_after,
            generation.certificate_pem,
            generation.key_pem,
        )
        done = await self._work(caller, work, min(within, LONGEST_WAIT_SECONDS))
        if done.fault:
            raise PeerError(done.fault)
        return Certificate(
            identity=identity,
            chain=(done.leaf, *generation.chain, self._authority.trust_bundle),
            serial=done.serial,
            not_before=work.not_before,
            not_after=work.not_after,
            key=done.key,
        )

    def _lifetime(self, ttl: int) -> int:
        most = self._settings.max_ttl_seconds
        if not 0 <= ttl <= most:
            raise PeerError(f"validity_duration is {ttl} s: expected at most {most} s, or 0 for the default")
        return ttl or self._settings.default_ttl_seconds

    async def _work(self, caller: str, work: Work, within: float) -> Done:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(work, loop.time() + within, loop.create_future())
        self._queue.put(caller, waiting)
        self._wanted.set()
        self.receive_room()
        try:
            async with asyncio.timeout_at(waiting.deadline):
                return await waiting.answer
        except TimeoutError:
            raise LimitError(f"not signed within {within:g} s: try again later") from None

    def receive_room(self) -> None:
        """Give waiting work to processes that have room; what nobody waits for any more is dropped."""
        for process in self._processes:
            while process.room:
                waiting = self._queue.take()
                if waiting is None:
                    return
                if not waiting.answer.done():
                    self._answers[waiting.work.number] = waiting
                    process.give(waiting.work)

    def receive_done(self, done: Done) -> None:
        waiting = self._answers.pop(done.number)
        if not waiting.answer.done():
            waiting.answer.set_result(done)
        self.signed += not done.fault
        self.receive_room()

    def receive_lost(self, numbers: set[int]) -> None:
        """Fail what a process took with it: it may have been the cause, so it is not tried again."""
        for number in numbers:
            waiting = self._answers.pop(number)
            if not waiting.answer.done():
                waiting.answer.set_exception(LimitError("signing was interrupted: try again"))
        self.receive_room()
