"""The API server of the cluster tests is one that its clients can take for a cluster's."""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_client import RefusedError
from tests.helpers.cluster_load import store
from tests.helpers.cluster_objects import account, crds, lease, many_pods, namespace, node, pod, service
from tests.helpers.programs import ROOT, tool

PODS_MAY_BE_READ = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads-pods, namespace: rights}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads-pods, namespace: rights}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads-pods}
subjects: [{kind: ServiceAccount, name: reader, namespace: rights}]
"""


async def first_line(server: ApiServer, path: str) -> Any:
    async with server.stream(path) as lines:
        return json.loads(await lines.readline())


async def test_objects_are_created_with_their_status_and_replaced(either_api_server: ApiServer) -> None:
    made = pod("applied/one", "n1", "10.8.0.1")
    await either_api_server.apply(namespace("applied", team="mesh"), made, node("applied", "10.8.0.9"))
    path = "/api/v1/namespaces/applied/pods/one"
    held = await either_api_server.request("GET", path)
    assert (held["status"]["podIPs"], held["spec"]["nodeName"]) == ([{"ip": "10.8.0.1"}], "n1")
    await either_api_server.apply(pod("applied/one", "n1", "10.8.0.2", labels={"app": "one"}))
    changed = await either_api_server.request("GET", path)
    assert changed["metadata"]["uid"] == held["metadata"]["uid"]
    assert (changed["status"]["podIP"], changed["metadata"]["labels"]) == ("10.8.0.2", {"app": "one"})
    ready = (await either_api_server.request("GET", "/api/v1/nodes/applied"))["status"]["conditions"][0]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    await either_api_server.delete(made, node("applied", ""))
    with pytest.raises(RefusedError, match="404"):
        await either_api_server.request("GET", path)


async def test_yaml_and_lists_are_applied_too(api_server: ApiServer) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [service("yaml/one"), service("yaml/two", [81])]}
    text = yaml.safe_dump(lease("yaml/one", "2026-01-01T00:00:00.000000Z"))
    applied = await api_server.apply(listed, [text, account("yaml/one")])
    assert [one["kind"] for one in applied] == ["Service", "Service", "Lease", "ServiceAccount"]


async def test_a_namespace_comes_with_its_account_when_it_is_needed_and_goes(api_server: ApiServer) -> None:
    await api_server.apply(service("needed/app"))
    held = await api_server.request("GET", "/api/v1/namespaces/needed/serviceaccounts/default")
    assert held["metadata"]["name"] == "default"
    await api_server.delete(namespace("needed"))
    with pytest.raises(RefusedError, match="404"):
        await api_server.request("GET", "/api/v1/namespaces/needed")


async def test_custom_resources_can_be_used_as_soon_as_they_are_defined(own_api_server: ApiServer) -> None:
    await own_api_server.apply(crds())
    meta = {"name": "one", "namespace": "custom"}
    for kind, version in {
        "ServiceEntry": "networking.istio.io/v1",
        "WorkloadEntry": "networking.istio.io/v1beta1",
        "AuthorizationPolicy": "security.istio.io/v1",
        "PeerAuthentication": "security.istio.io/v1beta1",
        "Gateway": "gateway.networking.k8s.io/v1",
        "GatewayClass": "gateway.networking.k8s.io/v1",
        "ServiceMonitor": "monitoring.coreos.com/v1",
        "PrometheusRule": "monitoring.coreos.com/v1",
    }.items():
        (made,) = await own_api_server.apply(
            {"apiVersion": version, "kind": kind, "metadata": meta, "spec": {"any": [{"thing": 1}]}}
        )
        assert made["spec"] == {"any": [{"thing": 1}]}


async def test_an_account_may_do_what_it_was_granted_and_no_more(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await api_server.apply(account("rights/reader"), PODS_MAY_BE_READ)
    path = await api_server.kubeconfig_of_account(tmp_path, "rights", "reader", server="https://elsewhere")
    written = yaml.safe_load(path.read_text())
    assert written["clusters"][0]["cluster"]["server"] == "https://elsewhere"
    token = written["users"][0]["user"]["token"]
    listed = await api_server.request("GET", "/api/v1/namespaces/rights/pods", token=token)
    assert listed["items"] == []
    for forbidden in ("/api/v1/namespaces/rights/secrets", "/api/v1/pods"):
        with pytest.raises(RefusedError) as refused:
            await api_server.request("GET", forbidden, token=token)
        assert refused.value.status == 403


async def test_a_token_tells_the_pod_it_is_bound_to_and_dies_with_it(api_server: ApiServer) -> None:
    made = pod("bound/one", "n1", account="runner")
    bound = (await api_server.apply(account("bound/runner"), made))[-1]
    token, other = [await api_server.token("bound", "runner", "istio-ca", bound) for _ in range(2)]

    async def review(token: str) -> Any:
        spec = {"token": token, "audiences": ["istio-ca"]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        made = await api_server.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        return made["status"]

    told = await review(token)
    assert told["user"]["username"] == "system:serviceaccount:bound:runner"
    assert told["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [bound["metadata"]["uid"]]
    await api_server.delete(made)
    async with asyncio.timeout(30):
        while (await review(other)).get("authenticated"):
            await asyncio.sleep(0.1)


async def test_its_certificate_stands_strict_verification(api_server: ApiServer) -> None:
    strict = ssl.create_default_context(cafile=str(api_server.ca_path))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{api_server.url}/livez", ssl=strict) as answer,
    ):
        assert answer.status == 200


async def streamed_list(server: ApiServer) -> Any:
    """Return the first that is told of a streamed list of one pod."""
    await server.apply(pod("streamed/one", "n1"))
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    return await first_line(server, f"/api/v1/namespaces/streamed/pods?{query}")


async def test_it_streams_lists(api_server: ApiServer) -> None:
    told = await streamed_list(api_server)
    assert (told["type"], told["object"]["metadata"]["name"]) == ("ADDED", "one")


async def test_on_debians_etcd_it_refuses_to_stream_lists(paged_api_server: ApiServer) -> None:
    told = await streamed_list(paged_api_server)
    assert (told["type"], told["object"]["code"]) == ("ERROR", 500)
    assert "RequestWatchProgress" in told["object"]["message"]


async def test_it_can_be_frozen_killed_and_started_again_where_it_was(own_api_server: ApiServer) -> None:
    (before,) = await own_api_server.apply(service("kept/app"))
    url, path = own_api_server.url, await own_api_server.path_of(before)
    own_api_server.pause()
    state = Path(f"/proc/{own_api_server.process.pid}/status")
    assert "T (stopped)" in state.read_text()
    own_api_server.resume()
    assert await own_api_server.request("GET", path) == before
    first = own_api_server.process.pid
    await own_api_server.stop_server()
    with pytest.raises(aiohttp.ClientConnectorError):
        await own_api_server.request("GET", path)
    await own_api_server.restart()
    assert (own_api_server.url, own_api_server.process.pid != first) == (url, True)
    assert await own_api_server.request("GET", path) == before


async def test_a_load_of_pods_is_stored_as_if_the_server_had_been_asked(api_server: ApiServer) -> None:
    await api_server.apply(namespace("ns-0"), namespace("ns-1"))
    query = "/api/v1/namespaces/ns-1/pods?watch=1&resourceVersion="
    version = (await api_server.request("GET", "/api/v1/pods"))["metadata"]["resourceVersion"]
    assert await store(api_server, many_pods(200, namespaces=2)) == 200
    told = await first_line(api_server, query + version)
    assert (told["type"], told["object"]["metadata"]["namespace"]) == ("ADDED", "ns-1")
    listed = (await api_server.request("GET", "/api/v1/namespaces/ns-1/pods"))["items"]
    assert len(listed) == 100
    assert len({one["metadata"]["resourceVersion"] for one in listed}) == 100
    one = next(made for made in many_pods(1, namespaces=2, first=7))
    path = await api_server.path_of(one)
    held = await api_server.request("GET", path)
    assert (held["status"], held["spec"]) == (one["status"], one["spec"])
    patch = {"metadata": {"labels": {"changed": "yes"}}}
    changed = await api_server.request("PATCH", path, patch, "application/merge-patch+json")
    assert changed["metadata"]["labels"] == one["metadata"]["labels"] | {"changed": "yes"}
    await api_server.delete(list(many_pods(200, namespaces=2)))


def test_what_a_test_has_started_does_not_outlive_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, signal, sys; from tests.helpers.programs import start; "
        "print(start(pathlib.Path(sys.argv[1]), 'sleep', '600').pid, flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout is not None
        started = Path(f"/proc/{int(test.stdout.readline())}/stat")
        assert not is_over(started)
        test.kill()
    while not is_over(started):
        time.sleep(0.01)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"no-such-program is missing: `make tools`"):
        tool("no-such-program")


def is_over(stat: Path) -> bool:
    """Tell whether a process is gone, or waits only for its end to be asked about."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
