"""Whatever an API server does to its watches, what is held comes to equal what it has."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import namespace, pod
from tests.helpers.followed_cluster import FollowedCluster, following_cluster, until
from tests.helpers.rewriting_proxy import Answer, Edit, rewriting_proxy
from xds_server.objects.kubernetes import Pod

GONE = json.dumps({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}).encode()
ERROR = b'{"type":"ERROR","object":{"kind":"Status","code":%d,"message":"by a test"}}\n'


def is_watch_of_pods(request: web.BaseRequest) -> bool:
    return request.path == "/api/v1/pods" and "sendInitialEvents" not in request.query


class Times:
    """Does its fault so many times, then no more."""

    def __init__(self, times: int, fault: Answer | Edit, applies: Callable[[web.BaseRequest], bool]) -> None:
        self.left = times
        self._fault = fault
        self._applies = applies

    def __call__(self, request: web.BaseRequest) -> Answer | Edit | None:
        if not self.left or not self._applies(request):
            return None
        self.left -= 1
        return self._fault


def times(count: int, fault: Answer | Edit) -> Times:
    return Times(count, fault, is_watch_of_pods)


def first_then(*after: bytes) -> Edit:
    """Let the first line of a watch pass, then say something else for ever."""
    seen: list[bytes] = []

    def edit(line: bytes) -> Iterable[bytes]:
        seen.append(line)
        return [line] if len(seen) == 1 else after

    return Edit(edit)


def without_bookmarks(line: bytes) -> Iterable[bytes]:
    return [] if b'"BOOKMARK"' in line else [line]


def twice(line: bytes) -> Iterable[bytes]:
    return [line, line]


def reversed_pairs() -> Edit:
    """Tell the second of two events first."""
    held: list[bytes] = []

    def edit(line: bytes) -> Iterable[bytes]:
        if b'"BOOKMARK"' in line:
            return []
        held.append(line)
        return [held.pop(), held.pop()] if len(held) == 2 else []

    return Edit(edit)


def broken_off() -> Edit:
    seen: list[bytes] = []

    def edit(line: bytes) -> Iterable[bytes] | None:
        seen.append(line)
        return [line] if len(seen) == 1 else None

    return Edit(edit)


@dataclass(frozen=True)
class Case:
    """A fault, how often it happens, and what is seen of it in the end."""

    fault: Callable[[], Answer | Edit]
    times: int = 1
    lists: int = 1
    disorder: int = 0


CASES = {
    "410 as the answer": Case(lambda: Answer(410, GONE), lists=2),
    "410 within the stream": Case(lambda: first_then(ERROR % 410), lists=2),
    "500 within the stream": Case(lambda: first_then(ERROR % 500)),
    "500": Case(lambda: Answer(500, b"oops"), times=2),
    "429 with a pause": Case(lambda: Answer(429, b"{}", {"Retry-After": "1"})),
    "503": Case(lambda: Answer(503), times=2),
    "no JSON": Case(lambda: first_then(b"<html>\n")),
    "an event cut short": Case(broken_off),
    "an end without an event": Case(lambda: Answer(200, b""), times=2),
    "no bookmarks": Case(lambda: Edit(without_bookmarks), times=2),
    "every event twice": Case(lambda: Edit(twice), lists=2, disorder=1),
    "events in the wrong order": Case(reversed_pairs, lists=2, disorder=1),
}


async def equal_to_a_fresh_list(server: ApiServer, followed: FollowedCluster, inside: str) -> None:
    listed = await server.request("GET", f"/api/v1/namespaces/{inside}/pods")
    wanted = {item["metadata"]["name"]: item["status"].get("podIP") for item in listed["items"]}

    def held() -> dict[str, str | None]:
        rows = followed.registry.of(Pod).rows.values()
        return {one.name: one.status.pod_ip for one in rows if one.namespace == inside}

    await until(lambda: held() == wanted)


@pytest.mark.parametrize("fault", CASES)
async def test_a_fault_of_the_watch_loses_nothing(api_server: ApiServer, tmp_path: Path, fault: str) -> None:
    inside = "fault-" + "".join(char if char.isalnum() else "-" for char in fault.lower())
    await api_server.apply(namespace(inside), *(pod(f"{inside}/p{n}", "n", f"10.3.0.{n}") for n in range(5)))
    async with (
        rewriting_proxy(api_server) as proxy,
        following_cluster(api_server, tmp_path, proxy.url) as followed,
    ):
        case = CASES[fault]
        proxy.rule = rule = times(case.times, case.fault())
        await until(followed.one("Pod").loaded.is_set)
        changes: list[object] = []
        for number in range(5, 9):
            await api_server.apply(pod(f"{inside}/p{number}", "n", f"10.3.0.{number}"))
        await api_server.delete(pod(f"{inside}/p1"), pod(f"{inside}/p6"))
        await equal_to_a_fresh_list(api_server, followed, inside)
        await until(lambda: not rule.left)
        followed.registry.graph.listen(followed.registry.of(Pod), changes.append)
        contact = followed.one("Pod").contact
        resumed = contact.resumed
        await until(lambda: contact.resumed > resumed)
        assert (changes, contact.failure) == ([], "")
        assert (contact.lists, contact.disorder) == (case.lists, case.disorder)


async def test_a_list_after_410_finds_deletions_and_changes_nothing_else(
    api_server: ApiServer, tmp_path: Path
) -> None:
    pods = [pod(f"relist/p{n}", "n", f"10.4.0.{n}") for n in range(6)]
    await api_server.apply(namespace("relist"), *pods)
    async with (
        rewriting_proxy(api_server) as proxy,
        following_cluster(api_server, tmp_path, proxy.url) as followed,
    ):
        await until(followed.one("Pod").loaded.is_set)
        proxy.rule = lambda request: Answer(500) if is_watch_of_pods(request) else None
        await until(lambda: followed.one("Pod").contact.failure)
        changes: list[dict[str, object]] = []
        followed.registry.graph.listen(followed.registry.of(Pod), lambda made: changes.append(dict(made)))
        await api_server.delete(pods[2])
        proxy.rule = times(1, Answer(410, GONE))
        await until(lambda: followed.one("Pod").contact.lists == 2 and changes)
        assert [set(change) for change in changes] == [{"relist/p2"}]


async def test_nothing_is_removed_by_a_list_that_breaks_off(api_server: ApiServer, tmp_path: Path) -> None:
    await api_server.apply(namespace("half"), *(pod(f"half/p{n}", "n", f"10.5.0.{n}") for n in range(6)))

    def broken_lists(request: web.BaseRequest) -> Answer | Edit | None:
        if request.path != "/api/v1/pods":
            return None
        return Answer(410, GONE) if is_watch_of_pods(request) else broken_off()

    async with (
        rewriting_proxy(api_server) as proxy,
        following_cluster(api_server, tmp_path, proxy.url) as followed,
    ):
        await until(followed.one("Pod").loaded.is_set)
        held = dict(followed.registry.of(Pod).rows)
        proxy.rule = broken_lists
        await until(lambda: followed.one("Pod").contact.lists >= 4)
        assert followed.registry.of(Pod).rows == held


async def test_a_missing_right_is_named_and_waited_for(api_server: ApiServer, tmp_path: Path) -> None:
    async with rewriting_proxy(api_server) as proxy:
        proxy.rule = lambda request: Answer(403) if request.path == "/api/v1/nodes" else None
        async with following_cluster(api_server, tmp_path, proxy.url) as followed:
            nodes = followed.one("Node")
            await until(lambda: nodes.contact.failure)
            expected = "this server's account lacks the right (403): expected list and watch of nodes"
            assert expected in nodes.contact.failure
            assert not nodes.loaded.is_set()
            assert not nodes.rows.source.synced
            proxy.rule = None
            await until(nodes.loaded.is_set)
            assert nodes.contact.failure == ""


async def test_what_is_deleted_while_a_list_is_streamed_is_not_held(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await api_server.apply(
        namespace("going"), pod("going/p0", "n", "10.6.0.1"), pod("going/p1", "n", "10.6.0.2")
    )

    def deleted_within(line: bytes) -> Iterable[bytes]:
        gone = line.replace(b'"ADDED"', b'"DELETED"', 1)
        return [line, gone] if b'"name":"p0","namespace":"going"' in line else [line]

    def rule(request: web.BaseRequest) -> Answer | Edit | None:
        return Edit(deleted_within) if "sendInitialEvents" in request.query else None

    async with rewriting_proxy(api_server) as proxy:
        proxy.rule = rule
        async with following_cluster(api_server, tmp_path, proxy.url) as followed:
            await until(followed.one("Pod").loaded.is_set)
            assert followed.one("Pod").contact.streamed
            assert followed.keys("Pod", "going/") == {"going/p1"}
