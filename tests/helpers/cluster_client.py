"""What a test asks of an API server, as its admin or as somebody else."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

ADMIN = "token-of-the-admin"
ISSUER = "https://kubernetes.default.svc"
_MERGE_PATCH = "application/merge-patch+json"
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_ESTABLISHING_SECONDS = 20.0

Object = dict[str, Any]


class RefusedError(RuntimeError):
    """The API server's answer when it refuses."""

    def __init__(self, asked: str, status: int, content: bytes) -> None:
        super().__init__(f"{asked}: {status} {content[:1000].decode(errors='replace')}")
        self.status = status


class ClusterClient:
    """Makes, changes and removes objects of any kind; where no controllers run, does what they would."""

    def __init__(self, url: str, ca_path: Path) -> None:
        self.url = url
        self.ca_path = ca_path
        self._session: aiohttp.ClientSession | None = None
        self._resources: dict[str, dict[str, Object]] = {}

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        token: str = ADMIN,
    ) -> Any:
        """
        Return the answer, decoded when it is JSON.

        Raises:
            RefusedError: the status is 300 or more.

        """
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
        async with self._opened().request(method, self.url + path, data=data, headers=headers) as answer:
            content = await answer.read()
            if answer.status >= 300:
                raise RefusedError(f"{method} {path}", answer.status, content)
            return json.loads(content) if answer.content_type == "application/json" else content.decode()

    @asynccontextmanager
    async def stream(self, path: str, token: str = ADMIN) -> AsyncIterator[aiohttp.StreamReader]:
        """Ask for an answer that does not end, as that to a watch, and leave it at once when it is left."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._opened().get(self.url + path, headers=headers) as answer:
            try:
                yield answer.content
            finally:
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()

    async def apply(self, *objects: Any) -> list[Object]:
        """
        Create or replace objects, and their status where they have one.

        They are mappings, lists of them or YAML. A namespace is made with its default account, and
        is made when an object needs it. A custom resource is ready to be used on return.
        """
        return [await self._apply_one(item) for item in _flat(objects)]

    async def delete(self, *objects: Any) -> None:
        """Delete objects at once; with a namespace nothing goes that is in it."""
        for item in _flat(objects):
            path = await self.path_of(item)
            held = await self.request("DELETE", f"{path}?gracePeriodSeconds=0")
            if item["kind"] == "Namespace":
                await self.request("PUT", f"{path}/finalize", held | {"spec": {"finalizers": []}})

    async def path_of(self, item: Object, collection: bool = False) -> str:
        """Return the path of an object, or of the collection it is in."""
        resource, meta = await self._resource(item), item["metadata"]
        inside = f"/namespaces/{meta.get('namespace', 'default')}" if resource["namespaced"] else ""
        path = f"{_root(item)}{inside}/{resource['name']}"
        return path if collection else f"{path}/{meta['name']}"

    async def token(
        self, namespace: str, account: str, audience: str = ISSUER, pod: Object | None = None
    ) -> str:
        """Return a token of a service account; bound to a pod, as it was applied, if one is given."""
        spec: Object = {"audiences": [audience], "expirationSeconds": 3600}
        if pod is not None:
            meta = pod["metadata"]
            bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
            spec["boundObjectRef"] = bound
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        made: str = (await self.request("POST", path, body))["status"]["token"]
        return made

    async def close(self) -> None:
        """Close the connections; the next request makes new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _apply_one(self, item: Object) -> Object:
        made = await self._stored(item)
        if item.get("status") and (await self._resource(item))["has_status"]:
            patch = {"status": item["status"]}
            made = await self.request("PATCH", f"{await self.path_of(item)}/status", patch, _MERGE_PATCH)
        if item["kind"] == "Namespace":
            await self._stored(default_account(item["metadata"]["name"]))
        if item["kind"] == "CustomResourceDefinition":
            await self._served(item)
        return made

    async def _stored(self, item: Object) -> Object:
        path = await self.path_of(item, collection=True)
        try:
            made: Object = await self.request("POST", path, item)
        except RefusedError as refused:
            if refused.status == 409 and "AlreadyExists" in str(refused):
                return await self._replaced(item)
            if refused.status != 404 or "/namespaces/" not in path:
                raise
            await self.apply(_namespace(item["metadata"].get("namespace", "default")))
            made = await self.request("POST", path, item)
        return made

    async def _replaced(self, item: Object) -> Object:
        path = await self.path_of(item)
        version = (await self.request("GET", path))["metadata"]["resourceVersion"]
        metadata = item["metadata"] | {"resourceVersion": version}
        made: Object = await self.request("PUT", path, item | {"metadata": metadata})
        return made

    async def _resource(self, item: Object) -> Object:
        """Return what the API says of a kind."""
        root, kind = _root(item), item["kind"]
        if kind not in self._resources.get(root, {}):
            self._resources[root] = _by_kind(await self.request("GET", root))
        try:
            return self._resources[root][kind]
        except KeyError:
            raise LookupError(f"{item['apiVersion']} has no kind {kind}") from None

    async def _served(self, definition: Object) -> None:
        """Wait until each served version of a custom resource can be asked for."""
        spec = definition["spec"]
        paths = [
            f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}?limit=1"
            for version in spec["versions"]
            if version["served"]
        ]
        async with asyncio.timeout(_ESTABLISHING_SECONDS):
            for path in paths:
                while not await self._answers(path):
                    await asyncio.sleep(0.05)

    async def _answers(self, path: str) -> bool:
        try:
            await self.request("GET", path)
        except (aiohttp.ClientError, OSError, RefusedError):
            return False
        return True

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            trusted = ssl.create_default_context(cafile=str(self.ca_path))
            connector = aiohttp.TCPConnector(ssl=trusted)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        return self._session


def _by_kind(listed: Object) -> dict[str, Object]:
    names = {resource["name"] for resource in listed["resources"]}
    return {
        resource["kind"]: resource | {"has_status": f"{resource['name']}/status" in names}
        for resource in listed["resources"]
        if "/" not in resource["name"]
    }


def _root(item: Object) -> str:
    version = item["apiVersion"]
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _flat(objects: Iterable[Any]) -> list[Object]:
    found: list[Object] = []
    for item in objects:
        if isinstance(item, str):
            found += _flat(yaml.safe_load_all(item))
        elif isinstance(item, (list, tuple)):
            found += _flat(item)
        elif item and item["kind"].endswith("List") and "items" in item:
            found += _flat(item["items"])
        elif item:
            found.append(item)
    return found


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def default_account(namespace: str) -> Object:
    meta = {"name": "default", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
