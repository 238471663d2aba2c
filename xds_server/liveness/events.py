"""Events, written one after the other for as long as it takes."""

import asyncio
import logging
import random

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.outage import Outage
from xds_server.cluster.request import ApiError, Request
from xds_server.exceptions import ClusterError

_LONGEST_SECONDS = 60.0
_MAY_PASS = (401, 403, 404, 408, 409, 429)
"""Refusals after which the same Event may be taken later; by any other one it never is."""

log = logging.getLogger(__name__)


class EventWriter:
    """Holds the latest Event about each node until it is written."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection
        self._waiting: dict[str, Request] = {}
        self._outage = Outage(log, "writing Events about pairs")
        self._wake = asyncio.Event()

    def post(self, node: str, event: Request) -> None:
        self._waiting[node] = event
        self._wake.set()

    async def run(self) -> None:
        """Write what waits, for ever. What fails is told and tried again."""
        backoff = Backoff(random.random, longest=_LONGEST_SECONDS)
        while True:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
                continue
            node, event = next(iter(self._waiting.items()))
            try:
                await self._connection.ask(event)
            except ClusterError as error:
                self._outage.begin(str(error))
                if _is_final(error):
                    self._settle(node, event)
                await asyncio.sleep(backoff.after(error))
            else:
                self._outage.end()
                backoff.reset()
                self._settle(node, event)

    def _settle(self, node: str, event: Request) -> None:
        if self._waiting.get(node) is event:
            del self._waiting[node]


def _is_final(error: ClusterError) -> bool:
    return isinstance(error, ApiError) and 400 <= error.code < 500 and error.code not in _MAY_PASS
