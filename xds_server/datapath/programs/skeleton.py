"""
What the programs have in common: the words of their rules, and the rules that all of them have.

Words are in the order and spelling of ``iptables-save``, so that a chain that is read back equals
the one that was written: addresses, devices, the protocol, then matches and the target.

    a packet comes in                                  a process of the node sends
          │                                                      │
    mangle PREROUTING   the decision: a mark              mangle OUTPUT   O1: goes around
          │                                                      │
    nat PREROUTING      N1, N3                              ip rules
          │                                                      │
    ip rules            the mark picks a table                   │
          ├─► mangle INPUT     I1, I2                            │
          └─► mangle FORWARD   F1, F2: the connection remembers  │
                    │                                            │
              nat POSTROUTING   N2  ◄────────────────────────────┘
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network

from xds_server.datapath.inputs import NodeInputs, Role
from xds_server.datapath.names import Names
from xds_server.datapath.program import Chain, IpSet, Jump, Mark, PolicyRule, Route, Sysctl, Table
from xds_server.exceptions import InputError

Rule = tuple[str, ...]

ACCEPT: Rule = ("-j", "ACCEPT")
DROP: Rule = ("-j", "DROP")
RETURN: Rule = ("-j", "RETURN")
TCP: Rule = ("-p", "tcp")
UDP: Rule = ("-p", "udp")
OPENING: Rule = ("-m", "conntrack", "--ctdir", "ORIGINAL")
"""From the side that opened the connection."""


def has(mark: Mark) -> Rule:
    return ("-m", "mark", "--mark", str(mark))


def connection_has(mark: Mark) -> Rule:
    return ("-m", "connmark", "--mark", str(mark))


def put(mark: Mark) -> Rule:
    return ("-j", "MARK", "--set-xmark", str(mark))


def from_meshed(names: Names) -> Rule:
    return ("-m", "set", "--match-set", names.pods_set, "src")


def to_meshed(names: Names) -> Rule:
    return ("-m", "set", "--match-set", names.pods_set, "dst")


def check_single(program: str, inputs: NodeInputs) -> None:
    """
    Refuse inputs of a node that has a pair.

    Raises:
        InputError: its role is another.

    """
    if inputs.role is not Role.SINGLE:
        raise InputError(f"program {program}: role is {inputs.role}: expected single")


def paired(program: str, inputs: NodeInputs, role: Role) -> IPv4Address:
    """
    Return the other node of the pair.

    Raises:
        InputError: the node's role is another.

    """
    if inputs.role is not role or inputs.peer is None:
        raise InputError(f"program {program}: role is {inputs.role}: expected {role}")
    return inputs.peer


def chains(names: Names, table: Table, rules: dict[str, tuple[Rule, ...]]) -> tuple[Chain, ...]:
    """Chains of ours by the built-in chain that leads to each."""
    return tuple(Chain(table, names.chain_prefix + builtin, each) for builtin, each in rules.items())


def jumps(names: Names, of: Iterable[Chain]) -> tuple[Jump, ...]:
    return tuple(Jump(chain.table, chain.name.removeprefix(names.chain_prefix), chain.name) for chain in of)


def mangle_chains(names: Names, prerouting: tuple[Rule, ...], output: Rule, *kept: Mark) -> tuple[Chain, ...]:
    """
    The decision about a packet, and the marks that its connection keeps.

    F1 and I1 copy ``skip_connection``, F2 and I2 ``from_proxy``: what is skipped is so in both
    directions, and what the proxy sent is answered to the proxy. That is done after routing, when
    services are translated, so that the mark lands on the connection as it is then.
    """
    keep = tuple((*has(mark), *_save(mark)) for mark in kept)
    rules = {"PREROUTING": prerouting, "INPUT": keep, "FORWARD": keep, "OUTPUT": (output,)}
    return chains(names, Table.MANGLE, rules)


def nat_chains(inputs: NodeInputs, names: Names) -> tuple[Chain, ...]:
    """N1 to N3."""
    to_proxy: tuple[Rule, ...] = (
        # N1: no service is resolved on the way to the proxy, which wants to see the virtual address.
        (*has(names.outbound), *ACCEPT),
    )
    if inputs.capture_dns and inputs.ztunnel:
        answering = ("-j", "DNAT", "--to-destination", f"{inputs.ztunnel.address}:{names.dns_port}")
        # N3: DNS over UDP of meshed pods is answered by the proxy; the answer comes back as from the server.
        to_proxy += ((*UDP, *from_meshed(names), "-m", "udp", "--dport", "53", *answering),)
    # N2: nothing is masqueraded on the way to the proxy, which goes by the pod's address.
    from_pod = ((*has(names.outbound), *ACCEPT),)
    return chains(names, Table.NAT, {"PREROUTING": to_proxy, "POSTROUTING": from_pod})


def pods_set(inputs: NodeInputs, names: Names) -> IpSet:
    members = frozenset((address, pod.uid) for address, pod in inputs.pods_v4)
    return IpSet(names.pods_set, members)


@lru_cache(maxsize=4096)
def pod_route(address: IPv4Address, table: int, via: IPv4Address, device: str, src: IPv4Address) -> Route:
    """Return a route to a pod; of hundreds, all but one are as they were when a pod comes or goes."""
    return Route(table=table, destination=IPv4Network(address), via=via, device=device, src=src)


def to_proxy(names: Names) -> tuple[PolicyRule, ...]:
    return (
        # 101: new connections of meshed pods.
        PolicyRule(priority=names.outbound_priority, fwmark=names.outbound, table=names.outbound_table),
        # 102: answers to what the proxy sent, and later packets of what it answered.
        PolicyRule(priority=names.proxy_priority, fwmark=names.to_proxy, table=names.proxy_table),
    )


def settings(key: str, value: int, devices: Iterable[str]) -> tuple[Sysctl, ...]:
    """One sysctl of IPv4 for each device, once."""
    return tuple(Sysctl(f"net/ipv4/conf/{device}/{key}", str(value)) for device in dict.fromkeys(devices))


def _save(mark: Mark) -> Rule:
    bits = f"{mark.mask:#x}"
    return ("-j", "CONNMARK", "--save-mark", "--nfmask", bits, "--ctmask", bits)
