"""The text of cluster-conf.yaml that is accepted, and what holds of any text."""

from ipaddress import IPv6Address
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.placement_maps import as_plain_data, maps
from xds_server.exceptions import Problem
from xds_server.objects.cluster_conf import Pair, PlacementMap, Single
from xds_server.sources.placement.parse import PlacementError, parse_placement_map

PAIR = "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.2, cpuNodeName: a, dpuNodeName: b}\n"


def parsed(text: str) -> PlacementMap:
    return parse_placement_map(text.encode(), "map.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            PAIR, PlacementMap((Pair("10.0.0.1", "10.0.0.2", "a", "b", 2),)), id="a pair in its full form"
        ),
        pytest.param(
            "pairs:\n  - cpuNodeIP: 10.0.0.1\n    dpuNodeIP: 10.0.0.2\n",
            PlacementMap((Pair("10.0.0.1", "10.0.0.2", None, None, 2),)),
            id="a pair without names",
        ),
        pytest.param(
            "pairs:\n- dpuNodeName: b\n  cpuNodeIP: '10.0.0.1'\n  dpuNodeIP: \"10.0.0.2\"\n",
            PlacementMap((Pair("10.0.0.1", "10.0.0.2", None, "b", 2),)),
            id="keys in any order, values in quotes, one name only",
        ),
        pytest.param(
            "singles:\n- nodeIP: 10.0.0.1\n  nodeName: a\n- nodeIP: 10.0.0.2\n- 10.0.0.3\n",
            PlacementMap(
                singles=(Single("10.0.0.1", "a", 2), Single("10.0.0.2", None, 4), Single("10.0.0.3", None, 5))
            ),
            id="singles as mappings with and without a name, and as addresses alone",
        ),
        pytest.param(
            f"{PAIR}- {{cpuNodeIP: 10.0.0.3, dpuNodeIP: 10.0.0.2, dpuNodeName: b}}\n"
            "- {cpuNodeIP: 10.0.0.4, dpuNodeIP: 10.0.0.2}\n",
            PlacementMap(
                (
                    Pair("10.0.0.1", "10.0.0.2", "a", "b", 2),
                    Pair("10.0.0.3", "10.0.0.2", None, "b", 3),
                    Pair("10.0.0.4", "10.0.0.2", None, None, 4),
                )
            ),
            id="many CPU nodes with one DPU node",
        ),
        pytest.param(
            "pairs:\n- {cpuNodeIP: 'FD00:0:0::1', dpuNodeIP: 'fd00::1.2.3.4'}\nsingles: ['fe80::1']\n",
            PlacementMap((Pair("fd00::1", "fd00::102:304", line=2),), (Single("fe80::1", None, 3),)),
            id="IPv6 in any spelling, kept in the canonical one",
        ),
        pytest.param("pairs: []\n", PlacementMap(), id="no pairs, said outright"),
        pytest.param("singles: []\npairs: []\n", PlacementMap(), id="sections in any order"),
        pytest.param(
            "# why\n---\npairs: # these\n\n- {cpuNodeIP:\t10.0.0.1, dpuNodeIP: 10.0.0.2}\n...\n",
            PlacementMap((Pair("10.0.0.1", "10.0.0.2", line=5),)),
            id="comments, blank lines, document marks, a tab between key and value",
        ),
        pytest.param(
            "singles: [{nodeIP: 10.0.0.1, nodeName: 'null'}, {nodeIP: 10.0.0.2, nodeName: 12}]\n",
            PlacementMap(singles=(Single("10.0.0.1", "null", 1), Single("10.0.0.2", "12", 1))),
            id="names that YAML alone would read as something else",
        ),
        pytest.param("\ufeffpairs: []\r\n", PlacementMap(), id="a byte order mark and Windows line ends"),
        pytest.param(
            '{"singles": ["10.0.0.1"]}', PlacementMap(singles=(Single("10.0.0.1", None, 1),)), id="JSON"
        ),
    ],
)
def test_a_good_map_is_read_as_it_is_meant(text: str, expected: PlacementMap) -> None:
    assert parsed(text) == expected


def without_lines(placement: PlacementMap) -> PlacementMap:
    return PlacementMap(
        tuple(msgspec.structs.replace(pair, line=0) for pair in placement.pairs),
        tuple(msgspec.structs.replace(single, line=0) for single in placement.singles),
    )


def sparse(octets: list[int]) -> IPv6Address:
    return IPv6Address(bytes(octets))


