"""An authenticator with a scripted cluster and a time of its own."""

import asyncio
from typing import Any

import pytest

from tests.helpers.tokens import AUDIENCE, CLAIMS, Clock, ScriptedCluster, bound_payload, sign
from xds_server.exceptions import ClusterError, UnauthenticatedError
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.limits import TokenLimits

TOKEN = sign(bound_payload())
DOWN = ClusterError("POST /apis/authentication.k8s.io/v1/tokenreviews: the Kubernetes API failed (500)")
REFUSED = {"authenticated": False, "error": "[invalid bearer token, token lookup failed]"}


class Checked:
    """An authenticator, its time and its cluster."""

    def __init__(self, status: dict[str, Any] | ClusterError | None = None, **limits: Any) -> None:
        self.clock = Clock()
        self.cluster = ScriptedCluster(status)
        self.authenticator = TokenAuthenticator(
            AUDIENCE,
            clusters={"": self.cluster},
            clock=self.clock,
            limits=TokenLimits(jitter=lambda: 0.0, **limits),
        )

    async def accept(self, token: str = TOKEN) -> None:
        assert (await self.authenticator.authenticate(token)).pod == CLAIMS.pod

    async def refuse(self, token: str = TOKEN) -> str:
        with pytest.raises(UnauthenticatedError) as caught:
            await self.authenticator.authenticate(token)
        return str(caught.value)

    async def hang(self) -> None:
        """Leave reviews unanswered from now on; the keys were asked for before."""
        await self.refuse(sign(bound_payload(aud="api")))
        self.cluster.open.clear()

    @property
    def reviews(self) -> int:
        return len(self.cluster.reviewed)


def tokens(count: int) -> list[str]:
    return [sign(bound_payload(jti=str(number))) for number in range(count)]


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)
