"""Who is connected, by every name an operator may know a client under."""

import pytest

from tests.helpers.addresses import ServedMesh
from tests.helpers.session_pair import NODE_ID, DeltaPair, StatePair
from xds_server.sessions.clients import Client, Clients


@pytest.fixture
def clients() -> Clients:
    return Clients()


def connect(clients: Clients, node_id: str = NODE_ID) -> Client:
    pair = DeltaPair(ServedMesh())
    client = clients.connect(pair.session, "delta", "ipv4:10.0.0.1:4000", 1.0)
    if node_id:
        assert pair.node is not None
        pair.node.id = node_id
        pair.send()
    return client


def test_two_streams_of_one_node_are_two_clients(clients: Clients) -> None:
    first, second = connect(clients), connect(clients)
    assert (first.id, second.id) == (f"{NODE_ID}#1", f"{NODE_ID}#2")
    assert list(clients) == [first, second]


def test_a_number_is_never_given_twice(clients: Clients) -> None:
    clients.disconnect(connect(clients), "closed")
    assert connect(clients).number == 2


def test_a_client_that_has_said_nothing_is_unknown(clients: Clients) -> None:
    assert connect(clients, "").id == "unknown#1"


@pytest.mark.parametrize("name", [f"{NODE_ID}#1", NODE_ID, "ztunnel-x.istio-system", "1"])
def test_a_client_is_found_by_its_id_its_node_its_pod_and_its_number(clients: Clients, name: str) -> None:
    wanted = connect(clients)
    connect(clients, "ztunnel~10.0.0.2~ztunnel-y.istio-system~cluster.local")
    assert clients.find(name) == [wanted]


@pytest.mark.parametrize("name", ["", "3", "ztunnel", "istio-system", "x"])
def test_what_names_no_client_finds_none(clients: Clients, name: str) -> None:
    connect(clients)
    connect(clients, "a node id of its own kind")
    assert clients.find(name) == []


def test_streams_and_their_ends_are_counted(clients: Clients) -> None:
    first = connect(clients)
    clients.connect(StatePair(ServedMesh()).session, "state-of-the-world", "peer", 2.0)
    clients.disconnect(first, "too slow")
    assert len(clients) == 1
    assert clients.totals.streams == {"delta": 1, "state-of-the-world": 1}
    assert clients.totals.ended == {"too slow": 1}
