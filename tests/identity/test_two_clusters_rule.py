"""Random questions over two clusters full of namesakes, against the rule written a second time."""

import random
from collections import Counter

import pytest

from tests.identity.two_cluster_worlds import (
    DPU,
    FIRST,
    NAMES,
    Claim,
    TwoWorlds,
    account,
    change,
    counts,
    in_force,
    may_have,
    new_claim,
)
from tests.identity.worlds import DOMAIN, Real
from xds_server.exceptions import DeniedError, UnauthenticatedError
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.explain import explain
from xds_server.identity.spiffe import Identity
from xds_server.identity.tokens.claims import TokenClaims

TRUSTED = frozenset({"istio-system/ztunnel"})
WORLDS, QUESTIONS = 250, 100
BATCHES = 2


def answer(real: Real, claim: Claim) -> bool:
    """Ask on a stream that was opened when the pod was on the claim's node."""
    caller = Caller(
        identity=Identity(DOMAIN, *claim.account.split("/")),
        proof=Proof.TOKEN,
        expires_at=9e9,
        pod=BoundPod(claim.key, claim.uid, claim.cluster),
        node=claim.node,
    )
    try:
        real.authorizer.authorize(caller, claim.identity)
    except DeniedError as error:
        assert str(error)
        return False
    return True


def answer_from_token(real: Real, claim: Claim) -> bool | None:
    """Ask with the token itself; None when that makes no caller."""
    bound = BoundPod(claim.key, claim.uid, claim.cluster)
    namespace, _, name = claim.account.partition("/")
    claims = TokenClaims(namespace, name, bound, 9e9)
    try:
        caller = real.authorizer.authenticate_pod(claims)
        real.authorizer.authorize(caller, claim.identity)
    except DeniedError:
        return False
    except UnauthenticatedError:
        return None
    return True


def by_token(world: TwoWorlds, claim: Claim) -> bool | None:
    """The same by the rule: the node is where the pod is now."""
    pod = world.pods.get((claim.cluster, claim.key))
    if pod is None or not counts(pod) or (pod.uid, account(pod)) != (claim.uid, claim.account):
        return None
    return may_have(world, Claim(claim.cluster, claim.key, claim.uid, claim.account, pod.node, claim.wanted))


def way(world: TwoWorlds, claim: Claim) -> str:
    """Tell by what something was granted, so that a test that grants too little is seen."""
    if "/".join(claim.wanted) == claim.account:
        return f"own {claim.cluster}"
    here = [p for (where, _), p in world.pods.items() if where == FIRST and p.node == claim.node]
    namesakes = "/".join(claim.wanted) in map(account, here)
    return f"carried {claim.cluster}" + (" and on a namesake" if claim.cluster == DPU and namesakes else "")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_is_granted_is_exactly_the_rule(batch: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(batch * WORLDS, (batch + 1) * WORLDS):
        chance = random.Random(seed)  # noqa: S311
        world, real = TwoWorlds(TRUSTED), Real(TRUSTED, two_clusters=True)
        while len(world.pods) < 12:
            change(chance, world, real)
        for _ in range(QUESTIONS):
            if chance.random() < 0.2 and world.pods:
                change(chance, world, real)
            if not world.pods:
                continue
            claim = new_claim(chance, world)
            expected = may_have(world, claim)
            assert answer(real, claim) is expected, (seed, claim, world)
            assert answer_from_token(real, claim) is by_token(world, claim), (seed, claim, world)
            seen[way(world, claim) if expected else f"denied {claim.cluster}"] += 1
    least = {"own ": 500, "own dpu": 300, "carried ": 300, "carried dpu": 200, "denied ": 2_000}
    least |= {"denied dpu": 2_000, "carried dpu and on a namesake": 30}
    assert {name for name, count in least.items() if seen[name] < count} == set(), seen


def test_no_node_of_the_first_cluster_ever_gains_by_the_map() -> None:
    gained = 0
    for seed in range(150):
        chance = random.Random(seed)  # noqa: S311
        world, real = TwoWorlds(TRUSTED), Real(TRUSTED, two_clusters=True)
        for _ in range(40):
            change(chance, world, real)
        identities = real.mesh.identities
        for name in NAMES:
            assert identities.carried_nodes(name) == (name,)
            served = {cpu for cpu, dpu in in_force(world).items() if dpu == name}
            assert set(identities.carried_nodes(name, DPU)) == served
            gained += bool(served - {name})
    assert gained > 100


def test_explaining_and_granting_never_disagree() -> None:
    agreed: Counter[bool] = Counter()
    for seed in range(150):
        chance = random.Random(seed)  # noqa: S311
        world, real = TwoWorlds(TRUSTED), Real(TRUSTED, two_clusters=True)
        for _ in range(40):
            change(chance, world, real)
        for (cluster, key), pod in world.pods.items():
            if account(pod) not in TRUSTED or not counts(pod):
                continue
            other = chance.choice(list(world.pods.values()))
            wanted = other.namespace, other.account or "default"
            claim = Claim(cluster, key, pod.uid, account(pod), pod.node, wanted)
            told = explain(real.authorizer, pod.node, claim.identity, cluster)
            assert told.allowed is answer(real, claim), (seed, claim, told)
            assert told.cluster == cluster
            agreed[told.allowed] += 1
    assert min(agreed[True], agreed[False]) > 100
