"""Worlds to ask of who may have whose identity: as plain data, and the same in the collections of a mesh."""

import random
from dataclasses import dataclass, field

from xds_server.identity.authorization import Authorizer
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Node, NodeAddress, NodeStatus, ObjectMeta, Pod, PodSpec, PodStatus
from xds_server.settings import MeshSettings

DOMAIN = "cluster.local"
NAMESPACES = ("a", "a-b", "istio-system")
ACCOUNTS = ("b", "b-b", "ztunnel", "default")
IPS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.11")
NODES = ("n", "n1", "n11", "dpu", "dpu1", "cpu", "")
MOSTLY_CPU, MOSTLY_DPU = ("n", "n11", "cpu"), ("dpu", "dpu1")
PHASES = (None, "Pending", "Running", "Running", "Running", "Running", "Unknown", "Succeeded", "Failed")


@dataclass
class PodFacts:
    """A pod as the reference sees it; ``host`` and ``terminating`` are there to make no difference."""

    namespace: str
    name: str
    uid: str
    account: str
    node: str
    phase: str | None
    host: bool
    terminating: bool


@dataclass
class PairFacts:
    """An entry of the map; an empty name is one that only a Node can tell."""

    cpu_ip: str
    cpu: str
    dpu_ip: str
    dpu: str


@dataclass
class World:
    """Pods by key, pairs by the CPU node's address, Nodes' addresses by name; ``gone`` are pods that were."""

    trusted: frozenset[str]
    pods: dict[str, PodFacts] = field(default_factory=dict)
    pairs: dict[str, PairFacts] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    gone: list[PodFacts] = field(default_factory=list)


@dataclass
class Question:
    namespace: str
    account: str
    pod: PodFacts | None
    claimed_uid: str
    node_then: str
    wanted: str


class Real:
    """The same world in the collections of a mesh."""

    def __init__(self, trusted: frozenset[str], *, two_clusters: bool = False) -> None:
        self.registry = new_registry()
        self.mesh = Mesh(self.registry, MeshSettings(), two_clusters=two_clusters)
        self.authorizer = Authorizer(self.mesh.identities, DOMAIN, trusted)

    def set_pod(self, pod: PodFacts, kind: type[Pod] = Pod) -> None:
        made = kind(
            metadata=ObjectMeta(
                name=pod.name,
                namespace=pod.namespace,
                uid=pod.uid,
                deletion_timestamp="2026-01-01T00:00:00Z" if pod.terminating else None,
            ),
            spec=PodSpec(
                node_name=pod.node or None,
                service_account_name=pod.account or None,
                host_network=pod.host or None,
            ),
            status=PodStatus(phase=pod.phase),
        )
        with self.registry.graph.transaction():
            self.registry.of(kind).set(f"{pod.namespace}/{pod.name}", made)

    def delete_pod(self, key: str, kind: type[Pod] = Pod) -> None:
        with self.registry.graph.transaction():
            self.registry.of(kind).delete(key)

    def set_pair(self, pair: PairFacts) -> None:
        made = Pair(pair.cpu_ip, pair.dpu_ip, pair.cpu or None, pair.dpu or None)
        with self.registry.graph.transaction():
            self.registry.of(Pair).set(pair.cpu_ip, made)

    def delete_pair(self, cpu_ip: str) -> None:
        with self.registry.graph.transaction():
            self.registry.of(Pair).delete(cpu_ip)

    def set_node(self, name: str, ip: str, kind: type[Node] = Node) -> None:
        made = kind(
            metadata=ObjectMeta(name=name), status=NodeStatus(addresses=(NodeAddress("InternalIP", ip),))
        )
        with self.registry.graph.transaction():
            self.registry.of(kind).set(name, made)

    def delete_node(self, name: str, kind: type[Node] = Node) -> None:
        with self.registry.graph.transaction():
            self.registry.of(kind).delete(name)


