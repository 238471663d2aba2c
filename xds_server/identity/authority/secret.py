"""
The material of a certificate authority in Secrets of one namespace: what all replicas share.

Theory
1. Every write is conditional: a POST fails when the Secret is there by then, a PUT when it is no longer
   the version that was read. Whoever loses goes on with what the winner wrote. So creating, renewing
   and rotating are safe on any replica and none of them waits for a leader: a server that is alone
   with a broken election still starts, and a rotation goes on whoever leads.
2. Of several names the first Secret that holds an authority counts. One that holds a part of it is an
   error, not passed over: to sign with another root than the operator meant would be worse.
3. What the watches tell is only that something may have changed; it is read anew by name. Where a
   watch misses something, the look that is taken from time to time finds it.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.outage import Outage
from xds_server.cluster.request import Request, refusal
from xds_server.exceptions import ClusterError
from xds_server.identity.authority.secret_data import MATERIAL, encoded, read_key, read_material

ROTATION = "rotation.json"
_LABELS = {"app.kubernetes.io/managed-by": "offmesh"}
_LARGEST = 4 << 20
"""Bytes of an answer: a Secret holds at most 1 MiB, before base64 and what surrounds it."""
_LOOK_SECONDS = 60.0
_WATCH_SECONDS = 240
_SILENCE_SECONDS = 260.0
_LONG_WATCH = 10.0
"""Seconds: one that ends sooner is not begun anew at once."""
_NOT_FOUND = 404
_CONFLICT = 409

Secret = dict[str, Any]

log = logging.getLogger(__name__)


class AuthoritySecret:
    """An AuthorityStore in the first of the Secrets ``names`` that holds an authority; the last is made."""

    def __init__(
        self,
        connection: ApiConnection,
        namespace: str,
        names: Sequence[str],
        rotation_name: str = "offmesh-ca-rotation",
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._names = tuple(names)
        self._rotation = rotation_name
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._bundle = ""
        self._listeners: list[Callable[[str], None]] = []

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the trust bundle in PEM: with the one there is, and with every new one."""
        self._listeners.append(callback)
        if self._bundle:
            callback(self._bundle)

    async def load(self) -> Mapping[str, bytes]:
        """
        Return the material's files; none when no Secret holds any.

        Raises:
            InputError: a Secret holds a part of an authority, or what is no base64.
            ClusterError: the API server refused or is away.

        """
        return (await self._load())[1]

    async def create(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """
        Put the first files, unless there are some; return what is there.

        Raises:
            InputError: there are some, and they cannot be used.
            ClusterError: the API server refused or is away.

        """
        return await self.replace({}, files)

    async def replace(self, seen: Mapping[str, bytes], files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """
        Put files in the place of ``seen``, unless it is something else by now; return what is there.

        Raises:
            InputError: what is there cannot be used.
            ClusterError: the API server refused or is away.

        """
        secret, held = await self._load()
        if held != seen:
            return held
        if await self._put(self._names[-1], secret, files, MATERIAL):
            return dict(files)
        return await self.load()

    async def load_rotation(self) -> bytes | None:
        """
        Return the state of the rotation, if there is any.

        Raises:
            InputError: it is no base64.
            ClusterError: the API server refused or is away.

        """
        return (await self._load_rotation())[1]

    async def save_rotation(self, seen: bytes | None, state: bytes) -> bytes:
        """
        Put the state of the rotation, unless it is no longer ``seen``; return what is there.

        Raises:
            InputError: what is there is no base64.
            ClusterError: the API server refused or is away.

        """
        secret, held = await self._load_rotation()
        if held == seen and await self._put(self._rotation, secret, {ROTATION: state}):
            return state
        return await self.load_rotation() or state

    async def publish_bundle(self, pem: str) -> None:
        """Tell those who listen, if they do not know it: what all may read, the leader writes."""
        if pem != self._bundle:
            self._bundle = pem
            for callback in self._listeners:
                callback(pem)

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yield at once, whenever a Secret may have changed, and from time to time."""
        changed = asyncio.Event()
        names = dict.fromkeys((*self._names, self._rotation))
        watches = [asyncio.create_task(self._watch(name, changed)) for name in names]
        for watch in watches:
            watch.add_done_callback(lambda _done: changed.set())
        try:
            while True:
                yield
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    continue
                changed.clear()
                for watch in watches:
                    if watch.done():
                        watch.result()  # a bug of ours: not to be silent about
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _load(self) -> tuple[Secret | None, Mapping[str, bytes]]:
        """Return the Secret that holds the authority with its files; else what is under the last name."""
        secret: Secret | None = None
        for name in self._names:
            secret = await self._get(name)
            files = read_material(self._where(name), secret or {})
            if files:
                return secret, files
        return secret, {}

    async def _load_rotation(self) -> tuple[Secret | None, bytes | None]:
        secret = await self._get(self._rotation)
        return secret, read_key(self._where(self._rotation), secret or {}, ROTATION) or None

    async def _watch(self, name: str, changed: asyncio.Event) -> None:
        """Set ``changed`` at every word of one Secret, for ever. What is told is not looked at."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        request = Request("GET", self._path, query=query, right=self._right("watch", name))
        backoff, outage = Backoff(random.random), Outage(log, f"watching {self._where(name)}")
        clock = asyncio.get_running_loop().time
        while True:
            began_at, error = clock(), ClusterError(f"{request}: ended")
            try:
                async with self._connection.stream(request, _SILENCE_SECONDS) as chunks:
                    outage.end()
                    async for _ in chunks:
                        changed.set()
            except ClusterError as failure:
                outage.begin(str(failure))
                error = failure
            if clock() - began_at >= _LONG_WATCH:
                backoff.reset()
            # A new watch begins with what there is: only a removal could be missed in between.
            await asyncio.sleep(backoff.after(error))

    async def _get(self, name: str) -> Secret | None:
        request = Request("GET", f"{self._path}/{name}", right=self._right("get", name))
        content = await self._ask(request, _NOT_FOUND)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=Secret)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ClusterError(f"{request}: the answer is no JSON object") from None

    async def _put(
        self,
        name: str,
        secret: Secret | None,
        files: Mapping[str, bytes],
        instead_of: frozenset[str] = frozenset(),
    ) -> bool:
        """Make a Secret, or put files into the one that was read; return whether it was still that."""
        if secret is None:
            metadata = {"name": name, "namespace": self._namespace, "labels": _LABELS}
            made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded(files)}
            request = Request("POST", self._path, made, right=self._right("create", name))
        else:
            kept = {key: text for key, text in (secret.get("data") or {}).items() if key not in instead_of}
            name = str(secret["metadata"]["name"])
            path, right = f"{self._path}/{name}", self._right("update", name)
            request = Request("PUT", path, secret | {"data": kept | encoded(files)}, right=right)
        return await self._ask(request, _CONFLICT) is not None

    async def _ask(self, request: Request, none_at: int) -> bytes | None:
        """Return the body of an answer; None at one kind of refusal."""
        code, content = await self._connection.call(request, _LARGEST)
        if code == none_at:
            return None
        if not 200 <= code < 300:
            # Without the server's own words, which may repeat what it was sent.
            raise refusal(request, code)
        if len(content) > _LARGEST:
            raise ClusterError(f"{request}: the answer is too long: expected at most {_LARGEST} bytes")
        return content

    def _right(self, verb: str, name: str) -> str:
        named = "" if verb == "create" else f" named {name}"
        return f"{verb} of secrets{named} in namespace {self._namespace}"

    def _where(self, name: str) -> str:
        return f"Secret {self._namespace}/{name}"
