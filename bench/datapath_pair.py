"""The real commands on a pair of nodes: a server of manifests, and an agent on each node."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.datapath_agent import AgentProcess, agent_on
from bench.datapath_lab import CPU, DPU, DatapathLab, datapath_lab
from bench.datapath_news import News
from bench.relay import Relay
from bench.server import ROOT, serving
from tests.helpers.lab.manifests import Manifests
from xds_server.datapath.kernel import Backend

NODES = (DPU, CPU)
"""In the order they are started in: a CPU node waits for its DPU node."""
_ACCOUNT = "offmesh-agent"


@dataclass(frozen=True, slots=True)
class RunningNode:
    """``relay`` is between its agent and the server."""

    agent: AgentProcess
    relay: Relay
    news: News

    @property
    def first_apply_seconds(self) -> float:
        """Return how long it took from when the agent was told of the node until it said that it is held."""
        held = self.agent.held()
        return held - self.relay.last_before(held)


@dataclass(frozen=True, slots=True)
class RunningPair:
    """Both nodes hold what the manifests say."""

    lab: DatapathLab
    manifests: Manifests
    nodes: dict[str, RunningNode]

    @contextmanager
    def alone(self, name: str) -> Iterator[RunningNode]:
        """Hold up the other node's agent until the block ends: else the two share this machine's cores."""
        with self.nodes[CPU if name == DPU else DPU].agent.held_up():
            yield self.nodes[name]


@contextmanager
def running_pair(pods: int, backend: Backend, *flags: str, secure: bool = False) -> Iterator[RunningPair]:
    """
    Run server and agents until the block ends; agents come by the plaintext port, or by TLS with a token.

    ``flags`` are further ones of agents.

    Raises:
        RuntimeError: one of them does not do its part; the message holds its log.

    """
    with ExitStack() as held:
        lab = held.enter_context(datapath_lab(pods))
        manifests = lab.manifests()
        _write_agents(lab.folder)
        server = held.enter_context(serving(lab.folder, "--tunnel-type=vxlan"))
        nodes: dict[str, RunningNode] = {}
        for name in NODES:
            relay, news = Relay(server.secure if secure else server.grpc), News(lab.inside[name])
            held.callback(relay.close)
            held.callback(news.close)
            every = (*_reached_by(relay, secure, name, lab.folder), f"--backend={backend}", *flags)
            agent = held.enter_context(agent_on(name, lab.inside[name], lab.folder, every))
            agent.held()
            nodes[name] = RunningNode(agent, relay, news)
        yield RunningPair(lab, manifests, nodes)


def _write_agents(folder: Path) -> None:
    """Write the pods that agents run in: by their account a server knows whose token it is."""
    for node in NODES:
        meta = {"name": f"agent-{node}", "namespace": "istio-system", "uid": f"uid-of-agent-{node}"}
        spec = {"nodeName": node, "serviceAccountName": _ACCOUNT, "hostNetwork": True}
        status = {"phase": "Running"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}
        (folder / "mesh" / f"agent-{node}.yaml").write_text(json.dumps(pod))


def _reached_by(relay: Relay, secure: bool, node: str, folder: Path) -> tuple[str, ...]:
    where = f"--discovery-address={relay.address}"
    if not secure:
        return (where, "--insecure")
    token, certs = folder / f"token-{node}", folder / "certs"
    command = [sys.executable, "-m", "xds_server", "token", f"--pod=istio-system/agent-{node}"]
    command += [f"--manifests={folder / 'mesh'}", f"--certs={certs}", f"--out={token}"]
    subprocess.run(command, cwd=ROOT, check=True)
    return (where, f"--token={token}", f"--root-cert={certs / 'trust-bundle.pem'}")
