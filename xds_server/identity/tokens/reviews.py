"""TokenReviews: the cluster's word on a token whose signing key is not held here."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from xds_server.cluster.outage import Outage
from xds_server.exceptions import ClusterError, UnauthenticatedError
from xds_server.identity.tokens.claims import TokenClaims, claims_of_review
from xds_server.identity.tokens.cluster_keys import ClusterTokens
from xds_server.identity.tokens.limits import TokenLimits
from xds_server.identity.tokens.memory import Memory

log = logging.getLogger(__name__)


class UndecidedError(UnauthenticatedError):
    """A token could be neither proved nor refused: the cluster cannot be asked."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the token cannot be checked now: {why}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a review: claims, or else what to raise. A value, for it is shared by all who wait."""

    claims: TokenClaims | None
    refusal: str = ""
    undecided: bool = False


class Reviews:
    """Asks the cluster: one call for all who ask about one token, a bounded number at once."""

    def __init__(
        self,
        cluster: ClusterTokens,
        audience: str,
        clock: Callable[[], float],
        limits: TokenLimits,
        name: str = "the cluster",
    ) -> None:
        self._cluster = cluster
        self._audience = audience
        self._clock = clock
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.reviews_in_flight)
        self._under_way: dict[bytes, asyncio.Task[Verdict]] = {}
        self._refused: Memory[Verdict] = Memory(limits.refused_held)
        self._outage = Outage(log, f"tokens cannot be reviewed by {name}")

    async def review(self, digest: bytes, token: str, claimed: TokenClaims) -> TokenClaims:
        """
        Return the claims the cluster confirms; ``claimed`` is what the token says of itself.

        Raises:
            UndecidedError: the cluster cannot be asked.
            UnauthenticatedError: the cluster does not accept the token.

        """
        verdict = self._refused.fresh(digest, self._clock())
        if verdict is None:
            # Whoever stops waiting leaves the call to the others.
            verdict = await asyncio.shield(self._join(digest, token, claimed))
        if verdict.claims is not None:
            return verdict.claims
        raise UndecidedError(verdict.refusal) if verdict.undecided else UnauthenticatedError(verdict.refusal)

    def close(self) -> None:
        for task in self._under_way.values():
            task.cancel()

    def _join(self, digest: bytes, token: str, claimed: TokenClaims) -> asyncio.Task[Verdict]:
        task = self._under_way.get(digest)
        if task is not None:
            return task
        if len(self._under_way) >= self._limits.reviews_in_flight + self._limits.reviews_waiting:
            raise UndecidedError("too many others are being checked")
        task = asyncio.create_task(self._decide(digest, token, claimed))
        self._under_way[digest] = task
        task.add_done_callback(lambda _done: self._under_way.pop(digest))
        return task

    async def _decide(self, digest: bytes, token: str, claimed: TokenClaims) -> Verdict:
        verdict = await self._ask(token, claimed)
        if verdict.claims is None:
            limits, now = self._limits, self._clock()
            seconds = limits.undecided_seconds if verdict.undecided else limits.refused_seconds
            self._refused.put(digest, verdict, now, now + seconds)
        return verdict

    async def _ask(self, token: str, claimed: TokenClaims) -> Verdict:
        seconds = self._limits.timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._slots:
                status = await self._cluster.review(token, (self._audience,))
        except TimeoutError:
            self._outage.begin(f"no answer within {seconds:g} s")
            return Verdict(None, f"the Kubernetes API did not answer within {seconds:g} s", undecided=True)
        except ClusterError as error:
            # The log tells all; a stranger is not told how the cluster is set up.
            self._outage.begin(str(error))
            return Verdict(None, "the Kubernetes API failed, and the server's log says how", undecided=True)
        self._outage.end()
        try:
            confirmed = claims_of_review(status, self._audience, claimed.expires_at)
        except UnauthenticatedError as error:
            return Verdict(None, str(error))
        if confirmed != claimed:
            return Verdict(None, "the token contradicts the cluster: it names another pod or account")
        return Verdict(confirmed)
