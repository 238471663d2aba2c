"""
Which cluster a token is of, and what it says there.

A token does not tell its cluster: ``https://kubernetes.default.svc`` is the issuer of all who have not
chosen another. So a token is of the one cluster whose published key verifies it or, where none does,
of the one that confirms it when asked. What two of them would have is nobody's.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.identity.tokens.cluster_keys import ClusterKeys, ClusterTokens
from xds_server.identity.tokens.compact import CompactToken
from xds_server.identity.tokens.keys import VerifyKey
from xds_server.identity.tokens.limits import TokenLimits
from xds_server.identity.tokens.memory import Memory
from xds_server.identity.tokens.proof import check_claims, check_signature
from xds_server.identity.tokens.reviews import Reviews, UndecidedError
from xds_server.mesh.placement import DPU_CLUSTER

_AMBIGUOUS = "two clusters accept the token: expected one whose issuer has keys of its own"


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What is known of one cluster's tokens, and the way to ask."""

    name: str
    keys: ClusterKeys
    reviews: Reviews

    async def ask(self, digest: bytes, token: str, claimed: TokenClaims) -> UnauthenticatedError | None:
        """Return nothing if the cluster confirms what a token says of itself, else why not."""
        try:
            await self.reviews.review(digest, token, claimed)
        except UnauthenticatedError as error:
            return error
        return None


@dataclass(slots=True)
class _Signatures:
    """What the keys at hand say of a token: whose it is, whose it is not, and who must be asked."""

    signers: list[_Cluster] = field(default_factory=list)
    refusals: list[UnauthenticatedError] = field(default_factory=list)
    unknown: list[_Cluster] = field(default_factory=list)


class Clusters:
    """Proves the tokens of one cluster or more; each is asked within bounds of its own."""

    def __init__(
        self,
        clusters: Mapping[str, ClusterTokens],
        audience: str,
        clock: Callable[[], float],
        limits: TokenLimits,
    ) -> None:
        self._clusters = tuple(
            _Cluster(
                name,
                ClusterKeys(cluster, clock, limits, _told(name)),
                Reviews(cluster, audience, clock, limits, _told(name)),
            )
            for name, cluster in clusters.items()
        )
        self._audience = audience
        self._clock = clock
        self._refused_seconds = limits.refused_seconds
        self._ambiguous: Memory[bool] = Memory(limits.refused_held)

    async def prove(self, token: CompactToken, digest: bytes, before: str | None) -> TokenClaims:
        """
        Return what a token proves and in which cluster; ``before`` is the one that proved it last.

        Raises:
            UndecidedError: no cluster confirms it, and one cannot be asked.
            UnauthenticatedError: it is of no cluster, or of two.

        """
        found = _signatures(token, ((one, one.keys.held(token.issuer, token.kid)) for one in self._clusters))
        if not found.signers and found.unknown:
            keys = await asyncio.gather(*(one.keys.key(token.issuer, token.kid) for one in self._clusters))
            found = _signatures(token, zip(self._clusters, keys, strict=True))
        if not found.signers and not found.unknown:
            raise found.refusals[0]
        # Before a review as well: what the token itself rules out need not trouble a cluster.
        claims = check_claims(token, self._audience, self._clock())
        if len(found.signers) == 1:
            return _claims_in(found.signers[0], claims)
        asked = found.signers or _possible(found.unknown, token.issuer)
        # Whose it is was settled then: to ask all again would make each cluster depend on the others.
        asked = [one for one in asked if one.name == before] or asked
        return await self._review(token, digest, claims, asked)

    def close(self) -> None:
        """Give up what is being asked."""
        for cluster in self._clusters:
            cluster.keys.close()
            cluster.reviews.close()

    async def _review(
        self, token: CompactToken, digest: bytes, claims: TokenClaims, asked: Sequence[_Cluster]
    ) -> TokenClaims:
        if self._ambiguous.fresh(digest, self._clock()):
            raise UnauthenticatedError(_AMBIGUOUS)
        refusals = await asyncio.gather(*(one.ask(digest, token.text, claims) for one in asked))
        confirming = [one for one, refusal in zip(asked, refusals, strict=True) if refusal is None]
        if len(confirming) == 1:
            return _claims_in(confirming[0], claims)
        if confirming:
            now = self._clock()
            self._ambiguous.put(digest, True, now, now + self._refused_seconds)
            raise UnauthenticatedError(_AMBIGUOUS)
        for refusal in refusals:
            if isinstance(refusal, UndecidedError):
                raise refusal
        raise UnauthenticatedError("; ".join(dict.fromkeys(map(str, refusals))))


def _signatures(token: CompactToken, keys: Iterable[tuple[_Cluster, VerifyKey | None]]) -> _Signatures:
    found = _Signatures()
    for cluster, key in keys:
        if key is None:
            found.unknown.append(cluster)
            continue
        try:
            check_signature(token, key)
        except UnauthenticatedError as error:
            found.refusals.append(error)
        else:
            found.signers.append(cluster)
    return found


def _possible(clusters: list[_Cluster], issuer: str) -> list[_Cluster]:
    """Leave out those that name another issuer: who sees a token may use it, so few should."""
    return [one for one in clusters if one.keys.issuer in ("", issuer)] or clusters


def _claims_in(cluster: _Cluster, claims: TokenClaims) -> TokenClaims:
    return replace(claims, pod=replace(claims.pod, cluster=cluster.name))


def _told(name: str) -> str:
    return "the DPU cluster" if name == DPU_CLUSTER else "the cluster"
