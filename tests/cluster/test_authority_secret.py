"""A certificate authority in Secrets of a real API server."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import account, namespace
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.followed_cluster import until
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import ApiError
from xds_server.exceptions import ClusterError, InputError
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.authority.secret import AuthoritySecret
from xds_server.identity.authority.self_made import ROOT_KEY, make_files

NAMES = ("cacerts", "istio-ca-secret")
FILES = make_files("cluster.local", time.time())
OTHERS = make_files("cluster.local", time.time())
OVERLAP = 86_520.0


@asynccontextmanager
async def store(kubeconfig: Path, place: str) -> AsyncIterator[AuthoritySecret]:
    connection = ApiConnection(str(kubeconfig), timeout_seconds=5.0)
    try:
        yield AuthoritySecret(connection, place, NAMES)
    finally:
        await connection.close()


@asynccontextmanager
async def stores(
    server: ApiServer, place: str, folder: Path
) -> AsyncIterator[tuple[AuthoritySecret, AuthoritySecret]]:
    """Let two replicas use the Secrets of a new namespace."""
    await server.apply(namespace(place))
    kubeconfig = server.kubeconfig(folder / "kubeconfig")
    async with store(kubeconfig, place) as one, store(kubeconfig, place) as other:
        yield one, other


def made_secret(place: str, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    data = {key: base64.b64encode(content).decode() for key, content in files.items()}
    metadata = {"name": name, "namespace": place}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


async def held_secret(server: ApiServer, place: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await server.request("GET", f"/api/v1/namespaces/{place}/secrets/{name}")
    return found


async def test_of_two_that_make_the_authority_one_does_and_both_have_it(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "made", tmp_path) as (one, other):
        assert await one.load() == {}
        made = await asyncio.gather(one.create(FILES), other.create(OTHERS))
        assert made[0] == made[1]
        assert made[0] in (FILES, OTHERS)
        assert await one.load() == await other.load() == made[0]
    found = await held_secret(api_server, "made", "istio-ca-secret")
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "offmesh"}
    assert found["type"] == "Opaque"


async def test_the_first_of_the_names_that_holds_an_authority_counts(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "first", tmp_path) as (one, _):
        await api_server.apply(made_secret("first", "cacerts", {"note": b"for later"}))
        assert await one.create(FILES) == FILES
        assert (await held_secret(api_server, "first", "cacerts"))["data"].keys() == {"note"}
        await api_server.apply(made_secret("first", "cacerts", OTHERS))
        assert await one.load() == OTHERS
        assert await one.create(FILES) == OTHERS


async def test_an_empty_secret_of_the_last_name_is_filled(api_server: ApiServer, tmp_path: Path) -> None:
    async with stores(api_server, "filled", tmp_path) as (one, other):
        await api_server.apply(made_secret("filled", "istio-ca-secret", {"key.pem": b"", "ca-key.pem": b""}))
        made = await asyncio.gather(one.create(FILES), other.create(OTHERS))
        assert made[0] == made[1] == await one.load()
    assert (await held_secret(api_server, "filled", "istio-ca-secret"))["data"]["key.pem"] == ""


async def test_a_part_of_an_authority_is_neither_passed_over_nor_written_over(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "part", tmp_path) as (one, _):
        await api_server.apply(made_secret("part", "cacerts", {"ca-cert.pem": FILES["ca-cert.pem"]}))
        for wanted in (one.load(), one.create(FILES)):
            with pytest.raises(InputError, match=r"Secret part/cacerts: ca-key.pem is missing"):
                await wanted


async def test_material_is_only_replaced_while_it_is_what_was_seen(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "replaced", tmp_path) as (one, other):
        noted = made_secret("replaced", "cacerts", {**FILES, "note": b"an operator's"})
        noted["metadata"]["annotations"] = {"team": "mesh"}
        await api_server.apply(noted)
        assert await one.replace(OTHERS, OTHERS) == FILES
        newest = make_files("cluster.local", time.time())
        less = [{name: files[name] for name in files if name != ROOT_KEY} for files in (OTHERS, newest)]
        replaced = await asyncio.gather(one.replace(FILES, less[0]), other.replace(FILES, less[1]))
        assert replaced[0] == replaced[1] == await one.load()
        assert replaced[0] in less
    found = await held_secret(api_server, "replaced", "cacerts")
    assert base64.b64decode(found["data"]["note"]) == b"an operator's"
    assert found["metadata"]["annotations"] == {"team": "mesh"}


async def test_of_two_states_of_a_rotation_the_one_that_knew_the_last_wins(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "rotation", tmp_path) as (one, other):
        assert await one.load_rotation() is None
        assert await one.save_rotation(None, b"first") == b"first"
        assert await other.save_rotation(None, b"too late") == b"first"
        assert await other.save_rotation(b"first", b"second") == b"second"
        states = await asyncio.gather(
            one.save_rotation(b"second", b"third"), other.save_rotation(b"second", b"3rd")
        )
        assert states[0] == states[1] == await one.load_rotation()
        assert states[0] in (b"third", b"3rd")
        await api_server.delete(made_secret("rotation", "offmesh-ca-rotation", {}))
        assert await one.load_rotation() is None
        assert await one.save_rotation(None, b"afresh") == b"afresh"
    found = await held_secret(api_server, "rotation", "offmesh-ca-rotation")
    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "offmesh"}


async def test_changes_are_told_from_the_first_moment_on(api_server: ApiServer, tmp_path: Path) -> None:
    async with stores(api_server, "changes", tmp_path) as (one, _):
        told = 0

        async def follow() -> None:
            nonlocal told
            async for _ in one.changes():
                told += 1

        following = asyncio.create_task(follow())
        await until(lambda: told == 1)
        for name in ("cacerts", "istio-ca-secret", "offmesh-ca-rotation"):
            before = told
            await api_server.apply(made_secret("changes", name, {"note": b"new"}))
            await until(lambda before=before: told > before)  # type: ignore[misc]
        before = told
        await api_server.delete(made_secret("changes", "cacerts", {}))
        await until(lambda: told > before)
        following.cancel()
        await asyncio.wait([following])
        assert following.cancelled()


async def test_changes_are_told_again_after_the_connection_broke(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await api_server.apply(namespace("broken"))
    async with faulty_proxy(api_server.port) as proxy:
        kubeconfig = api_server.kubeconfig(tmp_path / "behind", server=proxy.url)
        async with store(kubeconfig, "broken") as one:
            changes = one.changes()
            await anext(changes)
            await until(lambda: proxy.connections >= 3)
            proxy.cut()
            with pytest.raises(ClusterError):
                await one.load()
            await until(lambda: "watching Secret broken/cacerts" in caplog.text)
            proxy.mend()
            await until(lambda: "watching Secret broken/cacerts: works again" in caplog.text)
            await api_server.apply(made_secret("broken", "cacerts", FILES))
            await anext(changes)
            while await one.load() != FILES:
                await anext(changes)
            await changes.aclose()


async def test_two_replicas_sign_alike_from_the_start_and_through_a_rotation(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "alike", tmp_path) as both:
        authorities = [CertificateAuthority(one, "cluster.local", OVERLAP) for one in both]
        bundles: list[list[str]] = [[], []]
        for held, bundle in zip(both, bundles, strict=True):
            held.listen(bundle.append)
        await asyncio.gather(*(authority.load() for authority in authorities))
        one, other = authorities
        assert one.signing == other.signing
        assert bundles == [[one.trust_bundle], [one.trust_bundle]]
        following = [asyncio.create_task(authority.follow()) for authority in authorities]
        await api_server.apply(made_secret("alike", "cacerts", OTHERS))
        await until(lambda: one.rotation.next and other.rotation.next)
        assert one.rotation == other.rotation
        assert OTHERS["root-cert.pem"].decode() in one.trust_bundle
        assert bundles[0][1:] == bundles[1][1:] == [one.trust_bundle]
        for task in following:
            task.cancel()
        await asyncio.wait(following)
        again = CertificateAuthority(both[0], "cluster.local", OVERLAP)
        await again.load()
        assert again.rotation == one.rotation


async def test_who_listens_late_is_told_the_bundle_that_is_there(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with stores(api_server, "listens", tmp_path) as (one, _):
        told: list[str] = []
        for pem in ("roots", "roots", "more roots"):
            await one.publish_bundle(pem)
            if not told:
                one.listen(told.append)
        assert told == ["roots", "more roots"]


async def test_the_rights_that_the_messages_name_are_enough(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = "least"
    await api_server.apply(namespace(place), account(f"{place}/server"))
    kubeconfig = api_server.kubeconfig(tmp_path / "kubeconfig", await api_server.token(place, "server"))
    async with store(kubeconfig, place) as one:
        with pytest.raises(ApiError, match="expected get of secrets named cacerts in namespace least"):
            await one.load()
        changes = one.changes()
        await anext(changes)
        await until(lambda: "expected watch of secrets named offmesh-ca-rotation" in caplog.text)
        await api_server.apply(*rights(place, ["get"]))
        with pytest.raises(ApiError, match="expected create of secrets in namespace least"):
            await one.create(FILES)
        await api_server.apply(*rights(place, ["get"], ["create"]))
        assert await one.create(FILES) == FILES
        assert await one.save_rotation(None, b"first") == b"first"
        with pytest.raises(ApiError, match="expected update of secrets named offmesh-ca-rotation") as refused:
            await one.save_rotation(b"first", b"c2Vjb25k")
        assert "c2Vjb25k" not in str(refused.value)
        await api_server.apply(*rights(place, ["get", "update", "watch"], ["create"]))
        assert await one.replace(FILES, OTHERS) == OTHERS
        assert await one.save_rotation(b"first", b"second") == b"second"
        await anext(changes)
        await changes.aclose()


def rights(place: str, named: list[str], any_name: list[str] | None = None) -> list[dict[str, Any]]:
    """Return a role for the Secrets of an authority, and its binding to the account ``server``."""
    secrets: dict[str, Any] = {"apiGroups": [""], "resources": ["secrets"]}
    rules = [secrets | {"verbs": named, "resourceNames": [*NAMES, "offmesh-ca-rotation"]}]
    if any_name:
        rules.append(secrets | {"verbs": any_name})
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "ca", "namespace": place}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ca"}
    subject = {"kind": "ServiceAccount", "name": "server", "namespace": place}
    return [
        head | {"kind": "Role", "rules": rules},
        head | {"kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
    ]
