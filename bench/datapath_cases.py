"""The rows of the node agent, on the real kernel: what is measured and what it must not exceed."""

import os
import shutil
from collections.abc import Callable
from functools import partial

from bench import datapath_changing, datapath_costs, datapath_floor
from bench.cases import Case, Figure
from bench.meshes import Meshes
from xds_server.datapath.kernel import Backend

_TOOLS = ("ip", "ipset", "conntrack", "sysctl")
_NODE = f"{datapath_changing.PODS} meshed pods"


def what_is_missing() -> list[str]:
    """Return what the rows take and what is not there."""
    tools = (*_TOOLS, *(backend.tool(verb) for backend in Backend for verb in ("save", "restore")))
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return [*missing, *(["root"] if os.geteuid() != 0 else [])]


def datapath_cases() -> tuple[Case, ...]:
    """Return the rows, those of each backend of iptables together."""
    return (*(case for backend in Backend for case in _cases_of(backend)), _memory())


def _alone(measure: Callable[[], tuple[float, ...]]) -> Callable[[Meshes], tuple[float, ...]]:
    """Adapt what has its own small mesh."""
    return lambda _meshes: measure()


def _cases_of(backend: Backend) -> tuple[Case, ...]:
    return (
        _case(
            f"datapath-first-{backend}",
            f"{_NODE}, {backend}: agent told → kernel held, all of it: CPU / DPU node",
            (Figure("CPU", "ms", 500), Figure("DPU", "ms", 500)),
            partial(datapath_changing.first_apply, backend),
        ),
        _case(
            f"datapath-floor-{backend}",
            f"the same by the tools alone, CPU node, {backend}: ipset / ip / sysctl / iptables / together",
            tuple(Figure(tool, "ms") for tool in ("ipset", "ip", "sysctl", "iptables", "together")),
            partial(datapath_floor.first_load, backend),
        ),
        _case(
            f"datapath-pod-{backend}",
            f"{_NODE}, {backend}: agent told → kernel changed for one pod: CPU node added / removed / "
            "DPU node added / removed / label written → both nodes changed",
            (
                *(Figure(what, "ms", 20) for what in ("CPU +", "CPU -", "DPU +", "DPU -")),
                Figure("whole", "ms"),
            ),
            partial(datapath_changing.one_pod, backend),
        ),
        _case(
            f"datapath-floor-pod-{backend}",
            f"the same by the tools alone, {backend}: ipset / ip / conntrack -L",
            tuple(Figure(tool, "ms") for tool in ("ipset", "ip", "conntrack")),
            partial(datapath_floor.one_pod, backend),
        ),
        _case(
            f"datapath-looks-{backend}",
            f"a look by the tools alone, CPU node, {backend}: iptables-save / ipset save / routes / links",
            tuple(Figure(tool, "ms") for tool in ("iptables-save", "ipset save", "routes", "links")),
            partial(datapath_floor.looks, backend),
        ),
        _case(
            f"datapath-idle-{backend}",
            f"{_NODE}, {backend}: the first idle minute, of a core: CPU / DPU node",
            (Figure("CPU", "%", 1), Figure("DPU", "%", 1)),
            partial(datapath_costs.idle, backend),
        ),
    )


def _memory() -> Case:
    return _case(
        "datapath-memory",
        f"{_NODE}: agent's resident memory, and what is anonymous of it: plaintext / TLS",
        (
            Figure("resident", "MB", 60),
            Figure("anonymous", "MB"),
            Figure("resident by TLS", "MB", 60),
            Figure("anonymous by TLS", "MB"),
        ),
        partial(datapath_costs.memory, Backend.NFT),
    )


def _case(
    name: str, title: str, figures: tuple[Figure, ...], measure: Callable[[], tuple[float, ...]]
) -> Case:
    return Case(name, title, figures, "-", _alone(measure))
