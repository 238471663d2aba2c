"""
Where the corrected programs and the originals decide differently, whatever node they are for.

An ``Edition`` holds those decisions, so that what both have in common is written once.
"""

from dataclasses import dataclass

from xds_server.datapath.inputs import NodeInputs
from xds_server.datapath.names import Names
from xds_server.datapath.program import MAIN, Mark, PolicyRule
from xds_server.datapath.programs.skeleton import OPENING, UDP, Rule, put

_MAIN_PRIORITY = 32_766


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    from_tunnel: Mark
    """What comes out of the tunnels from ztunnel (E1, E3)."""
    not_for_proxy: Rule
    """Which packets of other protocols go around the proxy, with all of their connection (C*8, C4, E13)."""
    opened_by_pod: Rule
    """Which TCP packets of a meshed pod go to the proxy, said beside protocol and source (C*10, C6, E15)."""
    from_node: Rule
    """What the node itself sends, to go around (O1)."""
    around: PolicyRule
    """Where what goes around is routed (rule 100)."""
    to_meshed: PolicyRule
    """What is brought to the proxy because a meshed pod is its destination (rule 103)."""


def corrected(names: Names) -> Edition:
    return Edition(
        from_tunnel=names.skip,
        # UDP and echoes go around. An ICMP error keeps the mark of the TCP connection it tells of.
        not_for_proxy=("!", "-p", "tcp", "-m", "conntrack", "!", "--ctstate", "RELATED"),
        # An answer of a pod to somebody who came past the proxy must not be brought to the proxy.
        opened_by_pod=OPENING,
        # By any address of the node, of which it has more than the pods' gateway; the other bits stay.
        from_node=("-m", "addrtype", "--src-type", "LOCAL", *put(names.skip_connection)),
        # Wherever the rule of ``main`` is.
        around=PolicyRule(priority=names.skip_priority, fwmark=names.skip, table=MAIN),
        # The proxy takes TCP alone; an echo that is sent into the tunnel would be lost.
        to_meshed=PolicyRule(priority=names.inbound_priority, ipproto="tcp", table=names.inbound_table),
    )


def original(inputs: NodeInputs, names: Names) -> Edition:
    everything = Mark(names.skip_connection.value, 0xFFFFFFFF)
    return Edition(
        from_tunnel=names.skip,
        not_for_proxy=UDP,
        opened_by_pod=(),
        from_node=("-s", f"{inputs.host_ip}/32", *put(everything)),
        around=PolicyRule(priority=names.skip_priority, fwmark=names.skip, goto=_MAIN_PRIORITY),
        to_meshed=PolicyRule(priority=names.inbound_priority, table=names.inbound_table),
    )
