"""What agents cost that have nothing to do: processor time and memory."""

import time

from bench.datapath_changing import PODS
from bench.datapath_lab import CPU, DPU
from bench.datapath_pair import running_pair
from xds_server.datapath.kernel import Backend

IDLE_SECONDS = 60.0


def idle(backend: Backend, pods: int = PODS, seconds: float = IDLE_SECONDS) -> tuple[float, ...]:
    """
    Return percent of a core, with the commands that were run: of the CPU node's agent, and of the DPU node's.

    It is the first minute after the first apply, when everything is looked at most often.
    """
    with running_pair(pods, backend) as pair:
        agents = [pair.nodes[name].agent for name in (CPU, DPU)]
        before = [agent.cpu_seconds for agent in agents]
        time.sleep(seconds)
        used = [agent.cpu_seconds - first for agent, first in zip(agents, before, strict=True)]
    return tuple(each / seconds * 100 for each in used)


def memory(backend: Backend, pods: int = PODS) -> tuple[float, ...]:
    """
    Return MB, of the agent that has more: resident and, of it, anonymous by plaintext; then by TLS.

    A pod has come and gone.
    """
    found: list[float] = []
    for secure in (False, True):
        with running_pair(pods, backend, secure=secure) as pair:
            pod = pair.lab.pods[0]
            for meshed in (False, True):
                begun = time.time()
                pair.manifests.mesh(pod, meshed=meshed)
                for node in pair.nodes.values():
                    node.news.changed(pod.address, begun, meshed=meshed)
            found += max(node.agent.memory for node in pair.nodes.values())
    return tuple(found)
