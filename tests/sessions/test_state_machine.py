"""
The invariant of sessions: when both sides fall silent, the client holds exactly what is there.

For any edits of the mesh, any crossing of requests and responses, any refusals, stale nonces, changes of
subscription, disconnections and returns with anything in hand; for every kind of client.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.helpers.addresses import service, workload
from tests.sessions.model import REFUSED, DeltaClient, ModelClient, PublishedMesh, StateClient
from xds_server.catalog.resource import ADDRESS, WORKLOAD

UIDS = [f"Kubernetes//Pod/ns/p{number}" for number in range(6)]
SERVICES = ["ns/s0", "ns/s1", "ns/s2"]
# The last one may be a workload's and a service's: the workload goes before.
IPS = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "10.96.0.9"]
VIPS = ["10.96.0.1", "2001:db8::ffff", "10.96.0.9"]
KEYS = [*UIDS[:4], *SERVICES, *(f"/{ip}" for ip in (*IPS, *VIPS[:2])), "unknown", "/10.9.9.9"]

uids = st.sampled_from(UIDS)
services = st.sampled_from(SERVICES)
revisions = st.sampled_from(["", "v1", "v2", REFUSED])
keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)
nonces = st.sampled_from(["", "", "never sent"])


class Sessions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # The log forgets soon, so that slow clients are ended and come back.
        self.mesh = mesh = PublishedMesh(log_capacity=6)
        self.deltas = [
            DeltaClient(mesh, ADDRESS, "", ()),
            DeltaClient(mesh, WORKLOAD, "", ()),
            DeltaClient(mesh, ADDRESS, "n1", [KEYS[0]]),
            DeltaClient(mesh, ADDRESS, "", [f"/{VIPS[0]}"]),
        ]
        self.states = [
            StateClient(mesh, ADDRESS, "", ()),
            StateClient(mesh, WORKLOAD, "", ()),
            StateClient(mesh, ADDRESS, "", [KEYS[0], f"/{VIPS[0]}"]),
        ]
        self.clients: list[ModelClient] = [*self.deltas, *self.states]

    @rule(
        uid=uids,
        revision=revisions,
        ips=st.lists(st.sampled_from(IPS), max_size=2, unique=True),
        joined=st.lists(services, max_size=2, unique=True),
        node=st.sampled_from(["", "n1", "n2"]),
    )
    def edit_workload(self, uid: str, revision: str, ips: list[str], joined: list[str], node: str) -> None:
        self.mesh.stage(workload(uid, revision, ips=ips, services=joined, node=node))

    @rule(name=services, revision=revisions, vips=st.lists(st.sampled_from(VIPS), max_size=2, unique=True))
    def edit_service(self, name: str, revision: str, vips: list[str]) -> None:
        self.mesh.stage(service(name, revision, vips=vips))

    @rule(name=uids | services)
    def remove(self, name: str) -> None:
        if name in self.mesh.addresses:
            self.mesh.stage(without=[name])

    @rule()
    def publish(self) -> None:
        self.mesh.publish()

    @rule(steps=st.lists(st.tuples(st.integers(0, 6), st.sampled_from("rwc")), min_size=1, max_size=6))
    def cross(self, steps: list[tuple[int, str]]) -> None:
        """Carry some of what is under way, one message at a time."""
        for number, step in steps:
            client = self.clients[number]
            if step == "r":
                client.server_reads()
            elif step == "w":
                client.server_writes()
            else:
                client.client_reads()

    @rule(number=st.integers(0, 3), names=keys, nonce=nonces)
    def subscribe(self, number: int, names: list[str], nonce: str) -> None:
        self.deltas[number].subscribe(names, nonce)

    @rule(number=st.integers(0, 3), names=keys, nonce=nonces)
    def unsubscribe(self, number: int, names: list[str], nonce: str) -> None:
        self.deltas[number].unsubscribe(names, nonce)

    @rule(number=st.sampled_from([0, 3]), star=st.booleans())
    def take_or_leave_the_star(self, number: int, star: bool) -> None:
        if star:
            self.deltas[number].take_star()
        else:
            self.deltas[number].leave_star()

    @rule(number=st.sampled_from([0, 2]), names=st.just([]) | keys, star=st.booleans(), nonce=nonces)
    def state(self, number: int, names: list[str], star: bool, nonce: str) -> None:
        self.states[number].state(names, star, nonce)

    @rule(
        number=st.integers(0, 6),
        forgotten=st.sets(uids | services, max_size=4),
        wrong=st.sets(uids | services | st.sampled_from(["ns/ghost", "ghost"]), max_size=3),
    )
    def come_back(self, number: int, forgotten: set[str], wrong: set[str]) -> None:
        """Return with a part of what was held, some of it not as it ever was here."""
        client = self.clients[number]
        client.held = {name: held for name, held in client.held.items() if name not in forgotten}
        if isinstance(client, DeltaClient):
            client.held |= dict.fromkeys(wrong, "of another server")
        client.connect()

    @rule()
    def fall_silent(self) -> None:
        for client in self.clients:
            client.settle()
            client.check()


Sessions.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSessions = Sessions.TestCase
