"""
A mesh and clients simple enough to be plainly right, to compare sessions with.

Clients apply what they receive as ztunnel does: updates, then removals; of a response it finds
fault with, the good part is kept, the bad part refused, and an older copy stays in use. Between a
client and its session are two queues that a test moves by hand, so requests and responses cross.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable

from tests.helpers.addresses import ServedMesh
from tests.helpers.session_pair import DeltaPair, Pair, StatePair
from tests.helpers.wire import Entry, Received
from xds_server.catalog.encode import content_version
from xds_server.catalog.resource import ADDRESS
from xds_server.exceptions import SlowPeerError
from xds_server.mesh.address import Address
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.sessions.acknowledgement import SyncState

STAR = "*"
REFUSED = "bad"
"""A resource of this revision is refused by every client."""


class PublishedMesh(ServedMesh):
    """A mesh that knows what is published, and what each name means, without any index."""

    def __init__(self, log_capacity: int) -> None:
        super().__init__(log_capacity=log_capacity)
        self.published: dict[str, Address] = {}
        self.changed_at: dict[str, int] = {}
        """Name -> position of its latest change, its removal too."""

    def publish(self, *addresses: Address, without: Iterable[str] = ()) -> int:
        position = super().publish(*addresses, without=without)
        opened = self._opened()
        for name in self.published.keys() | self.addresses.keys():
            if self.published.get(name) != self.addresses.get(name):
                self.changed_at[name] = position
            if not opened.isdisjoint(self.addresses[name].services if name in self.addresses else ()):
                self.changed_at[name] = position
        self.published = dict(self.addresses)
        return position

    def _opened(self) -> set[str]:
        """Services that are there again, or take workloads that are not ready: these are told once more."""
        return {
            name
            for name, address in self.addresses.items()
            if _is_service(address)
            and (name not in self.published or self.admits(address) > self.admits(self.published[name]))
        }

    def admits(self, address: Address) -> bool:
        balancing = api.Address.FromString(address.body).service.load_balancing
        return balancing.health_policy == api.LoadBalancing.ALLOW_ALL

    def present(self, type_url: str) -> dict[str, str]:
        """Name -> version of everything of a type."""
        return {
            name: content_version(_payload(address, type_url))
            for name, address in self.published.items()
            if type_url == ADDRESS or not _is_service(address)
        }

    def stands_for(self, key: str) -> set[str]:
        if key in self.published:
            return {key, *self._members(key)}
        owners = [address for address in self.published.values() if key in address.aliases]
        workloads = {address.name for address in owners if not _is_service(address)}
        if workloads or not owners:
            return workloads
        service = min(address.name for address in owners)
        return {service, *self._members(service)}

    def stand_for(self, keys: Iterable[str]) -> set[str]:
        return {name for key in keys for name in self.stands_for(key)}

    def _members(self, service: str) -> set[str]:
        return {name for name, address in self.published.items() if service in address.services}

    def served_by(self, node: str) -> set[str]:
        return {name for name, address in self.published.items() if node and address.node == node}


def _is_service(address: Address) -> bool:
    return api.Address.FromString(address.body).HasField("service")


def _payload(address: Address, type_url: str) -> bytes:
    if type_url == ADDRESS:
        return address.body
    return api.Address.FromString(address.body).workload.SerializeToString(deterministic=True)


def identify(entry: Entry) -> tuple[str, str]:
    """Name and revision of a resource, from its body alone."""
    if entry.type_url != ADDRESS:
        workload = api.Workload.FromString(entry.body)
        return workload.uid, workload.canonical_revision
    address = api.Address.FromString(entry.body)
    if address.HasField("service"):
        return f"{address.service.namespace}/{address.service.hostname}", address.service.name
    return address.workload.uid, address.workload.canonical_revision


class ModelClient(ABC):
    """A client, its session when it has one, and what is under way between them."""

    pair: Pair

    def __init__(self, mesh: PublishedMesh, type_url: str, node: str, names: Iterable[str]) -> None:
        self.mesh = mesh
        self.type_url = type_url
        self.node = node
        self.names = set(names)
        self.star = not self.names
        self.held: dict[str, str] = {}
        """Name -> version of what is in use; the version is that of the body as it was received."""
        self.connect()

    def connect(self) -> None:
        """Begin a stream; what was under way is lost."""
        self.to_server: deque[dict[str, object]] = deque()
        self.to_client: deque[tuple[Received, bool]] = deque()
        self.nonces: set[str] = set()
        self.last_was_good = True
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Make the pair and send the first request."""

    @abstractmethod
    def server_reads(self) -> None: ...

    @abstractmethod
    def check_response(self, response: Received) -> None:
        """Hold a response, as it is written, against what the protocol says of it."""

    @abstractmethod
    def check_silence(self) -> None:
        """Hold that the server may owe nothing at this moment."""

    @abstractmethod
    def apply(self, response: Received, wildcard: bool) -> list[str]:
        """Take a response into use; return the names refused."""

    @abstractmethod
    def answer(self, nonce: str, error: str | None) -> None: ...

    def server_writes(self) -> bool:
        """Let the server write one response; a client that was too slow comes back with what it holds."""
        try:
            response = self.pair.receive()
        except SlowPeerError:
            self.connect()
            return True
        if response is None:
            self.check_silence()
            return False
        assert response.type_url == self.type_url
        assert response.nonce not in self.nonces, "a nonce must be new on its stream"
        self.nonces.add(response.nonce)
        assert {entry.type_url for entry in response.entries} <= {self.type_url}
        wildcard = self.pair.session.subscriptions[self.type_url].wildcard
        self.check_response(response)
        self.to_client.append((response, wildcard))
        return True

    def client_reads(self) -> None:
        if not self.to_client:
            return
        response, wildcard = self.to_client.popleft()
        refused = self.apply(response, wildcard)
        self.last_was_good = not refused
        self.answer(response.nonce, f"{'; '.join(refused)}: refused" if refused else None)

    def settle(self) -> None:
        """Carry everything over until both sides are silent."""
        while True:
            while self.to_server:
                self.server_reads()
            wrote = self.server_writes()
            while self.to_client:
                self.client_reads()
            if not wrote and not self.to_server:
                return

    def check(self) -> None:
        """The invariant, once both sides are silent."""
        present = self.mesh.present(self.type_url)
        required = self.required() & present.keys()
        for name in required | self.held.keys():
            assert name in present, f"{name} is gone, and still held"
            if not self.refuses(name):
                assert self.held.get(name) == present[name], f"{name} is not held as it is now"
            else:
                assert self.held.get(name) != present[name], f"{name} was refused, and is held"
        if self.star:
            assert required == present.keys()
        record = self.pair.acknowledgements(self.type_url)
        assert record.state is (SyncState.SYNCED if self.last_was_good else SyncState.REJECTED)
        assert record.oldest_unanswered_at is None

    def required(self) -> set[str]:
        """Names of what the client must hold if it exists."""
        return set(self.mesh.published) if self.star else self.mesh.stand_for(self.names)

    def refuses(self, name: str) -> bool:
        return self._refuses(self.mesh.published[name].body)

    def _refuses(self, body: bytes) -> bool:
        return identify(Entry("", "", ADDRESS, body, ()))[1] == REFUSED


