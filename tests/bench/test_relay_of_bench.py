"""A relay passes on what comes, and remembers when the client was sent something."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    """Before a server that sends back what it gets."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        served, _ = listening.accept()
        with served:
            while data := served.recv(1 << 16):
                served.sendall(data)

    server = threading.Thread(target=serve)
    server.start()
    made = Relay(f"127.0.0.1:{listening.getsockname()[1]}")
    yield made
    made.close()
    server.join()
    listening.close()


def echoed(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    answer = b""
    while len(answer) < len(data):
        answer += client.recv(1 << 16)
    return answer


def connected(relay: Relay) -> socket.socket:
    host, _, port = relay.address.partition(":")
    return socket.create_connection((host, int(port)))


def test_what_comes_is_passed_in_both_directions(relay: Relay) -> None:
    with connected(relay) as client:
        assert echoed(client, b"x" * 100_000) == b"x" * 100_000


def test_it_tells_when_the_client_was_last_and_first_sent_something(relay: Relay) -> None:
    with connected(relay) as client:
        begun = time.time()
        echoed(client, b"x" * 1_000)
        between = time.time()
        echoed(client, b"x" * 1_000)
        ended = time.time()
    assert begun <= relay.first_after(begun) <= relay.last_before(between) <= between
    assert between <= relay.first_after(between) <= relay.last_before(ended) <= ended


def test_small_messages_of_the_protocol_are_not_what_is_told(relay: Relay) -> None:
    with connected(relay) as client:
        assert echoed(client, b"x" * 17) == b"x" * 17
        with pytest.raises(RuntimeError, match="nothing was passed"):
            relay.last_before(time.time())
        with pytest.raises(RuntimeError, match="nothing was passed"):
            relay.first_after(0.0)
