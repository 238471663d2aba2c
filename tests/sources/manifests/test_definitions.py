"""Which of several definitions of an object is in force."""

from hypothesis import given
from hypothesis import strategies as st

from xds_server.objects.kubernetes import Namespace, Node, ObjectMeta
from xds_server.sources.manifests.decode import ObjectId
from xds_server.sources.manifests.definitions import Definitions, Objects


def node(uid: str) -> Node:
    return Node(metadata=ObjectMeta(name="n", uid=uid))


N: ObjectId = (Node, "n")


def test_the_lexicographically_first_file_wins_and_the_others_are_told_who_did() -> None:
    held = Definitions()
    held.replace("b", {N: node("b")})
    assert held.in_force(N) == node("b")
    assert held.replace("a", {N: node("a")}) == {N}
    held.replace("c", {N: node("c")})
    assert held.in_force(N) == node("a")
    assert [held.overruled(file) for file in "abc"] == [[], [(N, "a")], [(N, "a")]]


def test_when_the_winner_goes_the_next_takes_over() -> None:
    held = Definitions()
    for file in "abc":
        held.replace(file, {N: node(file)})
    assert held.replace("a", {}) == {N}
    assert held.in_force(N) == node("b")
    held.replace("b", {})
    assert held.in_force(N) == node("c")
    assert held.overruled("c") == []
    held.replace("c", {})
    assert held.in_force(N) is None
    assert list(held) == []


def test_a_leaving_claim_yields_to_any_other_and_is_no_rival() -> None:
    held = Definitions()
    held.replace("a", {N: node("a")})
    held.replace("b", {N: node("b")})
    assert held.replace("a", {N: node("a")}, frozenset({N})) == {N}
    assert held.in_force(N) == node("b")
    assert held.overruled("a") == held.overruled("b") == []
    held.replace("b", {})
    assert held.in_force(N) == node("a")


def test_an_unchanged_definition_touches_nothing() -> None:
    held = Definitions()
    held.replace("a", {N: node("1")})
    assert held.replace("a", {N: node("1")}) == set()


ids = st.sampled_from([(kind, key) for kind in (Node, Namespace) for key in "xyz"])
holding = st.dictionaries(ids, st.sampled_from("123").map(node), max_size=4)
steps = st.lists(st.tuples(st.sampled_from("abc"), holding, st.frozensets(ids)), max_size=12)


Claims = dict[ObjectId, list[tuple[bool, str]]]


def claims_of(last: dict[str, tuple[Objects, frozenset[ObjectId]]]) -> Claims:
    """Return for each object whether its claim is leaving and which file makes it, the best first."""
    claims: Claims = {}
    for file, (objects, leaving) in last.items():
        for known in objects:
            claims.setdefault(known, []).append((known in leaving, file))
    return {known: sorted(claimed) for known, claimed in claims.items()}


@given(steps)
def test_what_is_in_force_follows_from_the_last_word_of_each_file_alone(
    steps: list[tuple[str, Objects, frozenset[ObjectId]]],
) -> None:
    held = Definitions()
    last: dict[str, tuple[Objects, frozenset[ObjectId]]] = {}
    told: dict[ObjectId, object] = {}
    for file, objects, may_leave in steps:
        last[file] = (objects, may_leave & objects.keys())
        told |= {known: held.in_force(known) for known in held.replace(file, *last[file])}
        claims = claims_of(last)
        assert set(held) == claims.keys()
        for known, [(_, winner), *_] in claims.items():
            assert held.in_force(known) == told[known] == last[winner][0][known]
        for other, (claimed, leaving) in last.items():
            beaten = {known: claims[known][0][1] for known in claimed.keys() - leaving}
            assert dict(held.overruled(other)) == {
                k: winner for k, winner in beaten.items() if winner != other
            }
