"""
Worlds of two clusters, and the rule for them written a second time.

Both clusters draw pods, nodes, accounts and UIDs from the same few names, so nearly everything has a
namesake in the other.
"""

import random
from dataclasses import dataclass, field

from tests.identity.worlds import ACCOUNTS, DOMAIN, NAMESPACES, NODES, PHASES, PairFacts, PodFacts, Real
from xds_server.objects.kubernetes import DpuNode, DpuPod, Node, Pod

FIRST, DPU = "", "dpu"
IPS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
NAMES = tuple(name for name in NODES if name)
UIDS = tuple(f"uid-{number}" for number in range(6))
_POD_KINDS: dict[str, type[Pod]] = {FIRST: Pod, DPU: DpuPod}
_NODE_KINDS: dict[str, type[Node]] = {FIRST: Node, DPU: DpuNode}


@dataclass
class TwoWorlds:
    """Pods by cluster and key, nodes' addresses by cluster and name, pairs by the CPU node's address."""

    trusted: frozenset[str]
    pods: dict[tuple[str, str], PodFacts] = field(default_factory=dict)
    nodes: dict[tuple[str, str], str] = field(default_factory=dict)
    pairs: dict[str, PairFacts] = field(default_factory=dict)


@dataclass
class Claim:
    """What a token of a cluster says, the node its pod was on when it was proved, and what is asked for."""

    cluster: str
    key: str
    uid: str
    account: str
    node: str
    wanted: tuple[str, str]

    @property
    def identity(self) -> str:
        return f"spiffe://{DOMAIN}/ns/{self.wanted[0]}/sa/{self.wanted[1]}"


def may_have(world: TwoWorlds, claim: Claim) -> bool:
    """Tell whether the caller may have what it asks for."""
    pod = world.pods.get((claim.cluster, claim.key))
    if pod is None or not counts(pod) or (pod.uid, pod.node) != (claim.uid, claim.node):
        return False
    if account(pod) != claim.account:
        return False
    wanted = "/".join(claim.wanted)
    trusted = claim.account in world.trusted
    if wanted == claim.account:
        return trusted or claim.cluster == FIRST
    theirs = [p for (cluster, _), p in world.pods.items() if cluster == FIRST and account(p) == wanted]
    if claim.cluster == FIRST:
        nodes = {claim.node}
    else:
        nodes = {cpu for cpu, dpu in in_force(world).items() if dpu == claim.node}
    return trusted and any(counts(p) and p.node in nodes for p in theirs)


def in_force(world: TwoWorlds) -> dict[str, str]:
    """Return the DPU node of each CPU node that has a name, '' where it has none."""
    found: dict[str, str] = {}
    for ip in sorted(world.pairs):
        pair = world.pairs[ip]
        cpu = pair.cpu or name_at(world, FIRST, pair.cpu_ip)
        if cpu and cpu not in found:
            found[cpu] = pair.dpu or name_at(world, DPU, pair.dpu_ip)
    return found


def name_at(world: TwoWorlds, cluster: str, ip: str) -> str:
    named = [name for (where, name), at in world.nodes.items() if (where, at) == (cluster, ip)]
    return min(named, default="")


def counts(pod: PodFacts) -> bool:
    return pod.node != "" and pod.phase not in ("Succeeded", "Failed")


def account(pod: PodFacts) -> str:
    return f"{pod.namespace}/{pod.account or 'default'}"


def change(chance: random.Random, world: TwoWorlds, real: Real) -> None:
    """Change one thing in both."""
    which, cluster = chance.random(), chance.choice((FIRST, DPU))
    if which < 0.3:
        _change_map(chance, world, real)
    elif which < 0.45:
        _change_node(chance, world, real, cluster)
    elif which < 0.55 and world.pods:
        cluster, key = chance.choice(list(world.pods))
        del world.pods[cluster, key]
        real.delete_pod(key, _POD_KINDS[cluster])
    else:
        pod = _new_pod(chance)
        world.pods[cluster, f"{pod.namespace}/{pod.name}"] = pod
        real.set_pod(pod, _POD_KINDS[cluster])


def _change_map(chance: random.Random, world: TwoWorlds, real: Real) -> None:
    cpu_ip, dpu_ip = chance.choice(IPS), chance.choice(IPS)
    if chance.random() < 0.1:
        world.pairs.pop(cpu_ip, None)
        real.delete_pair(cpu_ip)
        return
    cpu, dpu = (chance.choice(NAMES) if chance.random() < 0.75 else "" for _ in range(2))
    world.pairs[cpu_ip] = PairFacts(cpu_ip, cpu, dpu_ip, dpu)
    real.set_pair(world.pairs[cpu_ip])


def _change_node(chance: random.Random, world: TwoWorlds, real: Real, cluster: str) -> None:
    name = chance.choice(NAMES)
    if chance.random() < 0.2:
        world.nodes.pop((cluster, name), None)
        real.delete_node(name, _NODE_KINDS[cluster])
    else:
        world.nodes[cluster, name] = chance.choice(IPS)
        real.set_node(name, world.nodes[cluster, name], _NODE_KINDS[cluster])


def _new_pod(chance: random.Random) -> PodFacts:
    namespace, name = chance.choice(NAMESPACES), chance.choice((*ACCOUNTS, ""))
    if chance.random() < 0.35:
        namespace, name = "istio-system", "ztunnel"
    return PodFacts(
        namespace,
        f"p{chance.randrange(6)}",
        chance.choice(UIDS),
        name,
        chance.choice(NODES),
        chance.choice(PHASES),
        host=False,
        terminating=False,
    )


def new_claim(chance: random.Random, world: TwoWorlds) -> Claim:
    """Return a claim that is mostly true of a pod, though at times of its namesake in the other cluster."""
    held = list(world.pods.items())
    trusted = [item for item in held if account(item[1]) in world.trusted]
    (cluster, key), pod = chance.choice(trusted if trusted and chance.random() < 0.7 else held)
    if chance.random() < 0.15:
        cluster = DPU if cluster == FIRST else FIRST
    by_map = [p for (where, _), p in held if where == FIRST and in_force(world).get(p.node) == pod.node]
    here = [p for (where, _), p in held if where == FIRST and p.node == pod.node]
    pools = [by_map] * 3 + [here, [p for _, p in held]]
    wanted = chance.choice(chance.choice([pool for pool in pools if pool]))
    return Claim(
        cluster,
        key,
        pod.uid if chance.random() < 0.95 else chance.choice(UIDS),
        account(pod) if chance.random() < 0.95 else "istio-system/ztunnel",
        pod.node if chance.random() < 0.95 else chance.choice(NODES),
        (wanted.namespace, wanted.account or "default"),
    )
