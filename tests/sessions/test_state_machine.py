"""
The invariant of sessions: when both sides fall silent, the client holds exactly what is there.

For any edits of the mesh, any crossing of requests and responses, any refusals, stale nonces, changes of
subscription, disconnections and returns with anything in hand; for every kind of client.
"""

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.helpers.addresses import service, workload
from tests.sessions.model import REFUSED, DeltaClient, ModelClient, PublishedMesh, StateClient
from xds_server.catalog.resource import ADDRESS, WORKLOAD
from xds_server.mesh.address import Address

UIDS = [f"Kubernetes//Pod/ns/p{number}" for number in range(4)]
SERVICES = ["ns/s0", "ns/s1"]
# The last one may be a workload's and a service's: the workload goes before.
IPS = ["10.0.0.1", "2001:db8::1", "10.96.0.9"]
VIPS = ["10.96.0.1", "2001:db8::ffff", "10.96.0.9"]
KEYS = [*UIDS, *SERVICES, *(f"/{ip}" for ip in (*IPS, *VIPS[:2])), "unknown"]
ASKED = [UIDS[0], SERVICES[0], f"/{IPS[0]}", f"/{VIPS[2]}"]

revisions = st.sampled_from(["", "v1", REFUSED])
workloads = st.builds(
    workload,
    st.sampled_from(UIDS),
    revisions,
    ips=st.lists(st.sampled_from(IPS), max_size=2, unique=True),
    services=st.lists(st.sampled_from(SERVICES), max_size=2, unique=True),
    node=st.sampled_from(["", "n1"]),
)
services = st.builds(
    service,
    st.sampled_from(SERVICES),
    revisions,
    vips=st.lists(st.sampled_from(VIPS), max_size=2, unique=True),
    admits_unready=st.booleans(),
)
removals = st.sampled_from([*UIDS, *SERVICES])
edits = st.lists(workloads | services | removals, min_size=1, max_size=4)
keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)
nonces = st.sampled_from(["", "never sent"])
messages = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["server reads", "server writes", "client reads"])),
    min_size=1,
    max_size=12,
)


class Sessions(RuleBasedStateMachine):
    """Few rules with much in each: the machine draws from them evenly, and often leaves some out."""

    def __init__(self) -> None:
        super().__init__()
        # The log forgets soon, so that slow clients are ended and come back.
        self.mesh = mesh = PublishedMesh(log_capacity=4)
        self.deltas = [
            DeltaClient(mesh, ADDRESS, "", ()),
            DeltaClient(mesh, ADDRESS, "n1", ASKED[:2]),
            DeltaClient(mesh, ADDRESS, "", ASKED[2:]),
            DeltaClient(mesh, WORKLOAD, "", ()),
        ]
        self.states = [
            StateClient(mesh, ADDRESS, "", ()),
            StateClient(mesh, ADDRESS, "", ASKED),
            StateClient(mesh, WORKLOAD, "", ()),
        ]
        self.clients: list[ModelClient] = [*self.deltas, *self.states]

    @initialize(made=st.lists(workloads | services, min_size=2, max_size=6), waiting=st.booleans())
    def begin(self, made: list[Address], waiting: bool) -> None:
        self.mesh.publish(*made)
        if waiting:
            self.fall_silent()

    def fall_silent(self) -> None:
        for client in self.clients:
            client.settle()
            client.check()

    def edit(self, made: Iterable[Address | str]) -> None:
        for item in made:
            if isinstance(item, Address):
                self.mesh.stage(item)
            elif item in self.mesh.addresses:
                self.mesh.stage(without=[item])

    @rule(made=edits, more=edits, crossing=messages)
    def change_and_fall_silent(
        self, made: list[Address | str], more: list[Address | str], crossing: list[tuple[int, str]]
    ) -> None:
        self.edit(made)
        self.mesh.publish()
        self.cross(crossing)
        self.edit(more)
        self.mesh.publish()
        self.fall_silent()

    @rule(made=edits, publish=st.booleans())
    def change(self, made: list[Address | str], publish: bool) -> None:
        self.edit(made)
        if publish:
            self.mesh.publish()

    @rule(crossing=messages)
    def cross(self, crossing: list[tuple[int, str]]) -> None:
        """Carry some of what is under way, one message at a time."""
        for number, message in crossing:
            client = self.clients[number]
            if message == "server reads":
                client.server_reads()
            elif message == "server writes":
                client.server_writes()
            else:
                client.client_reads()

    @rule(
        number=st.integers(0, 3), asked=keys, left=st.just([]) | keys, nonce=nonces, backwards=st.booleans()
    )
    def subscribe(self, number: int, asked: list[str], left: list[str], nonce: str, backwards: bool) -> None:
        client = self.deltas[number]
        if left and backwards:
            client.unsubscribe(left, nonce)
        client.subscribe(asked, nonce)
        if left and not backwards:
            client.unsubscribe(left, nonce)

    @rule(number=st.sampled_from([0, 2]), star=st.booleans())
    def take_or_leave_the_star(self, number: int, star: bool) -> None:
        if star:
            self.deltas[number].take_star()
        else:
            self.deltas[number].leave_star()

    @rule(number=st.integers(0, 1), names=st.just([]) | keys, star=st.booleans(), nonce=nonces)
    def state(self, number: int, names: list[str], star: bool, nonce: str) -> None:
        self.states[number].state(names, star, nonce)

    @rule(
        number=st.integers(0, 6),
        forgotten=st.sets(removals, max_size=4),
        wrong=st.sets(removals | st.sampled_from(["ns/ghost", "ghost"]), max_size=3),
        made=st.just([]) | edits,
    )
    def come_back(self, number: int, forgotten: set[str], wrong: set[str], made: list[Address | str]) -> None:
        """Return with a part of what was held, some of it not as it ever was here, to a changed mesh."""
        client = self.clients[number]
        client.settle()
        client.held = {name: held for name, held in client.held.items() if name not in forgotten}
        if isinstance(client, DeltaClient):
            client.held |= dict.fromkeys(wrong, "of another server")
        self.edit(made)
        self.mesh.publish()
        client.connect()
        client.settle()
        client.check()


Sessions.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestSessions = Sessions.TestCase
