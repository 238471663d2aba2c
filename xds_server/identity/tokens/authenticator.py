"""The check of a caller's token."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.identity.tokens.cluster_keys import ClusterTokens
from xds_server.identity.tokens.clusters import Clusters
from xds_server.identity.tokens.compact import CompactToken, check_text, read_compact
from xds_server.identity.tokens.keys import Issuer
from xds_server.identity.tokens.limits import TokenLimits
from xds_server.identity.tokens.memory import Memory
from xds_server.identity.tokens.proof import check_claims, check_signature
from xds_server.identity.tokens.reviews import UndecidedError

_LIMITS = TokenLimits()
_NO_CLUSTERS: Mapping[str, ClusterTokens] = MappingProxyType({})


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
        clusters: Mapping[str, ClusterTokens] = _NO_CLUSTERS,
        clock: Callable[[], float] = time.time,
        limits: TokenLimits = _LIMITS,
    ) -> None:
        """Believe ``issuers``, and clusters by the names that claims will bear."""
        self._audience = audience
        self._issuers = tuple(issuers)
        self._clusters = Clusters(clusters, audience, clock, limits) if clusters else None
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
        if self._clusters is not None:
            self._clusters.close()

    async def _prove(self, token: CompactToken, digest: bytes) -> TokenClaims:
        issuer = next((issuer for issuer in self._issuers if issuer.name == token.issuer), None)
        if issuer is not None:
            key = issuer.key(token.kid)
            if key is None:
                raise UnauthenticatedError(
                    "the token's signing key is not known here: expected a newer token"
                )
            check_signature(token, key)
            return check_claims(token, self._audience, self._clock())
        if self._clusters is None:
            expected = " or ".join(repr(issuer.name) for issuer in self._issuers)
            raise UnauthenticatedError(f"the token's issuer is not known here: expected {expected}")
        held = self._proved.held(digest)
        return await self._clusters.prove(token, digest, held.pod.cluster if held is not None else None)
