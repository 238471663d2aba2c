"""The keys with which a cluster signs tokens, asked for sparingly."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from xds_server.cluster.outage import Outage
from xds_server.exceptions import ClusterError
from xds_server.identity.tokens.keys import VerifyKey, keys_of_jwks
from xds_server.identity.tokens.limits import TokenLimits

log = logging.getLogger(__name__)


class PublishedKeys(NamedTuple):
    """What a cluster publishes for whoever checks its tokens."""

    jwks: Mapping[str, Any]
    """A JSON Web Key Set."""
    issuer: str


class ClusterTokens(Protocol):
    """What is asked of a cluster about tokens. Both raise ClusterError."""

    async def keys(self) -> PublishedKeys:
        """Return the published keys and the name of their issuer."""

    async def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        """Return the status of a TokenReview."""


class ClusterKeys:
    """
    The cluster's issuer and keys, as last published.

    Asked for at the first token, again when a token names a key that is not held, and when they have
    grown old; never again within ``refresh_seconds``, so that invented keys cost the cluster nothing.
    """

    def __init__(
        self,
        cluster: ClusterTokens,
        clock: Callable[[], float],
        limits: TokenLimits,
        name: str = "the cluster",
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._limits = limits
        self.issuer = ""
        """As last published; empty when that is not known."""
        self._keys: dict[str, VerifyKey] = {}
        self._asked_at: float | None = None
        self._pause = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._outage = Outage(log, f"signing keys cannot be read from {name}")

    async def key(self, issuer: str, kid: str) -> VerifyKey | None:
        """Return the key of a token; None when the cluster does not publish it or cannot be asked."""
        key = self.held(issuer, kid)
        if key is None and (asking := self._ask()):
            await asyncio.shield(asking)
            key = self.held(issuer, kid)
        return key

    def held(self, issuer: str, kid: str) -> VerifyKey | None:
        """Return the key of a token if it is at hand; keys that have grown old are asked for meanwhile."""
        key = self._keys.get(kid) if issuer == self.issuer else None
        if key is not None and self._passed(self._limits.keys_age_seconds):
            self._ask()
        return key

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def _passed(self, seconds: float) -> bool:
        now, asked_at = self._clock(), self._asked_at
        return asked_at is None or not asked_at <= now < asked_at + seconds

    def _ask(self) -> asyncio.Task[None] | None:
        """Join the question under way, or put it if it is due."""
        if self._asking is not None and not self._asking.done():
            return self._asking
        if not self._passed(self._pause):
            return None
        self._asked_at = self._clock()
        self._pause = self._limits.refresh_seconds * (1 + self._limits.jitter() / 4)
        self._asking = asyncio.create_task(self._refresh())
        return self._asking

    async def _refresh(self) -> None:
        """Bring the keys up to date; those held stay in use when that fails."""
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                jwks, issuer = await self._cluster.keys()
        except TimeoutError:
            self._outage.begin(f"no answer within {self._limits.timeout_seconds:g} s")
            return
        except ClusterError as error:
            self._outage.begin(str(error))
            return
        keys = keys_of_jwks(jwks)
        if not keys or not issuer:
            self._outage.begin("it publishes no issuer or no usable key")
            return
        self.issuer, self._keys = issuer, keys
        self._outage.end()
