"""One Lease in memory, kept as the API server keeps it, for faults and clocks no real server can be given."""

import asyncio
from typing import Any, cast

import msgspec

from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import ApiError, Request


class FakeLeases:
    """Answers ``ask`` of a connection; ``failure`` is raised while set, ``stalled`` keeps calls waiting."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.failure: Exception | None = None
        self.stalled = False
        self.requests: list[Request] = []
        self._version = 0

    @property
    def connection(self) -> ApiConnection:
        return cast("ApiConnection", self)

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        return cast("dict[str, Any]", self.lease["spec"])

    def put(self, **spec: Any) -> None:
        """Write the Lease as somebody else does."""
        self._store({"metadata": {"name": "leader"}, "spec": spec})

    async def ask(self, request: Request, largest: int = 0) -> bytes:
        del largest
        self.requests.append(request)
        if self.stalled:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        if request.method == "POST":
            self._refuse(409, when=self.lease is not None)
            self._store(dict(request.body or {}))
        else:
            self._refuse(404, when=self.lease is None)
        if request.method == "PUT":
            body, held = dict(request.body or {}), self.lease or {}
            self._refuse(409, when=body["metadata"]["resourceVersion"] != held["metadata"]["resourceVersion"])
            self._store(body)
        return msgspec.json.encode(self.lease)

    def _store(self, lease: dict[str, Any]) -> None:
        self._version += 1
        self.lease = lease | {"metadata": lease["metadata"] | {"resourceVersion": str(self._version)}}

    def _refuse(self, code: int, *, when: bool) -> None:
        if when:
            raise ApiError(f"refused with {code}", code)
