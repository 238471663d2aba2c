"""
Clients that go by all three types of one stream, and a mesh whose policies guard its workloads.

A client takes what comes at once and in order, as ztunnel does, and at every moment knows which of
its workloads each of its policies guards: those that name it, or all if its scope is a namespace.
"""

from collections.abc import Mapping
from typing import NamedTuple

from tests.helpers.addresses import ServedMesh, policy, workload
from tests.helpers.session_pair import DeltaPair, Pair, StatePair
from tests.helpers.wire import Received
from xds_server.catalog.encode import content_version
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.exceptions import SlowPeerError
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security

ALL = (ADDRESS, WORKLOAD, AUTHORIZATION)
"""In the order in which clients ask: ztunnel asks for policies last."""
Guard = tuple[str, str]
"""A policy, and a workload it covers."""


class Rule(NamedTuple):
    """A policy as its author writes it: for a whole namespace, or for some workloads."""

    everywhere: bool
    chosen: frozenset[str]
    revision: int


class GuardedMesh(ServedMesh):
    """Publishes rules and workloads consistently: a workload names every policy that chooses it."""

    def __init__(self, log_capacity: int) -> None:
        super().__init__(log_capacity=log_capacity)
        self.guards: set[Guard] = set()

    def put(self, rules: Mapping[str, Rule], workloads: Mapping[str, str]) -> None:
        named = {name: rule for name, rule in rules.items() if not rule.everywhere}
        policies = [
            policy(name, "NAMESPACE" if rule.everywhere else "WORKLOAD_SELECTOR", rule.revision)
            for name, rule in rules.items()
        ]
        self.stage_policies(*policies, without=self.policies.keys() - rules.keys())
        made = [
            workload(uid, revision, policies=[name for name, rule in named.items() if uid in rule.chosen])
            for uid, revision in workloads.items()
        ]
        self.publish(*made, without=self.addresses.keys() - workloads.keys())
        self.guards = {
            (name, uid)
            for name, rule in rules.items()
            for uid in workloads
            if rule.everywhere or uid in rule.chosen
        }

    def bodies(self, type_url: str) -> dict[str, bytes]:
        if type_url == AUTHORIZATION:
            return {name: item.body for name, item in self.policies.items()}
        if type_url == ADDRESS:
            return {name: address.body for name, address in self.addresses.items()}
        return {
            name: api.Address.FromString(address.body).workload.SerializeToString(deterministic=True)
            for name, address in self.addresses.items()
        }


class GuardedClient:
    """One client; ``held`` is what it has of each type: name -> body."""

    def __init__(self, mesh: GuardedMesh) -> None:
        self.mesh = mesh
        self.held: dict[str, dict[str, bytes]] = {url: {} for url in ALL}
        self.guards: set[Guard] = set()
        """What was guarded in every state of the mesh since the client was last told everything."""
        self.pair = self.begin()
        self.silent = False

    def begin(self) -> Pair:
        raise NotImplementedError

    def take(self, response: Received) -> None:
        raise NotImplementedError

    def see(self, guards: set[Guard]) -> None:
        """Learn of a new state of the mesh."""
        self.guards &= guards

    def step(self) -> bool:
        """Take one response, if there is one."""
        try:
            response = self.pair.receive()
        except SlowPeerError:
            self.pair = self.begin()
            return True
        if response is None:
            self.silent = True
            self.guards = set(self.mesh.guards)
            return False
        self.take(response)
        if self.silent:
            self.check()
        return True

    def settle(self) -> None:
        while self.step():
            pass
        for url in ALL:
            assert self.held[url] == self.mesh.bodies(url)

    def check(self) -> None:
        """Nothing the client has names a policy it lacks, and nothing is left without its guard."""
        policies = {
            name: security.Authorization.FromString(body) for name, body in self.held[AUTHORIZATION].items()
        }
        for url in (ADDRESS, WORKLOAD):
            for uid, body in self.held[url].items():
                named = set(_workload(url, body).authorization_policies)
                assert named <= policies.keys(), "a policy is named that is not known"
                for name, guarded in self.guards:
                    everywhere = name in policies and policies[name].scope == security.NAMESPACE
                    assert uid != guarded or everywhere or name in named, "a guard is missing"


class GuardedDelta(GuardedClient):
    """A client of the delta variant; it comes back with the versions of what it has."""

    def begin(self) -> Pair:
        pair = DeltaPair(self.mesh)
        for url in ALL:
            versions = {name: content_version(body) for name, body in self.held[url].items()}
            pair.send(type_url=url, versions=versions)
        return pair

    def come_back(self) -> None:
        """
        Begin anew; whatever the server has to say already comes before the next type is asked for.

        A client that has nothing is a new one to the server, and to itself: it guards nothing yet.
        """
        self.silent = self.silent and bool(self.held[ADDRESS] and self.held[WORKLOAD])
        self.pair = pair = DeltaPair(self.mesh)
        for url in ALL:
            versions = {name: content_version(body) for name, body in self.held[url].items()}
            pair.send(type_url=url, versions=versions)
            while (response := pair.session.next_response(0.0)) is not None:
                self.take(pair.read(response.encoded.payload))
                if self.silent:
                    self.check()

    def take(self, response: Received) -> None:
        held = self.held[response.type_url]
        held |= {entry.name: entry.body for entry in response.entries}
        for name in response.removed:
            held.pop(name, None)


class GuardedState(GuardedClient):
    """A client of the state-of-the-world variant."""

    def begin(self) -> Pair:
        pair = StatePair(self.mesh)
        for url in ALL:
            pair.send(type_url=url)
        return pair

    def take(self, response: Received) -> None:
        url = response.type_url
        self.held[url] = {_name(url, entry.body): entry.body for entry in response.entries}


def _workload(url: str, body: bytes) -> api.Workload:
    return api.Address.FromString(body).workload if url == ADDRESS else api.Workload.FromString(body)


def _name(url: str, body: bytes) -> str:
    if url != AUTHORIZATION:
        return _workload(url, body).uid
    message = security.Authorization.FromString(body)
    return f"{message.namespace}/{message.name}"
