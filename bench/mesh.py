"""
Write a made-up mesh: always the same for the same numbers.

    python bench/mesh.py --pods 5000 --services 500 --nodes 100 --out /tmp/mesh --pod-files

``OUT/mesh/all.json`` is one List of everything, ``OUT/cluster-conf.yaml`` the placement map. With
``--pod-files`` the first pods are files of their own instead, ``OUT/mesh/changing/pod-N.json``:
rewriting one of them is what "one pod changes" means in the benchmark.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script, not installed

from bench.governing import govern, governed_namespace
from bench.layout import Size, node_address, node_name
from bench.objects import Json, endpoint_slice, namespace, node, service
from bench.pods import pod

CHANGING_PODS = 100


def write_mesh(out: Path, size: Size, changing: int = 0, *, governed: bool = False) -> None:
    """
    Write the manifests and the placement map; the first ``changing`` pods get a file each.

    In a ``governed`` mesh every service has a waypoint, and there are policies.
    """
    manifests = out / "mesh"
    manifests.mkdir(parents=True, exist_ok=True)
    with (manifests / "all.json").open("w") as file:
        file.write('{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":""},"items":[\n')
        for number, item in enumerate(objects(size, changing, governed=governed)):
            file.write((",\n" if number else "") + to_text(item))
        file.write("\n]}\n")
    (out / "cluster-conf.yaml").write_text(placement_map(size))
    if changing:
        (manifests / "changing").mkdir(exist_ok=True)
    for number in range(changing):
        changing_file(out, number).write_text(to_text(pod(size, number)))
    if governed:
        govern(out, size)


def changing_file(out: Path, number: int) -> Path:
    return out / "mesh" / "changing" / f"pod-{number}.json"


def to_text(item: Json) -> str:
    return json.dumps(item, separators=(",", ":"))


def objects(size: Size, first_pod: int = 0, *, governed: bool = False) -> Iterator[Json]:
    """Yield every object in the order in which ``kubectl get namespaces,nodes,...`` lists kinds."""
    home = governed_namespace if governed else namespace
    yield from (home(number) for number in range(size.namespaces))
    yield from (node(size, number) for number in range(size.nodes))
    yield from (service(number) for number in range(size.services))
    yield from (endpoint_slice(size, number) for number in range(size.services))
    yield from (pod(size, number) for number in range(first_pod, size.pods))


def placement_map(size: Size) -> str:
    """Return the ``cluster-conf.yaml`` of the nodes."""
    lines = ["pairs:" if size.paired_nodes else "pairs: []"]
    for cpu in range(0, size.paired_nodes, 2):
        lines.append(f"  - cpuNodeIP: {node_address(cpu)}")
        lines.append(f"    dpuNodeIP: {node_address(cpu + 1)}")
        lines.append(f"    cpuNodeName: {node_name(cpu)}")
        lines.append(f"    dpuNodeName: {node_name(cpu + 1)}")
    lines.append("singles:")
    for number in range(size.paired_nodes, size.nodes):
        lines.append(f"  - nodeIP: {node_address(number)}")
        lines.append(f"    nodeName: {node_name(number)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a made-up mesh as Kubernetes manifests.")
    for name, default in (("pods", 5000), ("services", 500), ("nodes", 100)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"default: {default}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--pod-files", action="store_true", help=f"give each of the first {CHANGING_PODS} pods its own file"
    )
    parser.add_argument(
        "--governed", action="store_true", help="give every service a waypoint, and the mesh policies"
    )
    given = parser.parse_args()
    size = Size(given.pods, given.services, given.nodes)
    if min(size) < 1:
        parser.error(f"expected at least 1 of each: {size}")
    changing = min(CHANGING_PODS, size.pods) if given.pod_files else 0
    write_mesh(given.out, size, changing, governed=given.governed)


if __name__ == "__main__":
    main()
