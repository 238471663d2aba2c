"""
What a node's iptables hold before there is a mesh: services and masquerading, as of kube-proxy and kindnet.

They stand for all that is not ours: what programs a node must work beside them, and leave them alone.
"""

from collections.abc import Iterator

from tests.helpers.lab.counters import counting_rules
from tests.helpers.lab.topology import POD_CIDR, TUNNEL_PORT, Service, Topology


def tables(topology: Topology) -> str:
    """Return what ``iptables-restore`` reads."""
    return "\n".join((*_nat(topology), *_filter(), *_mangle(), ""))


def _nat(topology: Topology) -> Iterator[str]:
    yield "*nat"
    for chain in ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KIND-MASQ-AGENT"):
        yield f":{chain} - [0:0]"
    yield "-A PREROUTING -j KUBE-SERVICES"
    yield "-A OUTPUT -j KUBE-SERVICES"
    yield "-A POSTROUTING -j KUBE-POSTROUTING"
    yield "-A POSTROUTING -m addrtype ! --dst-type LOCAL -j KIND-MASQ-AGENT"
    for service in topology.services:
        yield from _service(topology, service)
    yield "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
    yield "-A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE"
    yield f"-A KIND-MASQ-AGENT -d {POD_CIDR} -j RETURN"
    yield "-A KIND-MASQ-AGENT -j MASQUERADE"
    yield "COMMIT"


def _service(topology: Topology, service: Service) -> Iterator[str]:
    target = f"{topology.pod(service.backend).address}:{service.target}"
    for protocol in service.protocols:
        asked = f"-p {protocol} -m {protocol} --dport {service.port}"
        yield f"-A KUBE-SERVICES -d {service.address} {asked} -j DNAT --to-destination {target}"
    if service.node_port:
        asked = f"-p tcp -m tcp --dport {service.node_port}"
        if not service.keeps_source:
            yield f"-A KUBE-NODEPORTS {asked} -j MARK --set-xmark 0x4000/0x4000"
        yield f"-A KUBE-NODEPORTS {asked} -j DNAT --to-destination {target}"


def _filter() -> Iterator[str]:
    yield "*filter"
    yield ":KUBE-FORWARD - [0:0]"
    yield "-A FORWARD -j KUBE-FORWARD"
    yield "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
    yield "COMMIT"


def _mangle() -> Iterator[str]:
    yield "*mangle"
    yield ":KUBE-KUBELET-CANARY - [0:0]"
    yield from counting_rules(TUNNEL_PORT)
    yield "COMMIT"