def new_pod(chance: random.Random, number: int) -> PodFacts:
    # Without many node accounts hardly a question would be about the node's rights.
    names = chance.choice(NAMESPACES), chance.choice((*ACCOUNTS, ""))
    node = chance.choice(NODES)
    if chance.random() < 0.3:
        names, node = ("istio-system", "ztunnel"), chance.choice((node, *MOSTLY_DPU))
    namespace, account = names
    return PodFacts(
        namespace,
        f"p{chance.randrange(8)}",
        # Few enough that a UID comes again, at another pod too.
        f"uid-{number if chance.random() < 0.7 else chance.randrange(4)}",
        account,
        node,
        chance.choice(PHASES),
        host=chance.random() < 0.2,
        terminating=chance.random() < 0.2,
    )


def change_map(chance: random.Random, world: World, real: Real) -> None:
    """Change a pair: two may name one DPU node, or one CPU node, or none that is known."""
    cpu_ip, dpu_ip = chance.sample(IPS, 2)
    if chance.random() < 0.15:
        world.pairs.pop(cpu_ip, None)
        real.delete_pair(cpu_ip)
        return
    cpu, dpu = chance.choice(MOSTLY_CPU), chance.choice(MOSTLY_DPU)
    if chance.random() < 0.3:
        cpu, dpu = chance.sample([node for node in NODES if node], 2)
    cpu, dpu = (name if chance.random() < 0.7 else "" for name in (cpu, dpu))
    world.pairs[cpu_ip] = PairFacts(cpu_ip, cpu, dpu_ip, dpu)
    real.set_pair(world.pairs[cpu_ip])


def change_nodes(chance: random.Random, world: World, real: Real) -> None:
    """Change which addresses have names; two nodes may claim one."""
    name = chance.choice([node for node in NODES if node])
    if chance.random() < 0.2:
        world.nodes.pop(name, None)
        real.delete_node(name)
    else:
        world.nodes[name] = chance.choice(IPS)
        real.set_node(name, world.nodes[name])


def change(chance: random.Random, world: World, real: Real, number: int) -> None:
    """Change one thing in both."""
    which = chance.random()
    if which < 0.3:
        change_map(chance, world, real)
    elif which < 0.45:
        change_nodes(chance, world, real)
    elif world.pods and which < 0.6:
        key = chance.choice(list(world.pods))
        world.gone.append(world.pods.pop(key))
        real.delete_pod(key)
    else:
        pod = new_pod(chance, number)
        before = world.pods.get(f"{pod.namespace}/{pod.name}")
        if before:
            world.gone.append(before)
        world.pods[f"{pod.namespace}/{pod.name}"] = pod
        real.set_pod(pod)


def new_question(chance: random.Random, world: World) -> Question:
    # A token outlives its pod.
    held = world.gone[-8:] if world.gone and chance.random() < 0.1 else list(world.pods.values())
    # Mostly node accounts ask, mostly with a token of their own pod: else all would be refused.
    pool = [pod for pod in held if f"{pod.namespace}/{pod.account}" in world.trusted]
    pool = pool if pool and chance.random() < 0.7 else held
    pod = chance.choice(pool) if pool and chance.random() < 0.9 else None
    if pod is None:
        namespace, account = chance.choice(NAMESPACES), chance.choice(ACCOUNTS)
    else:
        namespace = pod.namespace
        account = (pod.account or "default") if chance.random() < 0.95 else chance.choice(ACCOUNTS)
    uid = pod.uid if pod and chance.random() < 0.95 else "uid-of-another"
    node = pod.node if pod and chance.random() < 0.95 else chance.choice(NODES)
    domain = DOMAIN if chance.random() < 0.93 else chance.choice(("cluster.localx", "other", "cluster.loca"))
    names = chance.choice(NAMESPACES), chance.choice(ACCOUNTS)
    if world.pods and chance.random() < 0.7:
        elsewhere = [p for p in world.pods.values() if (p.node, p.account) != (node, account) and p.node]
        of = chance.choice(elsewhere or list(world.pods.values()))
        names = of.namespace, of.account or "default"
    wanted = f"spiffe://{domain}/ns/{names[0]}/sa/{names[1]}"
    if chance.random() < 0.03:
        wanted = chance.choice((wanted + "/", wanted.upper(), wanted[:-1], wanted + "\n", wanted + "@n", ""))
    return Question(namespace, account, pod, uid, node, wanted)
