"""Placement maps for tests: any valid one, and the plain data a file states it with."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import strategies as st

from xds_server.objects.cluster_conf import Pair, PlacementMap, Single

ips = st.one_of(
    st.integers(0x01000000, 0xDFFFFFFF).map(IPv4Address),
    st.integers(1 << 125, (1 << 126) - 1).map(IPv6Address),
)
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True)


@st.composite
def maps(draw: st.DrawFn) -> PlacementMap:
    """Any valid map: nodes are drawn once, and each is given one role; a DPU node may serve several."""
    nodes = draw(
        st.lists(st.tuples(ips, names), max_size=12, unique_by=(lambda node: node[0], lambda node: node[1]))
    )
    told = [(str(ip), name if draw(st.booleans()) else None) for ip, name in nodes]
    dpus = told[: draw(st.integers(0, len(told)))]
    others = told[len(dpus) :]
    singles = others if not dpus else others[: draw(st.integers(0, len(others)))]
    cpus = others[len(singles) :]
    pairs = []
    for ip, name in cpus:
        dpu_ip, dpu_name = draw(st.sampled_from(dpus))
        pairs.append(Pair(ip, dpu_ip, name, dpu_name if draw(st.booleans()) else None))
    return PlacementMap(tuple(pairs), tuple(Single(ip, name) for ip, name in singles))


def as_plain_data(placement: PlacementMap) -> dict[str, list[Any]]:
    keys = {"cpu_node_ip": "cpuNodeIP", "dpu_node_ip": "dpuNodeIP", "node_ip": "nodeIP"}
    keys |= {"cpu_node_name": "cpuNodeName", "dpu_node_name": "dpuNodeName", "node_name": "nodeName"}

    def entry(row: Pair | Single) -> dict[str, str]:
        fields = {keys[name]: getattr(row, name) for name in keys if hasattr(row, name)}
        return {key: value for key, value in fields.items() if value is not None}

    return {"pairs": [*map(entry, placement.pairs)], "singles": [*map(entry, placement.singles)]}
