"""Names: each is used wherever it stands, and those that cannot work are refused."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from ipaddress import IPv4Interface

import pytest

from tests.datapath.nodes import NAMES, NODE_OF, OTHER_NAMES
from tests.datapath.program_listing import listing
from xds_server.datapath.names import Names
from xds_server.datapath.program import Mark
from xds_server.datapath.programs import PROGRAMS
from xds_server.exceptions import InputError


def renamed() -> Iterator[tuple[str, str]]:
    """Yield how each name of the originals is spelled in a listing, and how the other is."""
    for field in fields(Names):
        old, new = getattr(NAMES, field.name), getattr(OTHER_NAMES, field.name)
        yield str(old), str(new)
        if isinstance(old, IPv4Interface):
            yield str(old.ip), str(new.ip)
    everything = Mark(NAMES.skip_connection.value, 0xFFFFFFFF)
    yield str(everything), str(Mark(OTHER_NAMES.skip_connection.value, 0xFFFFFFFF))
    for mark in (NAMES.skip_connection, NAMES.from_proxy):
        new = {NAMES.skip_connection: OTHER_NAMES.skip_connection}.get(mark, OTHER_NAMES.from_proxy)
        yield f"{mark.mask:#x}", f"{new.mask:#x}"
    for place in range(1, 4):
        yield str(NAMES.tproxy_priority + place), str(OTHER_NAMES.tproxy_priority + place)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_name_is_used_wherever_it_stands(name: str) -> None:
    words = dict(renamed())
    make, node = PROGRAMS[name], replace(NODE_OF[name], capture_dns=True)
    # What stands between these is a whole value, be it within a sysctl's path or after an address.
    parts = re.split(r"([\s:\]]|net/ipv4/conf/|/rp_filter|/accept_local)", listing(make(node, NAMES)))
    expected = "".join(words.get(part, part) for part in parts)
    expected = expected.replace(NAMES.chain_prefix, OTHER_NAMES.chain_prefix)
    assert listing(make(node, OTHER_NAMES)) == expected


@pytest.mark.parametrize("field", fields(Names), ids=lambda field: field.name)
def test_no_name_is_the_same_in_both(field: object) -> None:
    """Or the test above would say nothing of it."""
    name = field.name  # type: ignore[attr-defined]
    assert getattr(NAMES, name) != getattr(OTHER_NAMES, name)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"outbound_port": 0}, "outbound_port is 0: expected a port"),
        ({"inbound_vni": 2**24}, "inbound_vni is 16777216: expected 1 to 16777215"),
        ({"proxy_table": 254}, "proxy_table is 254: expected a table that the kernel does not use itself"),
        ({"inbound_priority": 32766}, "inbound_priority is 32766: expected 1 to 32765"),
        ({"pods_set": "a b"}, "pods_set is 'a b': expected a letter, then up to 26 letters"),
        ({"pods_set": "s" * 28}, "pods_set is 's"),
        ({"chain_prefix": "-x"}, "chain_prefix is '-x': expected a letter, then up to 16 letters"),
        ({"skip": NAMES.to_proxy}, "skip_connection is 0x220/0x220: expected one that includes skip"),
        ({"from_proxy": NAMES.skip_connection}, "from_proxy is 0x220/0x220: expected one told from"),
        ({"to_proxy": NAMES.skip}, "to_proxy is 0x200/0x200: expected other bits than those of skip"),
        ({"tproxy": Mark(0x400, 0xFF)}, "tproxy is 0x400/0xff: expected bits within its mask"),
    ],
)
def test_names_that_cannot_work_are_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=f"^names: {problem}"):
        replace(NAMES, **change)  # type: ignore[arg-type]


def test_a_name_that_no_link_may_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"^device 'a b': expected 1 to 15"):
        Names(inbound_link="a b")


@pytest.mark.parametrize(("value", "mask"), [(2**32, 2**32), (-1, 1)])
def test_a_mark_has_32_bits(value: int, mask: int) -> None:
    with pytest.raises(InputError, match="expected a value and a mask of 32 bits"):
        Mark(value, mask)


@pytest.mark.parametrize(
    ("mark", "other", "includes"),
    [
        (Mark(0x220, 0x220), Mark(0x200, 0x200), True),
        (Mark(0x200, 0x200), Mark(0x220, 0x220), False),
        (Mark(0x220, 0x220), Mark(0x210, 0x210), False),
        (Mark(0x20, 0x220), Mark(0x200, 0x200), False),
    ],
)
def test_a_mark_includes_another_when_it_has_its_bits(mark: Mark, other: Mark, includes: bool) -> None:
    assert mark.includes(other) is includes
