"""
Flows of the lab, and what becomes of each: who answers, whom it sees, which proxies and rules it passes.

``to`` is a pod, a node or an address, with a port where it is not that of the echo server. What is written
``v1|v2`` differs with the kind of ztunnel. Nodes that are not named by ``legs`` have no hits at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PAIR = {"cpu1": "opens", "dpu1": "out", "dpu2": "in", "cpu2": "by the dpu"}
TO_HBONE = {"cpu1": "opens", "dpu1": "out"}
HBONE = "zt1 hbone, zt2 inbound"
PLAIN_IN = {"dpu1": "in", "cpu1": "by the dpu"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    says: str
    client: str
    source: str = ""
    """Which of its addresses the client takes, if it has several."""
    protocol: str = "tcp"
    to: str
    server: str
    sees: str = ""
    """A pod, a node, the gateway of a node's pods (``cpu1/pods``), or nobody told."""
    proxies: str = ""
    legs: Mapping[str, str] = field(default_factory=dict)
    fails: str = ""
    """With which other editions nobody answers, or another: ``original``, ``tunnelled v1``."""

    def __str__(self) -> str:
        return self.says


OUTBOUND = (
    Case(
        says="a meshed pod reaches one of another pair",
        client="p1a",
        to="p2a",
        server="p2a",
        sees="zt1|p1a",
        proxies=HBONE,
        legs=PAIR,
        fails="tunnelled v1",
    ),
    Case(
        says="a meshed pod reaches one of another pair, the other way",
        client="p2a",
        to="p1a",
        server="p1a",
        sees="zt2|p2a",
        proxies="zt1 inbound, zt2 hbone",
        legs={"cpu2": "opens", "dpu2": "out", "dpu1": "in", "cpu1": "by the dpu"},
        fails="tunnelled v1",
    ),
    Case(
        says="a meshed pod reaches a service of another pair",
        client="p1a",
        to="10.96.0.80:80",
        server="p2a",
        sees="zt1|p1a",
        proxies=HBONE,
        legs=PAIR,
        fails="tunnelled v1",
    ),
    Case(
        says="a meshed pod reaches one of its node",
        client="p1a",
        to="p1b",
        server="p1b",
        sees="zt1|p1a",
        proxies="zt1 hbone, zt1 inbound|zt1 local",
        legs={"cpu1": "opens", "dpu1": "out local"},
    ),
    Case(
        says="a meshed pod reaches a service of its node",
        client="p1a",
        to="10.96.0.81:80",
        server="p1b",
        sees="zt1|p1a",
        proxies="zt1 hbone, zt1 inbound|zt1 local",
        legs={"cpu1": "opens", "dpu1": "out local"},
    ),
    Case(
        says="a meshed pod reaches itself by its service",
        client="p1b",
        to="10.96.0.81:80",
        server="p1b",
        sees="zt1",
        proxies="zt1 hbone, zt1 inbound|zt1 local",
        legs={"cpu1": "opens", "dpu1": "out to itself"},
    ),
    Case(
        says="a meshed pod reaches one that is not, on another node",
        client="p1a",
        to="p2n",
        server="p2n",
        sees="p1a",
        proxies="zt1 passthrough",
        legs={"cpu1": "opens", "dpu1": "out plain", "dpu2": "carries", "cpu2": "by the dpu"},
    ),
    Case(
        says="a meshed pod reaches one that is not, on its node",
        client="p1a",
        to="p1n",
        server="p1n",
        sees="p1a",
        proxies="zt1 passthrough",
        legs={"cpu1": "opens", "dpu1": "out plain"},
        fails="original, tunnelled",
    ),
    Case(
        says="a meshed pod reaches the world by its DPU",
        client="p1a",
        to="203.0.113.10",
        server="ext",
        sees="dpu1",
        proxies="zt1 passthrough",
        legs={"cpu1": "opens", "dpu1": "out plain + masquerades"},
    ),
    Case(
        says="a meshed pod of the other pair reaches the world by its own DPU",
        client="p2a",
        to="203.0.113.10",
        server="ext",
        sees="dpu2",
        proxies="zt2 passthrough",
        legs={"cpu2": "opens", "dpu2": "out plain + masquerades"},
    ),
    Case(
        says="DNS over TCP is as all TCP",
        client="p1a",
        to="10.96.0.10:53",
        server="p2n",
        sees="p1a",
        proxies="zt1 passthrough",
        legs={"cpu1": "opens", "dpu1": "out plain", "dpu2": "carries", "cpu2": "by the dpu"},
    ),
)

INBOUND = (
    Case(
        says="a pod that is not meshed reaches a meshed one of another node",
        client="p2n",
        to="p1a",
        server="p1a",
        sees="p2n",
        proxies="zt1 plaintext",
        legs={**PLAIN_IN, "cpu2": "by the dpu", "dpu2": "carries"},
        fails="tunnelled v1",
    ),
    Case(
        says="a pod that is not meshed reaches a meshed one of its node",
        client="p1n",
        to="p1a",
        server="p1a",
        sees="p1n",
        proxies="zt1 plaintext",
        legs=PLAIN_IN,
        fails="original, tunnelled",
    ),
    Case(
        says="a pod that is not meshed reaches a service of a meshed one of another node",
        client="p1n",
        to="10.96.0.80:80",
        server="p2a",
        sees="p1n",
        proxies="zt2 plaintext",
        legs={"cpu1": "by the dpu + service", "dpu1": "carries", "dpu2": "in", "cpu2": "by the dpu"},
        fails="tunnelled v1",
    ),
    Case(
        says="a pod that is not meshed reaches a service of a meshed one of its node",
        client="p1n",
        to="10.96.0.81:80",
        server="p1b",
        sees="p1n",
        proxies="zt1 plaintext",
        legs={"cpu1": "by the dpu + service", "dpu1": "in"},
        fails="original, tunnelled",
    ),
    Case(
        says="a pod that is not meshed reaches another such on another node",
        client="p1n",
        to="p2n",
        server="p2n",
        sees="p1n",
        legs={"cpu1": "by the dpu", "dpu1": "carries", "dpu2": "carries", "cpu2": "by the dpu"},
    ),
    Case(
        says="a pod that is not meshed reaches another such on its node",
        client="p1n",
        to="p1m",
        server="p1m",
        sees="p1n",
    ),
    Case(
        says="a pod that is not meshed reaches the world by its own node",
        client="p1n",
        to="203.0.113.10",
        server="ext",
        sees="cpu1",
        legs={"cpu1": "masquerades"},
    ),
)
