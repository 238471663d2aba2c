"""
What packets of one flow hit on one node, by what that node does for the flow.

Names of hits are those of ``tests.helpers.lab.counters``; each is there because a packet met it, and what is
not there no packet may meet. Written ``v1|v2`` where the two kinds of ztunnel differ.
"""

from collections.abc import Mapping

LEGS: Mapping[str, str] = {
    # A CPU node.
    "opens": "C10 N1 N2 C3 F2 C5",  # its pod opens a connection through the proxy
    "by the dpu": "C3 F2 C5",  # to or from a pod of its, by way of the DPU
    "around": "C8 F1 C1",  # not TCP: past the proxy
    "direct": "C7 F1 C1",  # from outside to the node itself, and on to a pod
    "to the node": "C7 I1 C1 O1",  # from outside to a process of the node
    "pod to the node": "C10 N1 O1",  # from its pod to a process of the node
    "datagram of the node": "C8 I1 C1 O1",
    "ping of the node": "C8 I1 O1",
    # Any node.
    "host": "O1",  # a process of the node sends, and is answered
    "carries": "T1",  # a DPU node that has nothing to do with it
    "masquerades": "masq",
    "service": "vip",
    "captures": "N3",  # DNS
    # Beside a ztunnel.
    "out": "E15 N1 N2 istioout E3 E12 F1 E6|E15 N1 N2 istioout E10 F2 E8",  # to HBONE
    "out local": "E15 N1 N2 istioout E3 E12 F1 E6|E15 N1 N2 istioout E10 F2 E8",  # to a pod of the same node
    "out to itself": "E15 N1 N2 istioout E3 E12 F1 E6|E15 N1 N2 istioout E10 F2 E8 E12 F1 E6",
    "out plain": "E15 N1 N2 istioout E3 E10 F2 E8|E15 N1 N2 istioout E10 F2 E8",  # to one who is not meshed
    "in": "istioin E1 E10 F2 E8|istioin E10 F2 E8",
    "of ztunnel": "E12 F1 E6",  # in its own name
    "around ztunnel": "E13 F1 E6",  # not TCP
    "pod to host": "E15 N1 O1",  # from a meshed pod to a process of this node
    "ping of the host": "E13 I1 O1",
}


def hits_of(legs: str, flavour: str) -> frozenset[str]:
    """Return what all of these legs hit; they are parted by ``+``."""
    told = (LEGS[leg.strip()].split("|") for leg in legs.split("+"))
    return frozenset(hit for each in told for hit in each[0 if flavour == "v1" else -1].split())
