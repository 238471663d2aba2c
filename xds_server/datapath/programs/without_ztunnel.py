"""
While no ztunnel runs for a node: its meshed pods go on in plain, or their TCP is blocked.

    plain   nothing is redirected: pods reach each other as if they were not meshed

    block   pod ──► filter FORWARD ──✕      X1: TCP that a meshed pod sends
            any ──► filter FORWARD ──✕      X2: TCP that is sent to a meshed pod

Blocked is what the proxy would carry. UDP and ICMP go on, and so do the probes of the node itself,
which are not forwarded. A packet is dropped and not refused: who opens a connection while ztunnel is
replaced tries again, and gets through when the new one runs.
"""

from xds_server.datapath.inputs import NodeInputs, WithoutZtunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import IpSet, Program, Sysctl, Table
from xds_server.datapath.programs.skeleton import (
    DROP,
    TCP,
    Rule,
    chains,
    connection_has,
    from_meshed,
    jumps,
    pods_set,
    to_meshed,
)


def without_ztunnel(
    name: str, inputs: NodeInputs, names: Names, sysctls: tuple[Sysctl, ...], transit: tuple[Rule, ...] = ()
) -> Program:
    """Return what is left of a program: its sysctls, and ``transit``, which the node needs all the same."""
    forward, sets = transit, tuple[IpSet, ...]()
    if inputs.when_ztunnel_is_gone is WithoutZtunnel.BLOCK:
        # In front: transit is accepted there and then.
        forward = (*_blocked(names), *transit)
        sets = (pods_set(inputs, names),)
    every = chains(names, Table.FILTER, {"FORWARD": forward}) if forward else ()
    return Program(name=name, sysctls=sysctls, sets=sets, chains=every, jumps=jumps(names, every))


def _blocked(names: Names) -> tuple[Rule, ...]:
    # Connections from before their pod was meshed go around the proxy to their end, and so they do here.
    by_proxy = ("-m", "connmark", "!", *connection_has(names.skip_connection)[2:])
    return (
        (*TCP, *by_proxy, *from_meshed(names), *DROP),  # X1
        (*TCP, *by_proxy, *to_meshed(names), *DROP),  # X2
    )