class DeltaClient(ModelClient):
    """
    A client of the delta variant, wildcard or on-demand, as ``star`` says.

    ``told`` is what the server may think the client has been told: name -> position of the change.
    """

    pair: DeltaPair
    connections = 0

    def begin(self) -> None:
        self.pair = DeltaPair(self.mesh, self.node)
        self.left: set[str] = set()
        """Names left on this stream: nothing is required of them, and what comes is not taken."""
        self.told: dict[str, int] = {}
        self.asked: set[str] = set()
        """Names the server has read a request for and has not answered."""
        self.excused = False
        """Whether the next response may hold anything: the wildcard came anew."""
        self.first = True
        self.requests = 0
        """How many the server has read."""
        self.stated: set[str] = set()
        """Names the server has read a request for, and none to leave."""
        versions = dict(self.held)
        if self.star:
            self.to_server.append(
                {"subscribe": [STAR, *self.names] if self.names else [], "versions": versions}
            )
            return
        waiting = self.names - versions.keys()
        self.connections += 1
        if self.connections % 2 or not waiting:
            # As ztunnel does: what it waits for has no version yet.
            versions |= dict.fromkeys(waiting, "")
            self.to_server.append({"subscribe": [STAR], "unsubscribe": [STAR], "versions": versions})
        else:
            self.to_server.append({"subscribe": sorted(waiting), "versions": versions})
        self.names |= self.held.keys()

    def subscribe(self, names: Iterable[str], nonce: str = "") -> None:
        asked = set(names)
        self.names |= asked
        self.left -= asked
        self.to_server.append({"subscribe": sorted(asked), "nonce": nonce})

    def unsubscribe(self, names: Iterable[str], nonce: str = "") -> None:
        left = set(names)
        self.names -= left
        if not self.star:
            self.left |= left
            for name in left:
                self.held.pop(name, None)
        self.to_server.append({"unsubscribe": sorted(left), "nonce": nonce})

    def take_star(self) -> None:
        if not self.star:
            # What is under way from an earlier wildcard would be taken for a part of this one.
            self.settle()
            self.star = True
            self.left.clear()
            self.to_server.append({"subscribe": [STAR]})

    def leave_star(self) -> None:
        """Leaving everything, a client keeps only what it has asked for by its own name."""
        if self.star:
            self.star = False
            self.held = {name: version for name, version in self.held.items() if name in self.names}
            self.to_server.append({"unsubscribe": [STAR]})

    def server_reads(self) -> None:
        if not self.to_server:
            return
        request = self.to_server.popleft()
        was_wildcard = self.requests > 0 and self._subscription_is_wildcard()
        self.pair.send(type_url=self.type_url, **request)  # type: ignore[arg-type]
        self.requests += 1
        subscribe = set(_texts(request.get("subscribe")))
        unsubscribe = set(_texts(request.get("unsubscribe")))
        names = subscribe - unsubscribe - {STAR}
        self.stated = (self.stated - unsubscribe) | names
        self.asked = (self.asked - unsubscribe) | names
        if self.requests == 1:
            self.versions = dict(request.get("versions", {}))  # type: ignore[call-overload]
            return
        for name in unsubscribe:
            self.told.pop(name, None)
        wildcard = self._subscription_is_wildcard()
        if wildcard:
            self.asked |= unsubscribe - {STAR}
        if was_wildcard != wildcard:
            self.excused = True
            self.told.clear()
        if was_wildcard and not wildcard:
            self.asked |= self.stated

    def _subscription_is_wildcard(self) -> bool:
        return self.pair.session.subscriptions[self.type_url].wildcard

    def check_silence(self) -> None:
        if self.pair.session.subscriptions:
            assert not self.first, "a first request must be answered"
            assert not self.asked, "a name asked for must be answered"

    def check_response(self, response: Received) -> None:
        present = self.mesh.present(self.type_url)
        names, removed = set(response.names), set(response.removed)
        assert len(names) == len(response.entries)
        assert len(removed) == len(response.removed)
        assert not names & removed
        assert {entry.name: entry.version for entry in response.entries} == {
            name: present[name] for name in names
        }
        assert not removed & present.keys()
        found = self.mesh.stand_for(self.asked) & present.keys()
        assert found <= names
        unknown = {name for name in self.asked if not self.mesh.stands_for(name) & present.keys()}
        assert unknown <= removed
        wildcard = self._subscription_is_wildcard()
        for entry in response.entries:
            assert entry.version == content_version(entry.body)
            assert entry.aliases == (() if wildcard else self.mesh.published[entry.name].aliases)
        if self.requests == 1 and self.first:
            self._check_first(names, removed, wildcard)
        elif not self.first and not self.excused:
            known = {name for name in names - found if self.told.get(name, 0) >= self.mesh.changed_at[name]}
            assert known == set(), "what is known and unchanged must not be sent again"
        self.told |= {name: self.mesh.changed_at[name] for name in names}
        self.first = self.excused = False
        self.asked.clear()

    def _check_first(self, names: set[str], removed: set[str], wildcard: bool) -> None:
        """The answer to a returning client is exact."""
        present = self.mesh.present(self.type_url)
        held = {name: version for name, version in self.versions.items() if version}
        if wildcard:
            required = set(present)
            gone = self.versions.keys() - present.keys()
        else:
            waiting = self.versions.keys() - held.keys()
            self.asked |= waiting
            required = self.mesh.stand_for(self.versions.keys() | self.asked) | self.mesh.served_by(self.node)
            gone = {name for name in self.versions if not self.mesh.stands_for(name) & present.keys()}
        asked = self.mesh.stand_for(self.asked) & present.keys()
        unknown = {name for name in self.asked if not self.mesh.stands_for(name) & present.keys()}
        lacking = {name for name in required & present.keys() if held.get(name) != present[name]}
        reopened = lacking & self.versions.keys()
        lacking |= (
            self.mesh.stand_for(name for name in reopened if self.mesh.admits(self.mesh.published[name]))
            & present.keys()
        )
        assert names == lacking | asked
        assert removed == gone | unknown
        same = {name for name, version in held.items() if present.get(name) == version}
        self.told = {name: self.mesh.changed_at[name] for name in same}

    def apply(self, response: Received, wildcard: bool) -> list[str]:
        refused = []
        for entry in response.entries:
            assert identify(entry)[0] == entry.name
            if not self.star and (entry.name in self.left or (wildcard and entry.name not in self.names)):
                continue
            if identify(entry)[1] == REFUSED:
                refused.append(entry.name)
            else:
                self.held[entry.name] = entry.version
        for name in response.removed:
            self.held.pop(name, None)
        return refused

    def answer(self, nonce: str, error: str | None) -> None:
        self.to_server.append({"nonce": nonce, "error": error})

    def required(self) -> set[str]:
        required = super().required()
        return required if self.star else (required | self.mesh.served_by(self.node)) - self.left


