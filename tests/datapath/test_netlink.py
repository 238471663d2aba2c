"""A netlink socket, with a kernel played by the test and with the real one."""

import errno
import socket
import struct
from collections.abc import Iterator
from threading import Thread

import pytest

from xds_server.datapath import requests
from xds_server.datapath.netlink import DUMP, HEADER, ROUTE, Netlink, RefusedError, attributes, messages

MULTI, INTERRUPTED, SAYS_MORE = 0x2, 0x10, 0x200
ERROR, DONE, OBJECT = 2, 3, 24
NO_ERROR = struct.pack("=i", 0)


@pytest.fixture
def ends() -> Iterator[tuple[Netlink, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, Netlink(ours) as netlink:
        yield netlink, theirs


def message(kind: int, sequence: int, body: bytes, flags: int = 0) -> bytes:
    packed = HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body
    return packed + b"\0" * (-len(packed) % 4)


def failure(code: int, words: str = "") -> bytes:
    text = words.encode() + b"\0"
    more = struct.pack("=HH", 4 + len(text), 1) + text if words else b""
    return struct.pack("=i", -code) + b"\0" * HEADER.size + more


def test_a_request_is_acknowledged(ends: tuple[Netlink, socket.socket]) -> None:
    netlink, kernel = ends
    kernel.send(message(ERROR, 1, NO_ERROR))
    netlink.ask(OBJECT, 0x400, b"body")
    (asked,) = messages(kernel.recv(1000))
    assert asked == (OBJECT, 0x400 | 0x1 | 0x4, 1, b"body")


@pytest.mark.parametrize(
    ("words", "flags", "told"),
    [
        ("", 0, "No such device"),
        ("Unknown device type", SAYS_MORE, "No such device (Unknown device type)"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_kernel(
    words: str, flags: int, told: str, ends: tuple[Netlink, socket.socket]
) -> None:
    netlink, kernel = ends
    kernel.send(message(ERROR, 1, failure(errno.ENODEV, words), flags))
    with pytest.raises(RefusedError) as refused:
        netlink.ask(OBJECT, 0, b"")
    assert (refused.value.code, str(refused.value)) == (errno.ENODEV, told)


def test_answers_to_earlier_requests_are_not_taken_for_this_one(ends: tuple[Netlink, socket.socket]) -> None:
    netlink, kernel = ends
    kernel.send(message(ERROR, 7, failure(errno.EPERM)) + message(ERROR, 1, NO_ERROR))
    netlink.ask(OBJECT, 0, b"")


def test_a_dump_is_all_bodies_of_all_parts(ends: tuple[Netlink, socket.socket]) -> None:
    netlink, kernel = ends
    kernel.send(message(OBJECT, 1, b"one", MULTI) + message(OBJECT, 1, b"two", MULTI))
    kernel.send(message(OBJECT, 1, b"three", MULTI) + message(DONE, 1, NO_ERROR, MULTI))
    assert netlink.dump(26, b"") == [b"one", b"two", b"three"]
    (asked,) = messages(kernel.recv(1000))
    assert asked[1] == DUMP | 0x1


@pytest.mark.parametrize("kind", [OBJECT, DONE])
def test_a_dump_during_which_things_changed_is_asked_for_again(
    kind: int, ends: tuple[Netlink, socket.socket]
) -> None:
    netlink, kernel = ends
    flags = {OBJECT: MULTI, DONE: MULTI} | {kind: MULTI | INTERRUPTED}
    kernel.send(message(OBJECT, 1, b"old", flags[OBJECT]) + message(DONE, 1, NO_ERROR, flags[DONE]))
    kernel.send(message(OBJECT, 2, b"new", MULTI) + message(DONE, 2, NO_ERROR, MULTI))
    assert netlink.dump(26, b"") == [b"new"]


def test_what_never_stops_changing_is_told(ends: tuple[Netlink, socket.socket]) -> None:
    netlink, kernel = ends

    def answer() -> None:
        while asked := kernel.recv(1000):
            (_, _, sequence, _) = next(messages(asked))
            kernel.send(message(DONE, sequence, NO_ERROR, MULTI | INTERRUPTED))

    playing = Thread(target=answer, daemon=True)
    playing.start()
    with pytest.raises(RefusedError, match="it changes all the time"):
        netlink.dump(26, b"")
    kernel.shutdown(socket.SHUT_RD)
    playing.join()


def test_a_dump_that_fails_at_its_end_is_told(ends: tuple[Netlink, socket.socket]) -> None:
    netlink, kernel = ends
    kernel.send(message(DONE, 1, struct.pack("=i", -errno.ENOENT), MULTI))
    with pytest.raises(RefusedError) as refused:
        netlink.dump(26, b"")
    assert refused.value.code == errno.ENOENT


def test_a_kernel_that_is_gone_is_told(ends: tuple[Netlink, socket.socket]) -> None:
    netlink, kernel = ends
    kernel.shutdown(socket.SHUT_RD)
    with pytest.raises(RefusedError, match="Broken pipe"):
        netlink.ask(OBJECT, 0, b"")


@pytest.mark.parametrize("received", [b"", b"short", HEADER.pack(0, 1, 1, 1, 1) + b"more"])
def test_what_is_no_message_is_left(received: bytes) -> None:
    assert list(messages(received)) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", {}),
        (struct.pack("=HH4s", 8, 1, b"four"), {1: b"four"}),
        (struct.pack("=HH4sHH2s", 6, 2, b"ab", 6, 0x8003, b"cd"), {2: b"ab", 3: b"cd"}),
        (struct.pack("=HH", 0, 1), {}),
    ],
)
def test_attributes_are_found_by_their_types(body: bytes, found: dict[int, bytes]) -> None:
    assert attributes(b"head" + body, 4) == found


def test_the_real_kernel_answers() -> None:
    with Netlink.of(ROUTE) as netlink:
        links = netlink.dump(requests.GET_LINK, requests.all_links())
        assert any(attributes(body, 16)[3] == b"lo\0" for body in links)
        with pytest.raises(RefusedError):
            netlink.ask(requests.DELETE_LINK, 0, requests.named_link("offmesh-no-link"))


def test_a_protocol_that_the_kernel_does_not_have_is_told() -> None:
    with pytest.raises(RefusedError, match="Protocol not supported"):
        Netlink.of(31)
