"""The Lease that a DPU node's agent renews: with what rights, and that the control plane goes by it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import Object, account, lease, namespace, node
from tests.helpers.offmesh import Offmesh, serve_cluster
from xds_server.agent.lease import renew_lease, renew_once
from xds_server.agent.settings import LeaseSettings
from xds_server.exceptions import ClusterError

RBAC = "rbac.authorization.k8s.io"
SECONDS = 3


async def as_agent(server: ApiServer, inside: str, folder: Path, *verbs: str) -> LeaseSettings:
    """Make an account that may do only this with Leases in its namespace."""
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "agent", "namespace": inside}}
    rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": list(verbs)}]
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "agent"}
    subjects = [{"kind": "ServiceAccount", "name": "agent", "namespace": inside}]
    role: Object = head | {"kind": "Role", "rules": rules}
    binding: Object = head | {"kind": "RoleBinding", "roleRef": reference, "subjects": subjects}
    await server.apply(namespace(inside), account(f"{inside}/agent"), role, binding)
    mounted = folder / "account"
    mounted.mkdir(exist_ok=True)
    (mounted / "token").write_text(await server.token(inside, "agent"))
    (mounted / "ca.crt").write_bytes(server.ca_path.read_bytes())
    return LeaseSettings(namespace=inside, account=mounted, duration_seconds=SECONDS, renew_seconds=0.3)


def environment(server: ApiServer) -> dict[str, str]:
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}


@contextmanager
def renewing(settings: LeaseSettings, dpu: str) -> Iterator[None]:
    running = asyncio.create_task(renew_lease(settings, lambda: dpu))
    try:
        yield
    finally:
        running.cancel()


@asynccontextmanager
async def serving(server: ApiServer, folder: Path, inside: str) -> AsyncIterator[Offmesh]:
    """Serve a pair, by its nodes' names."""
    pair = {"cpuNodeIP": "192.0.2.1", "dpuNodeIP": "192.0.2.2"}
    pair |= {"cpuNodeName": f"{inside}-cpu", "dpuNodeName": f"{inside}-dpu"}
    (folder / "cluster-conf.yaml").write_text(yaml.safe_dump({"pairs": [pair]}))
    flags = [f"--namespace={inside}", "--ca-secrets=", "--no-root-config-maps"]
    flags += [f"--certs={folder / 'certs'}", f"--cluster-conf={folder / 'cluster-conf.yaml'}"]
    command = serve_cluster(folder, server.kubeconfig(folder), *flags)
    offmesh = await asyncio.to_thread(command.__enter__)
    try:
        yield offmesh
    finally:
        await asyncio.to_thread(command.__exit__, None, None, None)


async def until_pair_is(offmesh: Offmesh, dpu: str, state: str) -> Any:
    """Return what is told of a pair as soon as it is in this state."""
    async with asyncio.timeout(60):
        while True:
            told = await asyncio.to_thread(offmesh.get, f"/debug/livenessz?node={dpu}")
            for pair in told["pairs"]:
                if pair["state"] == state:
                    return pair
            await asyncio.sleep(0.05)


async def test_a_pair_lives_as_long_as_its_agent_renews_the_lease_with_the_least_rights(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = "agent-lease"
    cpu, dpu = f"{inside}-cpu", f"{inside}-dpu"
    for name, value in environment(api_server).items():
        monkeypatch.setitem(os.environ, name, value)
    settings = await as_agent(api_server, inside, tmp_path, "patch", "create")
    nodes = node(cpu, "192.0.2.1"), node(dpu, "192.0.2.2")
    await api_server.apply(*nodes)
    try:
        async with serving(api_server, tmp_path, inside) as offmesh:
            for _ in range(2):
                with renewing(settings, dpu):
                    await until_pair_is(offmesh, dpu, "up")
                down = await until_pair_is(offmesh, dpu, "down")
                assert down["reasons"] == ["LeaseExpired"]
    finally:
        await api_server.delete(*nodes)


async def test_without_its_rights_a_lease_is_refused_and_the_reason_told(
    api_server: ApiServer, tmp_path: Path
) -> None:
    """To renew one takes ``patch`` alone; the first time makes it."""
    inside = "agent-rights"

    async def renew(settings: LeaseSettings) -> None:
        now = datetime.now(UTC)
        await asyncio.to_thread(renew_once, settings, "dpu-a", now, environment(api_server))

    settings = await as_agent(api_server, inside, tmp_path, "patch")
    with pytest.raises(ClusterError, match=r'refused, 403: .*cannot create resource \\"leases\\"'):
        await renew(settings)
    await api_server.apply(lease(f"{inside}/dpu-a", "2026-01-01T00:00:00.000000Z"))
    await renew(settings)
    path = f"/apis/coordination.k8s.io/v1/namespaces/{inside}/leases/dpu-a"
    held = await api_server.request("GET", path)
    assert held["metadata"]["labels"]["offmesh.io/agent"] == "true"
    assert (held["spec"]["holderIdentity"], held["spec"]["leaseDurationSeconds"]) == ("dpu-a", SECONDS)
    with pytest.raises(ClusterError, match=r'refused, 403: .*cannot patch resource \\"leases\\"'):
        await renew(replace(settings, namespace="default"))
