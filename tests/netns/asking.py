"""Cases carried out in a lab, and what is expected of them there."""

from ipaddress import IPv4Address

from tests.helpers.lab.lab import Lab, Way
from tests.helpers.lab.topology import ECHO_TCP, ECHO_UDP
from tests.helpers.lab.traffic import PATIENCE, Answer, Server, ask_tcp, ask_udp, ping
from tests.netns.cases import Case
from tests.netns.legs import hits_of

_ASK = {"tcp": ask_tcp, "udp": ask_udp, "ping": ping}


def ask(lab: Lab, case: Case, patience: float = PATIENCE) -> Answer:
    host, _, port = case.to.partition(":")
    usual = ECHO_UDP if case.protocol == "udp" else ECHO_TCP
    server = Server(address_of(lab, host), int(port or usual), case.source, patience)
    return _ASK[case.protocol](lab.inside[case.client], server)


def way_of(lab: Lab, case: Case) -> Way:
    return lab.watch(lambda: ask(lab, case), [node.name for node in lab.topology.nodes])


def expected(lab: Lab, case: Case) -> Way:
    flavour = lab.options.flavour
    seen = _of(case.sees, flavour)
    proxies = filter(None, _of(case.proxies, flavour).split(", "))
    hits = {
        node.name: hits_of(case.legs[node.name], flavour) if node.name in case.legs else frozenset[str]()
        for node in lab.topology.nodes
    }
    return Way(Answer(case.server, address_of(lab, seen) if seen else ""), tuple(sorted(proxies)), hits)


def address_of(lab: Lab, name: str) -> str:
    """Return the address of a pod or node, of the gateway of a node's pods, or what is one already."""
    hosts: dict[str, IPv4Address] = {each.name: each.address for each in lab.topology.pods}
    hosts |= {each.name: each.address for each in lab.topology.nodes}
    hosts |= {f"{each.name}/pods": each.gateway for each in lab.topology.nodes}
    return str(hosts.get(name, name))


def _of(told: str, flavour: str) -> str:
    """Pick the half of ``v1|v2``, if there are two."""
    return told.split("|")[0 if flavour == "v1" else -1]
