"""200,000 random questions of who may have whose identity, against the rule written a second time."""

import random

import pytest

from tests.identity.worlds import (
    ACCOUNTS,
    DOMAIN,
    NAMESPACES,
    NODES,
    PodFacts,
    Question,
    Real,
    World,
    change,
    new_question,
)
from xds_server.exceptions import DeniedError
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.explain import explain
from xds_server.identity.spiffe import Identity

WORLDS, QUESTIONS = 400, 125
BATCHES = 4


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
    theirs = [p for p in world.pods.values() if counts(p) and (p.namespace, p.account or "default") == wanted]
    caller = (question.namespace, question.account)
    if question.pod is None:  # a certificate
        return wanted == caller and bool(theirs)
    now = world.pods.get(f"{question.pod.namespace}/{question.pod.name}")
    if now is None or now.uid != question.claimed_uid or not counts(now) or now.node != question.node_then:
        return False
    if (now.namespace, now.account or "default") != caller:
        return False
    if wanted == caller:
        return True
    if "/".join(caller) not in world.trusted:
        return False
    first_last = [world.pairs[ip] for ip in sorted(world.pairs, reverse=True)]  # so the first wins
    in_force = {p.cpu or name_at(world, p.cpu_ip): p.dpu or name_at(world, p.dpu_ip) for p in first_last}
    return any(p.node == now.node or in_force.get(p.node) == now.node for p in theirs)


def name_at(world: World, ip: str) -> str:
    return min((name for name, at in world.nodes.items() if at == ip), default="")


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


def is_by_pair(world: World, question: Question) -> bool:
    """Tell whether what was granted is neither the caller's own nor on its own node."""
    own = f"/ns/{question.namespace}/sa/{question.account}"
    pods = [p for p in world.pods.values() if p.node == question.node_then]
    there = [f"/ns/{p.namespace}/sa/{p.account or 'default'}" for p in pods]
    return not any(question.wanted.endswith(tail) for tail in (own, *there))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_is_granted_is_exactly_the_rule(batch: int) -> None:
    granted = denied = by_pair = 0
    for seed in range(batch * WORLDS, (batch + 1) * WORLDS):
        chance = random.Random(seed)  # noqa: S311
        node_accounts = (["istio-system/ztunnel"], ["istio-system/ztunnel", "a/b"])
        trusted = frozenset(chance.choice(node_accounts) if chance.random() < 0.9 else ())
        world, real = World(trusted), Real(trusted)
        for number in range(24):
            change(chance, world, real, number)
        for number in range(QUESTIONS):
            if number % 5 == 0:
                change(chance, world, real, 100 + number)
            question = new_question(chance, world)
            expected = reference(world, question)
            assert real_answer(real, question) is expected, (seed, world, question)
            granted, denied = granted + expected, denied + (not expected)
            by_pair += expected and is_by_pair(world, question)
    assert granted + denied == 200_000 // BATCHES
    # A test that grants nearly nothing, or refuses nearly nothing, would test little.
    assert granted > 2_000
    assert by_pair > 500
    assert denied > 2_000


def test_explaining_and_granting_never_disagree() -> None:
    agreed = 0
    for seed in range(400):
        chance = random.Random(seed)  # noqa: S311
        trusted = frozenset({"istio-system/ztunnel"})
        world, real = World(trusted), Real(trusted)
        for number in range(30):
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
