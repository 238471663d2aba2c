"""
A pod's request on its way through two DPUs: run as root by `make demo-datapath`.

Builds a small cluster of network namespaces (two pairs, a node without a DPU, an outside host), starts a
real server and a real agent for each node, sends requests and shows the packets' way. A stub stands for
ztunnel: it takes connections transparently as ztunnel does, and speaks plain text where ztunnel speaks
mutual TLS. All is taken away at the end.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.helpers.lab.capture import Capture, capture, told  # noqa: E402
from tests.helpers.lab.lab import Lab, Options, Way, lab  # noqa: E402
from tests.helpers.lab.run_mesh import RunningMesh, running_mesh, wait_until  # noqa: E402
from tests.helpers.lab.topology import TOPOLOGY  # noqa: E402
from tests.helpers.lab.traffic import Server, ask_tcp  # noqa: E402
from tests.helpers.lab.wanted import Wanted  # noqa: E402

NODES = tuple(node.name for node in TOPOLOGY.nodes)
WANTED = Wanted(pod_routes=True)
TOOLS = ("ip", "iptables-nft-restore", "ipset")
PICTURE = """\
   cpu1 ══════ dpu1 ═══════ LAN 192.168.50.0/24 ═══════ dpu2 ══════ cpu2          one   a node without a DPU
   p1a 10.244.0.2   zt1 10.244.1.2            zt2 10.244.2.2   p2a 10.244.3.2     ext   an outside host
   p1n 10.244.0.9   (ztunnel)                    (ztunnel)     p2n 10.244.3.9
   p1a and p2a are meshed, p1n and p2n are not
"""


def main() -> None:
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or lacking:
        why = f"the tools {', '.join(lacking)}" if lacking else "root"
        sys.exit(f"the demo takes {why}: it makes network namespaces and programs kernels with them")
    print(PICTURE)
    with cluster() as mesh:
        print("every agent has acknowledged what it was told: its kernel holds it\n")
        show(mesh, "p1a asks p2a, both meshed", "p1a", "p2a")
        show(mesh, "p1n asks p2n, neither meshed: no ztunnel sees it", "p1n", "p2n")
        relabel(mesh)
        show(mesh, "p1n asks p2n, once p1n is labelled as meshed", "p1n", "p2n")
        print("# what a node's kernel holds: ip rule on cpu1")
        print(mesh.lab.inside["cpu1"].run("ip", "rule"))
    print("all namespaces are taken away")


@contextmanager
def cluster() -> Iterator[RunningMesh]:
    with (
        tempfile.TemporaryDirectory() as folder,
        lab(f"offmesh-demo-{os.getpid()}-", Options(pod_routes=False)) as built,
        running_mesh(built, Path(folder), WANTED) as mesh,
    ):
        print(f"server: offmesh serve --manifests ..., gRPC {mesh.server.grpc}, HTTP {mesh.server.http}")
        mesh.agents.start(NODES)
        mesh.wait_for_agents()
        for node in NODES:
            print(f"agent:  offmesh agent --node {node:5} {mesh.client(node)['NodeProgram']['state']}")
        yield mesh


def show(mesh: RunningMesh, what: str, client: str, server: str) -> None:
    """Ask, and print who was seen by whom, through which devices, by which rules."""
    print(f"# {what}")
    address = str(mesh.lab.topology.pod(server).address)
    with capture({name: mesh.lab.inside[name] for name in (*NODES, *mesh.lab.proxies)}) as seen:
        way = asked(mesh.lab, client, address)
        print(f"answer: {way.answer}")
        for line in packets(seen):
            print(f"  {line}")
    print("rules (docs/datapath.md explains each):")
    for node, hits in way.hits.items():
        if hits:
            print(f"  {node:5} {' '.join(sorted(hits))}")
    print()


def asked(made: Lab, client: str, address: str) -> Way:
    return made.watch(lambda: ask_tcp(made.inside[client], Server(address, 8080)), NODES)


def packets(seen: Capture) -> Iterator[str]:
    """Yield the way of the first packet of each connection, and of its answer."""
    shown: set[tuple[str, str, bool, str]] = set()
    for hop in seen.hops():
        text = told(hop.packet)
        kind = (hop.host, hop.device, hop.is_out, text)
        if is_opening(text) and kind not in shown:
            shown.add(kind)
            yield str(hop)


def is_opening(text: str) -> bool:
    return text.rstrip("]").endswith((" SYN", " SYN ACK"))


def relabel(mesh: RunningMesh) -> None:
    pod = mesh.lab.topology.pod("p1n")
    print(f"# the label istio.io/dataplane-mode=ambient is put on {pod.name}\n")
    mesh.manifests.mesh(pod, meshed=True)
    for node in ("dpu1", "cpu1"):
        inside = mesh.lab.inside[node]
        wait_until(lambda inside=inside: str(pod.address) in inside.run("ipset", "save"), node)  # type: ignore[misc]
    mesh.wait_for_agents()


if __name__ == "__main__":
    main()
