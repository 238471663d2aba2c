"""200,000 random questions of who may have whose identity, against the rule written a second time."""

import random
from dataclasses import dataclass

import pytest

from xds_server.exceptions import DeniedError
from xds_server.identity.authorization import Authorizer
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.explain import explain
from xds_server.identity.spiffe import Identity
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import ObjectMeta, Pod, PodSpec, PodStatus
from xds_server.settings import MeshSettings

WORLDS, QUESTIONS = 400, 125
BATCHES = 4
DOMAIN = "cluster.local"
NAMESPACES = ("a", "a-b", "istio-system")
ACCOUNTS = ("b", "b-b", "ztunnel", "default")
NODES = ("n", "n1", "n11", "dpu", "dpu1", "cpu", "")
PHASES = (None, "Pending", "Running", "Running", "Unknown", "Succeeded", "Failed")


@dataclass
class PodFacts:
    """A pod as the reference sees it."""

    namespace: str
    name: str
    uid: str
    account: str
    node: str
    phase: str | None


@dataclass
class World:
    """Pods by key and pairs (CPU node and DPU node) by key, as plain data."""

    pods: dict[str, PodFacts]
    pairs: dict[str, tuple[str, str]]
    trusted: frozenset[str]


@dataclass
class Question:
    namespace: str
    account: str
    pod: PodFacts | None
    claimed_uid: str
    node_then: str
    wanted: str


def reference(world: World, question: Question) -> bool:  # noqa: PLR0911
    """Tell whether the question's caller may have what it wants."""

    def counts(pod: PodFacts) -> bool:
        return pod.node != "" and pod.phase not in ("Succeeded", "Failed")

    for namespace in NAMESPACES:
        for account in ACCOUNTS:
            if question.wanted == f"spiffe://{DOMAIN}/ns/{namespace}/sa/{account}":
                wanted = (namespace, account)
                break
        else:
            continue
        break
    else:
        return False
    theirs = [p for p in world.pods.values() if counts(p) and (p.namespace, p.account) == wanted]
    caller = (question.namespace, question.account)
    if question.pod is None:  # a certificate
        return wanted == caller and bool(theirs)
    now = world.pods.get(f"{question.pod.namespace}/{question.pod.name}")
    if now is None or now.uid != question.claimed_uid or not counts(now) or now.node != question.node_then:
        return False
    if (now.namespace, now.account) != caller:
        return False
    if wanted == caller:
        return True
    if "/".join(caller) not in world.trusted:
        return False
    in_force = {cpu: dpu for _, (cpu, dpu) in sorted(world.pairs.items(), reverse=True)}  # the first wins
    return any(p.node == now.node or in_force.get(p.node) == now.node for p in theirs)


