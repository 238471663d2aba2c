"""
The final edition of the original project, rule for rule: for comparison, and for nodes that come from it.

    CPU node   meshed pod ─ C6 0x100 ─ rule 101 ─► table 101 ══► DPU     all TCP it sends, answers too
               DPU ══► UPLINK ─ C3 0x200 ─ rule 100 ─► main ──► pod      to a meshed pod
    DPU node   as ``beside_ztunnel`` has it
    single     as ``beside_ztunnel`` has it

They carry fewer packets than the corrected programs: docs/datapath.md tells which, and why.
"""

from collections.abc import Iterable
from dataclasses import replace

from xds_server.datapath.inputs import NodeInputs, Role
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program, Route, Sysctl, Table
from xds_server.datapath.programs.beside_ztunnel import beside_ztunnel
from xds_server.datapath.programs.edition import Edition, original
from xds_server.datapath.programs.skeleton import (
    RETURN,
    TCP,
    Rule,
    chains,
    check_single,
    connection_has,
    from_meshed,
    has,
    jumps,
    mangle_chains,
    nat_chains,
    paired,
    pods_set,
    put,
    settings,
    to_meshed,
    to_proxy,
)
from xds_server.datapath.programs.without_ztunnel import without_ztunnel


def ambient_node_original(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the original of a single node, program (a).

    Raises:
        InputError: the node's role is another.

    """
    check_single("ambient_node_original", inputs)
    return original_beside_ztunnel("ambient_node_original", inputs, names, original(inputs, names))


def dpu_node_original(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the original of a DPU node, program (e).

    Raises:
        InputError: the node's role is another.

    """
    paired("dpu_node_original", inputs, Role.DPU)
    return original_beside_ztunnel("dpu_node_original", inputs, names, original(inputs, names))


def cpu_node_original(inputs: NodeInputs, names: Names) -> Program:
    """
    Return the original of a CPU node, program (c).

    Raises:
        InputError: the node's role is another.

    """
    dpu = paired("cpu_node_original", inputs, Role.CPU)
    sysctls = original_cpu_sysctls(inputs, (inputs.uplink,))
    if inputs.ztunnel is None:
        return without_ztunnel("cpu_node_original", inputs, names, sysctls)
    edition = original(inputs, names)
    outbound, _ = to_proxy(names)
    program = Program(
        name="cpu_node_original",
        sysctls=sysctls,
        sets=(pods_set(inputs, names),),
        chains=(
            *nat_chains(inputs, names),
            *mangle_chains(
                names, _cpu_prerouting(inputs, names, edition), edition.from_node, names.skip_connection
            ),
        ),
        rules=(edition.around, outbound),
        routes=(Route(table=names.outbound_table, via=dpu, device=inputs.uplink),),
    )
    return with_all_chains(program, names)


def _cpu_prerouting(inputs: NodeInputs, names: Names, edition: Edition) -> tuple[Rule, ...]:
    return (
        # C1, C2: later packets and answers of a connection that goes around.
        (*connection_has(names.skip_connection), *put(names.skip)),
        (*has(names.skip), *RETURN),
        # C3: what the DPU has dealt with. Not for the connection: the pod's answer must go to the DPU again.
        ("-i", inputs.uplink, *to_meshed(names), *put(names.skip)),
        # C4, C5: DNS and other UDP.
        (*edition.not_for_proxy, *put(names.skip_connection)),
        (*has(names.skip), *RETURN),
        # C6: whatever a meshed pod sends.
        (*TCP, *from_meshed(names), *edition.opened_by_pod, *put(names.outbound)),
    )


def original_beside_ztunnel(name: str, inputs: NodeInputs, names: Names, edition: Edition) -> Program:
    if inputs.ztunnel is None:
        sysctls = settings("rp_filter", 0, ("default", "all", *inputs.pod_devices))
        return without_ztunnel(name, inputs, names, sysctls)
    return with_all_chains(beside_ztunnel(name, inputs.ztunnel, inputs, names, edition), names)


def original_cpu_sysctls(inputs: NodeInputs, devices: Iterable[str]) -> tuple[Sysctl, ...]:
    """Sysctls of a CPU node whose packets to and from the DPU go by these devices."""
    by = tuple(devices)
    return (
        *settings("rp_filter", 0, ("default", "all", *by, *inputs.pod_devices)),
        *settings("accept_local", 1, by),
    )


def with_all_chains(program: Program, names: Names) -> Program:
    """Add the chain that is there for the sake of symmetry, and the jumps."""
    every = (*program.chains, *chains(names, Table.MANGLE, {"POSTROUTING": ()}))
    return replace(program, chains=every, jumps=jumps(names, every))
