"""The invariant behind the order of types: no client is ever without a guard that the mesh always has."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sessions.guarded import GuardedDelta, GuardedMesh, GuardedState, Rule

NAMES = ["ns/a", "ns/b", "ns/c"]
UIDS = ["w1", "w2"]
RULES = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(Rule, st.booleans(), st.frozensets(st.sampled_from(UIDS)), st.integers(0, 1)),
)
WORKLOADS = st.dictionaries(st.sampled_from(UIDS), st.sampled_from(["", "v2"]))
EDITS = st.tuples(st.just("put"), RULES, WORKLOADS)
WRITES = st.tuples(st.just("write"), st.integers(0, 2))
RETURNS = st.tuples(st.just("return"), st.integers(0, 1))
SILENCE = st.just(("silence",))


@settings(max_examples=500, deadline=None)
@given(st.lists(EDITS | WRITES | WRITES | RETURNS | SILENCE, max_size=25), st.sampled_from([3, 100]))
def test_no_client_is_ever_without_a_guard_and_all_end_alike(
    history: list[tuple[object, ...]], log_capacity: int
) -> None:
    """
    Whatever changes between any two responses: no workload a client has names a policy it lacks, and
    what a policy covers in every state of the mesh it covers at every moment. In the end clients of
    both variants hold the mesh, of all three types.
    """
    mesh = GuardedMesh(log_capacity)
    deltas = [GuardedDelta(mesh), GuardedDelta(mesh)]
    clients = [*deltas, GuardedState(mesh)]
    for action, *details in history:
        if action == "put":
            mesh.put(*details)  # type: ignore[arg-type]
            for client in clients:
                client.see(mesh.guards)
        elif action == "write":
            clients[details[0]].step()  # type: ignore[call-overload]
        elif action == "return":
            deltas[details[0]].come_back()  # type: ignore[call-overload]
        else:
            for client in clients:
                client.settle()
    for client in clients:
        client.settle()
    assert deltas[0].held == clients[2].held