class StateClient(ModelClient):
    """A client of the state-of-the-world variant; no names at first is a wildcard too."""

    pair: StatePair

    def begin(self) -> None:
        self.pair = StatePair(self.mesh, self.node)
        self.plain = self.star and not self.names
        """Whether no name was ever given on this stream."""
        self.first = True
        self.restated = False
        """Whether the server has read other names since its last response."""
        self.told: set[str] = set()
        self.told_at = 0
        self.to_server.append({"names": self._stated()})

    def _stated(self) -> list[str]:
        if self.plain:
            return []
        return sorted(self.names) + [STAR] * self.star

    def state(self, names: Iterable[str], star: bool, nonce: str = "") -> None:
        """State all names anew."""
        self.names = set(names)
        self.plain = self.plain and not self.names and not star
        self.star = star or self.plain
        self.to_server.append({"names": self._stated(), "nonce": nonce})

    def server_reads(self) -> None:
        if not self.to_server:
            return
        request = self.to_server.popleft()
        subscription = self.pair.session.subscriptions.get(self.type_url)
        before = (subscription.wildcard, subscription.names) if subscription else None
        self.pair.send(type_url=self.type_url, **request)  # type: ignore[arg-type]
        subscription = self.pair.session.subscriptions[self.type_url]
        self.restated |= before != (subscription.wildcard, subscription.names)

    def check_silence(self) -> None:
        if self.pair.session.subscriptions:
            assert not self.first, "a first request must be answered"

    def check_response(self, response: Received) -> None:
        subscription = self.pair.session.subscriptions[self.type_url]
        present = self.mesh.present(self.type_url)
        wanted = present.keys() if subscription.wildcard else self.mesh.stand_for(subscription.names)
        names = sorted(identify(entry)[0] for entry in response.entries)
        assert names == sorted(wanted & present.keys())
        for entry in response.entries:
            assert content_version(entry.body) == present[identify(entry)[0]]
        if not self.first and not self.restated:
            followed = self.mesh.changed_at if subscription.wildcard else self.told.union(names)
            moved = [name for name in followed if self.mesh.changed_at[name] > self.told_at]
            assert moved, "nothing the client follows has changed"
        self.told, self.told_at = set(names), self.mesh.catalog.position
        self.first = self.restated = False

    def apply(self, response: Received, wildcard: bool) -> list[str]:
        held = {}
        refused = []
        for entry in response.entries:
            name, revision = identify(entry)
            if revision == REFUSED:
                refused.append(name)
                if name in self.held:
                    held[name] = self.held[name]
            else:
                held[name] = content_version(entry.body)
        self.held = held
        return refused

    def answer(self, nonce: str, error: str | None) -> None:
        self.to_server.append({"names": self._stated(), "nonce": nonce, "error": error})


def _texts(value: object) -> list[str]:
    return list(value) if isinstance(value, list) else []