@given(
    st.lists(st.sampled_from([0, 0, 0, 1, 0xDB, 0xFF]), min_size=15, max_size=15).map(
        lambda rest: sparse([0x20, *rest])
    )
    | st.lists(st.integers(0, 255), min_size=2, max_size=2).map(lambda last: sparse([0] * 12 + [1, 2, *last]))
)
def test_ipv6_is_kept_in_the_spelling_of_the_mesh(address: IPv6Address) -> None:
    for spelling in (str(address), address.exploded, address.exploded.upper()):
        assert parsed(f"singles: ['{spelling}']\n").singles[0].node_ip == str(address)


@given(maps(), st.sampled_from([None, True, False]), st.booleans(), st.sampled_from([None, "'", '"']))
def test_every_valid_map_comes_back_from_its_yaml(
    placement: PlacementMap, flow: bool | None, sort_keys: bool, style: str | None
) -> None:
    text = yaml.safe_dump(
        as_plain_data(placement), default_flow_style=flow, sort_keys=sort_keys, default_style=style
    )
    assert without_lines(parsed(text)) == placement


@given(maps())
def test_every_entry_knows_its_line(placement: PlacementMap) -> None:
    text = yaml.safe_dump(as_plain_data(placement), sort_keys=False)
    lines = text.splitlines()
    read = parsed(text)
    assert all(pair.cpu_node_ip in lines[pair.line - 1] for pair in read.pairs)
    assert all(single.node_ip in lines[single.line - 1] for single in read.singles)


def places_are_in(text: bytes, error: PlacementError) -> bool:
    """True if each problem names a line of the text; the last may be a count without a line."""
    wheres = [problem.where for problem in error.problems if not problem.subject.startswith("and ")]
    last = len(text.decode(errors="replace").splitlines())
    return bool(wheres) and all(
        where.startswith("map.yaml:") and 1 <= int(where.removeprefix("map.yaml:")) <= max(1, last)
        for where in wheres
    )


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.text("pairsingle: -[]{}#&*!'\"\n\t\\01.").map(str.encode)
    )
)
@example(b"? ? ? a")
@example(b"? [pairs]\n: - 1\n- ")
@example(b"\xef\xbb\xbf")
@example(b"%TAG ! !\n--- !a b")
def test_arbitrary_text_is_a_map_or_is_refused_with_a_place_in_it(text: bytes) -> None:
    try:
        parse_placement_map(text, "map.yaml")
    except PlacementError as error:
        assert places_are_in(text, error)


keys = st.sampled_from(
    ["pairs", "singles", "cpuNodeIP", "dpuNodeIP", "nodeIP", "cpuNodeName", "nodeName", "x"]
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["10.0.0.1", "10.0.0.2", "a", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
)


@given(st.dictionaries(keys, values, max_size=3), st.booleans())
def test_any_shape_of_data_is_a_map_or_is_refused_with_a_place_in_it(
    data: dict[str, Any], flow: bool
) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow).encode()
    try:
        read = parse_placement_map(text, "map.yaml")
    except PlacementError as error:
        assert places_are_in(text, error)
    else:
        assert {"pairs": len(read.pairs), "singles": len(read.singles)} == {
            section: len(data.get(section, [])) for section in ("pairs", "singles")
        }


@given(maps(), st.data())
def test_a_map_cut_short_or_with_a_character_changed_never_ends_in_anything_but_problems(
    placement: PlacementMap, data: st.DataObject
) -> None:
    text = yaml.safe_dump(as_plain_data(placement)).encode()
    at = data.draw(st.integers(0, len(text)))
    instead = data.draw(
        st.sampled_from([b"", b"\t", b":", b"-", b"&", b"*", b"[", b"{", b"'", b"\n", b"\xff", b"9"])
    )
    changed = text[:at] + instead + (text[at + 1 :] if data.draw(st.booleans()) else b"")
    try:
        parse_placement_map(changed, "map.yaml")
    except PlacementError as error:
        assert places_are_in(changed, error)


def refusal(text: str) -> tuple[Problem, ...]:
    with pytest.raises(PlacementError) as caught:
        parsed(text)
    return caught.value.problems


def test_twenty_problems_are_told_and_the_rest_counted() -> None:
    lines = "".join(f"- node-{number}\n" for number in range(1000))
    problems = refusal(f"singles:\n{lines}")
    assert [problem.where for problem in problems[:20]] == [f"map.yaml:{line}" for line in range(2, 22)]
    assert [str(problem) for problem in problems[20:]] == ["map.yaml: and 980 more"]


def test_a_million_open_brackets_are_refused_without_reading_them() -> None:
    unknown, syntax = refusal("x: " + "[" * 1_000_000)
    assert unknown.subject == "x"
    assert str(syntax) == "map.yaml:1: syntax is wrong (nested more than 16 levels deep): expected YAML"


def test_aliases_of_aliases_are_refused_and_not_followed() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert str(refusal(bomb)[-1]) == "map.yaml: and 70 more"