class Real:
    """The same world in the collections of a mesh."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self.registry = new_registry()
        self.mesh = Mesh(self.registry, MeshSettings())
        self.authorizer = Authorizer(self.mesh.identities, DOMAIN, trusted)

    def set_pod(self, pod: PodFacts) -> None:
        made = Pod(
            metadata=ObjectMeta(name=pod.name, namespace=pod.namespace, uid=pod.uid),
            spec=PodSpec(node_name=pod.node or None, service_account_name=pod.account),
            status=PodStatus(phase=pod.phase),
        )
        with self.registry.graph.transaction():
            self.registry.of(Pod).set(f"{pod.namespace}/{pod.name}", made)

    def delete_pod(self, key: str) -> None:
        with self.registry.graph.transaction():
            self.registry.of(Pod).delete(key)

    def pair(self, key: str, pair: tuple[str, str] | None) -> None:
        with self.registry.graph.transaction():
            if pair:
                cpu, dpu = pair
                self.registry.of(Pair).set(key, Pair(f"ip-{key}", f"ip-{dpu}", cpu, dpu))
            else:
                self.registry.of(Pair).delete(key)


def new_pod(chance: random.Random, number: int) -> PodFacts:
    namespace = chance.choice(NAMESPACES)
    return PodFacts(
        namespace,
        f"p{chance.randrange(6)}",
        f"uid-{number}",
        chance.choice(ACCOUNTS),
        chance.choice(NODES),
        chance.choice(PHASES),
    )


def change(chance: random.Random, world: World, real: Real, number: int) -> None:
    """Change one thing in both."""
    if chance.random() < 0.4:
        cpu, dpu = chance.sample([node for node in NODES if node], 2)
        # A node may be named by two of its addresses, so one CPU node can come in two pairs.
        key = f"{cpu}-{chance.randrange(2)}"
        world.pairs.pop(key, None)
        if chance.random() < 0.8:
            world.pairs[key] = (cpu, dpu)
        real.pair(key, world.pairs.get(key))
    elif world.pods and chance.random() < 0.3:
        key = chance.choice(list(world.pods))
        del world.pods[key]
        real.delete_pod(key)
    else:
        pod = new_pod(chance, number)
        world.pods[f"{pod.namespace}/{pod.name}"] = pod
        real.set_pod(pod)


def new_question(chance: random.Random, world: World) -> Question:
    held = list(world.pods.values())
    # Mostly node accounts ask, mostly with a token of their own pod: else all would be refused.
    pool = [pod for pod in held if f"{pod.namespace}/{pod.account}" in world.trusted]
    pool = pool if pool and chance.random() < 0.7 else held
    pod = chance.choice(pool) if pool and chance.random() < 0.9 else None
    if pod is None:
        namespace, account = chance.choice(NAMESPACES), chance.choice(ACCOUNTS)
    else:
        namespace = pod.namespace
        account = pod.account if chance.random() < 0.95 else chance.choice(ACCOUNTS)
    uid = pod.uid if pod and chance.random() < 0.95 else "uid-of-another"
    node = pod.node if pod and chance.random() < 0.95 else chance.choice(NODES)
    domain = DOMAIN if chance.random() < 0.93 else chance.choice(("cluster.localx", "other", "cluster.loca"))
    wanted = f"spiffe://{domain}/ns/{chance.choice(NAMESPACES)}/sa/{chance.choice(ACCOUNTS)}"
    if chance.random() < 0.03:
        wanted = chance.choice((wanted + "/", wanted.upper(), wanted[:-1], wanted + "\n", wanted + "@n", ""))
    return Question(namespace, account, pod, uid, node, wanted)


def real_answer(real: Real, question: Question) -> bool:
    identity = Identity(DOMAIN, question.namespace, question.account)
    if question.pod is None:
        caller = Caller(identity=identity, proof=Proof.CERTIFICATE, expires_at=0.0, node=question.node_then)
    else:
        bound = BoundPod(f"{question.pod.namespace}/{question.pod.name}", question.claimed_uid)
        caller = Caller(
            identity=identity, proof=Proof.TOKEN, expires_at=0.0, pod=bound, node=question.node_then
        )
    try:
        real.authorizer.authorize(caller, question.wanted)
    except DeniedError as error:
        assert str(error)
        return False
    return True


@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_is_granted_is_exactly_the_rule(batch: int) -> None:
    granted = denied = 0
    for seed in range(batch * WORLDS, (batch + 1) * WORLDS):
        chance = random.Random(seed)  # noqa: S311
        trusted = frozenset(chance.choice((["istio-system/ztunnel"], ["istio-system/ztunnel", "a/b"], [])))
        world, real = World({}, {}, trusted), Real(trusted)
        for number in range(8):
            change(chance, world, real, number)
        for number in range(QUESTIONS):
            if number % 5 == 0:
                change(chance, world, real, 100 + number)
            question = new_question(chance, world)
            expected = reference(world, question)
            assert real_answer(real, question) is expected, (seed, world, question)
            granted, denied = granted + expected, denied + (not expected)
    assert granted + denied == 200_000 // BATCHES
    # A test that grants nearly nothing, or refuses nearly nothing, would test little.
    assert granted > 2_000
    assert denied > 2_000


def test_explaining_and_granting_never_disagree() -> None:
    agreed = 0
    for seed in range(400):
        chance = random.Random(seed)  # noqa: S311
        trusted = frozenset({"istio-system/ztunnel"})
        world, real = World({}, {}, trusted), Real(trusted)
        for number in range(20):
            change(chance, world, real, number)
        for node in filter(None, NODES):
            for namespace in NAMESPACES:
                wanted = f"spiffe://{DOMAIN}/ns/{namespace}/sa/{chance.choice(ACCOUNTS)}"
                callers = [
                    pod
                    for pod in world.pods.values()
                    if (pod.namespace, pod.account, pod.node) == ("istio-system", "ztunnel", node)
                    and pod.phase not in ("Succeeded", "Failed")
                ]
                grants = {
                    real_answer(real, Question("istio-system", "ztunnel", pod, pod.uid, node, wanted))
                    for pod in callers
                }
                assert explain(real.authorizer, node, wanted).allowed is (grants == {True})
                agreed += bool(grants)
    assert agreed > 200
