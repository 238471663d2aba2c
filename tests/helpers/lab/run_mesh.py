"""The lab with everything real but ztunnel: a server with manifests, and an agent on each node."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.lab.agents import Agents
from tests.helpers.lab.lab import Lab
from tests.helpers.lab.manifests import Manifests
from tests.helpers.lab.proxies import Proxy
from tests.helpers.lab.wanted import Wanted
from tests.helpers.offmesh import Offmesh, serve

_PATIENCE_SECONDS = 60.0
_GLANCE_SECONDS = 0.02


@dataclass(slots=True)
class RunningMesh:
    lab: Lab
    manifests: Manifests
    server: Offmesh
    agents: Agents

    def client(self, node: str) -> dict[str, Any]:
        """Return what ``/debug/syncz`` says of the agent of a node, by type; nothing while it is away."""
        clients = self.server.get("/debug/syncz")["clients"]
        found = [each["types"] for each in clients if each["id"].rpartition("#")[0] == node]
        return found[-1] if found else {}

    def is_synced(self, node: str) -> bool:
        types = self.client(node)
        return len(types) == 2 and all(
            each["state"] == "SYNCED" and not each["behind"] for each in types.values()
        )

    def wait_for_agents(self, *nodes: str) -> None:
        names = nodes or tuple(self.agents.running)
        wait_until(lambda: all(self.is_synced(node) for node in names), "agents in sync")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for what must come to be, however busy the machine is."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(_GLANCE_SECONDS)


@contextlib.contextmanager
def running_mesh(lab: Lab, folder: Path, wanted: Wanted, *flags: str) -> Iterator[RunningMesh]:
    """
    Serve the lab's mesh and start its ztunnels; agents are started by the test.

    The namespaces of ztunnels hold nothing yet: they are the agents' too.
    """
    manifests = Manifests(folder, lab.topology)
    for name in wanted.ztunnels:
        start_proxy(lab, name, wanted)
    with serve(
        folder, "--tunnel-type=vxlan", *flags, manifests=manifests.objects, cluster_conf=manifests.map
    ) as server:
        netns = {node.name: lab.inside[node.name].name for node in lab.topology.nodes}
        agents = Agents(netns, folder / "agents", server.grpc)
        try:
            yield RunningMesh(lab, manifests, server, agents)
        finally:
            agents.stop_all()


def start_proxy(lab: Lab, name: str, wanted: Wanted) -> None:
    """Start a stub of ztunnel in a namespace that is not programmed for it yet."""
    lab.proxies[name] = Proxy(name, lab.inside[name], lab.options.flavour)
    lab.proxies[name].learn(wanted)
