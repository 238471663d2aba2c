"""Bytes joined by hand are read by independent decoders as what was meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.wire import (
    Entry,
    Received,
    read_delta,
    read_delta_independently,
    read_state,
    read_state_independently,
)
from xds_server.catalog.encode import (
    content_version,
    delta_response,
    resource_entry,
    state_of_the_world_response,
    varint,
)
from xds_server.catalog.resource import ADDRESS, ResourceType
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds

# Lengths at which a varint grows: one, two and three bytes.
LENGTHS = (0, 1, 127, 128, 16_383, 16_384)
BODIES = st.one_of(
    st.sampled_from([bytes(length) for length in LENGTHS]),
    st.binary(max_size=40),
    st.integers(0, 300).map(lambda length: b"\xff" * length),
)
NAMES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["Kubernetes//Pod/ns/pod", "ns/host", "/2001:db8::1", "\u00e9" * 64, "n" * 128]),
)
RESOURCES = st.lists(st.tuples(NAMES, BODIES, st.lists(NAMES, max_size=3)), max_size=5)
TYPE_URLS = st.one_of(st.just(ADDRESS), NAMES)
SETTINGS = settings(max_examples=100, deadline=None)


@SETTINGS
@given(TYPE_URLS, NAMES, NAMES, RESOURCES, st.lists(NAMES, max_size=4))
def test_a_delta_response_is_read_as_what_was_meant(
    type_url: str,
    version: str,
    nonce: str,
    resources: list[tuple[str, bytes, list[str]]],
    removed: list[str],
) -> None:
    kind = ResourceType(type_url)
    entries = [kind.frame(name, body).entry_with_aliases(tuple(aliases)) for name, body, aliases in resources]
    payload = delta_response(type_url, version, nonce, entries, removed)
    expected = Received(
        type_url,
        version,
        nonce,
        [
            Entry(name, content_version(body), type_url, body, tuple(aliases))
            for name, body, aliases in resources
        ],
        removed,
    )
    assert read_delta(payload) == expected
    assert read_delta_independently(payload) == expected


@SETTINGS
@given(TYPE_URLS, NAMES, NAMES, st.lists(st.tuples(NAMES, BODIES), max_size=5))
def test_a_state_of_the_world_response_is_read_as_what_was_meant(
    type_url: str, version: str, nonce: str, resources: list[tuple[str, bytes]]
) -> None:
    kind = ResourceType(type_url)
    packed = [kind.frame(name, body).packed for name, body in resources]
    payload = state_of_the_world_response(type_url, version, nonce, packed)
    expected = Received(
        type_url, version, nonce, [Entry("", "", type_url, body, ()) for _, body in resources], []
    )
    assert read_state(payload) == expected
    assert read_state_independently(payload) == expected


@SETTINGS
@given(NAMES, BODIES)
def test_a_frame_is_the_same_with_no_aliases_given(name: str, body: bytes) -> None:
    resource = ResourceType(ADDRESS).frame(name, body)
    assert resource.entry_with_aliases(()) == resource.entry


def test_a_response_read_and_written_again_loses_nothing() -> None:
    """Nothing stands under a number that the message does not have."""
    entry = ResourceType(ADDRESS).frame("a", b"body").entry_with_aliases(("x", "y"))
    payload = delta_response(ADDRESS, "v", "n", [entry], ["gone", ""])
    message = xds.DeltaDiscoveryResponse.FromString(payload)
    assert len(message.SerializeToString()) == len(payload)
    assert xds.DeltaDiscoveryResponse.FromString(message.SerializeToString()) == message


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (16_383, b"\xff\x7f"),
        (16_384, b"\x80\x80\x01"),
        (1 << 32, b"\x80\x80\x80\x80\x10"),
    ],
)
def test_a_varint_has_seven_bits_in_each_byte_lowest_first(number: int, data: bytes) -> None:
    assert varint(number) == data


def test_empty_text_is_absent_as_a_field_and_present_as_an_element() -> None:
    assert read_delta(delta_response("", "", "", [], [""])) == Received("", "", "", [], [""])
    assert delta_response("", "", "", [], []) == b""
    assert state_of_the_world_response("", "", "", []) == b""


@pytest.mark.parametrize("length", [*LENGTHS, 70_000, 1 << 21])
def test_a_nested_length_is_right_where_the_outer_varint_grows(length: int) -> None:
    entry = resource_entry("n" * length, "v", ResourceType("t").frame("", b"").packed)
    assert read_delta_independently(delta_response("t", "", "", [entry, entry], [])).names == [
        "n" * length,
        "n" * length,
    ]


def test_versions_are_digests_of_the_content() -> None:
    assert content_version(b"a") == content_version(b"a") != content_version(b"b")
    # Equal after an upgrade too, or every client of every replica would be sent everything again.
    assert content_version(b"") == "e4a6a0577479b2b4"
