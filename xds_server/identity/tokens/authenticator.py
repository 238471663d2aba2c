"""The check of a caller's token."""

import hashlib
import time
from collections.abc import Callable, Sequence

from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.identity.tokens.cluster_keys import ClusterKeys, ClusterTokens
from xds_server.identity.tokens.compact import CompactToken, check_text, read_compact
from xds_server.identity.tokens.keys import Issuer
from xds_server.identity.tokens.limits import TokenLimits
from xds_server.identity.tokens.memory import Memory
from xds_server.identity.tokens.proof import check_claims, check_signature
from xds_server.identity.tokens.reviews import Reviews, UndecidedError

_LIMITS = TokenLimits()


class TokenAuthenticator:
    """
    Proves tokens: by a cached proof, by a key that is known here, or by the cluster's word.

    A signature is as good after the pod was deleted as before: no key sees a revocation. Whoever asks
    must hold pod and UID of the claims against its own view of the mesh, on every call; the cache then
    delays nothing, for all it keeps is that the token once was the pod's.
    """

    def __init__(
        self,
        audience: str,
        issuers: Sequence[Issuer] = (),
        cluster: ClusterTokens | None = None,
        clock: Callable[[], float] = time.time,
        limits: TokenLimits = _LIMITS,
    ) -> None:
        self._audience = audience
        self._issuers = tuple(issuers)
        self._cluster = _Cluster(cluster, audience, clock, limits) if cluster is not None else None
        self._clock = clock
        self._limits = limits
        self._proved: Memory[TokenClaims] = Memory(limits.proved_held)

    async def authenticate(self, token: str) -> TokenClaims:
        """
        Return what a token proves.

        Raises:
            UnauthenticatedError: it proves nothing; the message says why, and nothing the token holds but
                its times.

        """
        digest = hashlib.sha256(check_text(token)).digest()
        claims = self._proved.fresh(digest, self._clock())
        if claims is not None:
            return claims
        seconds = self._limits.fresh_seconds
        try:
            claims = await self._prove(read_compact(token), digest)
        except UndecidedError:
            claims, seconds = self._proved.held(digest), self._limits.grace_seconds
            if claims is None or claims.expires_at <= self._clock():
                raise
        except UnauthenticatedError:
            self._proved.discard(digest)
            raise
        now = self._clock()
        self._proved.put(digest, claims, now, min(claims.expires_at, now + seconds))
        return claims

    def close(self) -> None:
        """Give up what is being asked of the cluster."""
        if self._cluster is not None:
            self._cluster.close()

    async def _prove(self, token: CompactToken, digest: bytes) -> TokenClaims:
        issuer = next((issuer for issuer in self._issuers if issuer.name == token.issuer), None)
        if issuer is not None:
            key = issuer.key(token.kid)
            if key is None:
                raise UnauthenticatedError(
                    "the token's signing key is not known here: expected a newer token"
                )
        elif self._cluster is not None:
            key = await self._cluster.keys.key(token.issuer, token.kid)
        else:
            expected = " or ".join(repr(issuer.name) for issuer in self._issuers)
            raise UnauthenticatedError(f"the token's issuer is not known here: expected {expected}")
        if key is not None:
            check_signature(token, key)
        # Before a review as well: what the token itself rules out need not trouble the cluster.
        claims = check_claims(token, self._audience, self._clock())
        if key is None and self._cluster is not None:
            claims = await self._cluster.reviews.review(digest, token.text, claims)
        return claims


class _Cluster:
    """What is known of a cluster's tokens, and the way to ask."""

    def __init__(
        self, cluster: ClusterTokens, audience: str, clock: Callable[[], float], limits: TokenLimits
    ) -> None:
        self.keys = ClusterKeys(cluster, clock, limits)
        self.reviews = Reviews(cluster, audience, clock, limits)

    def close(self) -> None:
        self.keys.close()
        self.reviews.close()
