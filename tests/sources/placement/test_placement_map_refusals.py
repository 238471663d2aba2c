"""What exactly is said of a cluster-conf.yaml that cannot be used."""

import pytest

from xds_server.sources.placement.parse import PlacementError, parse_placement_map

ADDRESS = "an IP address such as 192.168.50.130 or fd00::130"
NAME = "a node name (lower case letters, digits, - and ., at most 253 characters)"
SECTIONS = "one of pairs, singles"
PAIR_KEYS = "one of cpuNodeIP, dpuNodeIP, cpuNodeName, dpuNodeName"
WRITTEN_OUT = "each value written out, so that the line of a mistake is the line to mend"

PAIR = "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.2, cpuNodeName: a, dpuNodeName: b}\n"
"""A pair in line 2 for what follows to disagree with."""

Wrong = tuple[int, str, str]
"""Line, key and what was expected."""


def refused(text: str | bytes) -> list[Wrong]:
    with pytest.raises(PlacementError) as caught:
        parse_placement_map(text.encode() if isinstance(text, str) else text, "map.yaml")
    return [(line_in(problem.where), problem.subject, problem.expected) for problem in caught.value.problems]


def line_in(where: str) -> int:
    file, _, line = where.partition(":")
    assert file == "map.yaml"
    return int(line or 0)


REFUSED: dict[str, tuple[str | bytes, list[Wrong]]] = {
    "an empty file": ("", [(1, "placement map", "pairs: or singles:")]),
    "only comments": ("# pairs:\n", [(1, "placement map", "pairs: or singles:")]),
    "an empty document": ("---\n", [(1, "placement map", "pairs: or singles:")]),
    "an empty mapping": ("{}\n", [(1, "placement map", "pairs: or singles:")]),
    "null": ("null\n", [(1, "placement map", "pairs: or singles:")]),
    "a list": ("- pairs\n", [(1, "placement map", "a mapping with pairs: or singles:")]),
    "a text": ("pairs\n", [(1, "placement map", "a mapping with pairs: or singles:")]),
    "pairs without a value": ("pairs:\n", [(1, "pairs", "a list ([] for none)")]),
    "pairs as a mapping": ("pairs: {a: b}\n", [(1, "pairs", "a list ([] for none)")]),
    "singles as a text": ("singles: 10.0.0.1\n", [(1, "singles", "a list ([] for none)")]),
    "a section stated twice": ("pairs: []\npairs: []\n", [(2, "pairs", "once, line 1 has it")]),
    "a misspelt section": ("pair: []\n", [(1, "pair", "pairs")]),
    "a section in capitals": ("SINGLES: []\n", [(1, "SINGLES", "singles")]),
    "an unknown section": ("pairs: []\nextra: {a: [1, {b: c}]}\n", [(2, "extra", SECTIONS)]),
    "a tab before an item": ("pairs:\n\t- x\n", [(2, "indentation", "spaces")]),
    "a tab before a key": (
        "pairs:\n- cpuNodeIP: 10.0.0.1\n\tdpuNodeIP: 10.0.0.2\n",
        [(3, "indentation", "spaces")],
    ),
    "a tab behind a dash": ("pairs:\n-\tcpuNodeIP: 10.0.0.1\n", [(2, "indentation", "spaces")]),
    "a list without its end": ("pairs: [\n", [(1, "syntax", "YAML")]),
    "a quotation without its end": ("singles:\n- '10.0.0.1\n", [(2, "syntax", "YAML")]),
    "two values for a key": (
        "pairs: []\nsingles: a: b\n",
        [(2, "singles", "a list ([] for none)"), (2, "syntax", "YAML")],
    ),
    "a value at the wrong depth": ("singles:\n  - 10.0.0.1\n - 10.0.0.2\n", [(3, "syntax", "YAML")]),
    "a version of YAML to come": ("%YAML 9.9\n---\npairs: []\n", [(1, "syntax", "YAML")]),
    "a control character": ("pairs: []\n# \x1b[31m\n", [(2, "syntax", "YAML")]),
    "a zero byte": (b"pairs: []\n\n\0", [(3, "syntax", "YAML")]),
    "a byte that is not UTF-8": (b"pairs:\n- \xc3\x28\n", [(2, "encoding", "UTF-8")]),
    "UTF-16": ("pairs: []\n".encode("utf-16"), [(1, "encoding", "UTF-8")]),
    "a second document": ("pairs: []\n---\nsingles: []\n", [(2, "document", "one document")]),
    "an anchor": ("pairs: &a []\n", [(1, "anchor &a", WRITTEN_OUT)]),
    "an anchor on a key": ("&a pairs: []\n", [(1, "anchor &a", WRITTEN_OUT)]),
    "an anchor, and a tag, within an entry": (
        "singles:\n- {&a nodeIP: 10.0.0.1}\n- nodeIP: &b 10.0.0.2\n  nodeName: !!str c\n",
        [(2, "anchor &a", WRITTEN_OUT), (3, "anchor &b", WRITTEN_OUT), (4, "tag", "a value without a tag")],
    ),
    "an alias": (
        "pairs: &a []\nsingles: *a\n",
        [(1, "anchor &a", WRITTEN_OUT), (2, "alias *a", WRITTEN_OUT)],
    ),
    "an alias for an entry": ("singles:\n- *a\n", [(2, "alias *a", WRITTEN_OUT)]),
    "an alias for an address": (
        "singles:\n- {nodeIP: *a, nodeName: b}\n",
        [(2, "alias *a", WRITTEN_OUT)],
    ),
    "a merge key": (
        "singles:\n- nodeIP: 10.0.0.1\n  <<: {nodeName: a}\n",
        [(3, "'<<'", "one of nodeIP, nodeName")],
    ),
    "a tag on a list": ("pairs: !!set []\n", [(1, "tag", "a value without a tag")]),
    "a tag on a text": ("singles: [!!str 10.0.0.1]\n", [(1, "tag", "a value without a tag")]),
    "an object of Python": (
        "singles: [!!python/object/apply:os.abort []]\n",
        [(1, "tag", "a value without a tag"), (1, "singles", "an address, or a mapping with nodeIP")],
    ),
    "a pair as a text": ("pairs: [10.0.0.1]\n", [(1, "pairs", "a mapping with cpuNodeIP and dpuNodeIP")]),
    "a pair as a list": ("pairs: [[]]\n", [(1, "pairs", "a mapping with cpuNodeIP and dpuNodeIP")]),
    "a pair that is nothing": ("pairs:\n-\n", [(2, "pairs", "a mapping with cpuNodeIP and dpuNodeIP")]),
    "a single as a list": (
        "singles: [[10.0.0.1]]\n",
        [(1, "singles", "an address, or a mapping with nodeIP")],
    ),
    "a pair without anything": ("pairs:\n- {}\n", [(2, "cpuNodeIP", ADDRESS), (2, "dpuNodeIP", ADDRESS)]),
    "a pair without its CPU node": ("pairs:\n- dpuNodeIP: 10.0.0.2\n", [(2, "cpuNodeIP", ADDRESS)]),
    "a pair without its DPU node": (
        "pairs:\n- cpuNodeName: a\n  cpuNodeIP: 10.0.0.1\n",
        [(2, "dpuNodeIP", ADDRESS)],
    ),
    "a single with a name only": ("singles:\n- nodeName: a\n", [(2, "nodeIP", ADDRESS)]),
    "a single that is nothing": ("singles:\n-\n", [(2, "nodeIP", ADDRESS)]),
    "empty values": (
        "pairs:\n- cpuNodeIP:\n  dpuNodeIP: ''\n  cpuNodeName: ~\n  dpuNodeName: null\n",
        [
            (2, "cpuNodeIP", ADDRESS),
            (3, "dpuNodeIP", ADDRESS),
            (4, "cpuNodeName", "a node name, or no cpuNodeName"),
            (5, "dpuNodeName", "a node name, or no dpuNodeName"),
        ],
    ),
    "lists and mappings for texts": (
        "pairs:\n- cpuNodeIP: [10.0.0.1]\n  dpuNodeIP: {a: b}\n  cpuNodeName: []\n",
        [(2, "cpuNodeIP", "text"), (3, "dpuNodeIP", "text"), (4, "cpuNodeName", "text")],
    ),
    "a key stated twice": (
        "pairs:\n- cpuNodeIP: 10.0.0.1\n  cpuNodeIP: 10.0.0.1\n  dpuNodeIP: 10.0.0.2\n",
        [(3, "cpuNodeIP", "once, line 2 has it")],
    ),
    "a key stated again behind a list": (
        "singles:\n- nodeIP: []\n  nodeIP: 10.0.0.1\n",
        [(2, "nodeIP", "text"), (3, "nodeIP", "once")],
    ),
    "unknown keys": (
        "pairs:\n- cpuNodeIP: 10.0.0.1\n  dpuNodeIP: 10.0.0.2\n  dpuNodename: b\n  weight: 3\n",
        [(4, "dpuNodename", "dpuNodeName"), (5, "weight", PAIR_KEYS)],
    ),
    "a key that is no name": (
        'singles:\n- nodeIP: 10.0.0.1\n  "a\\nb": 1\n  ? [a, b]\n  : {c: d}\n',
        [(3, r"'a\nb'", "one of nodeIP, nodeName"), (4, "key", "text")],
    ),
    "another node's keys": (
        "singles:\n- cpuNodeIP: 10.0.0.1\n",
        [(2, "cpuNodeIP", "nodeIP"), (2, "nodeIP", ADDRESS)],
    ),
    "a leading zero": ("singles: [10.0.0.01]\n", [(1, "nodeIP", "an address without leading zeros")]),
    "a prefix": (
        "singles: [10.0.0.1/24]\n",
        [(1, "nodeIP", "one address, without a prefix length or netmask")],
    ),
    "a netmask": (
        "singles: [10.0.0.1/255.255.255.0]\n",
        [(1, "nodeIP", "one address, without a prefix length or netmask")],
    ),
    "a netmask alone": ("singles: [255.255.255.0]\n", [(1, "nodeIP", "the address of one node")]),
    "a zone": ("singles: ['fe80::1%eth0']\n", [(1, "nodeIP", "an address without a zone")]),
    "IPv4 in IPv6": (
        "singles: ['::ffff:10.0.0.1']\n",
        [(1, "nodeIP", "the IPv4 address itself, 10.0.0.1")],
    ),
    "addresses of no node": (
        "singles:\n- 0.0.0.0\n- 239.1.2.3\n- '::'\n- 'ff02::1'\n",
        [(line, "nodeIP", "the address of one node") for line in (2, 3, 4, 5)],
    ),
    "no addresses": (
        (
            "singles:\n- 10.0.0.256\n- 10.0.0\n- 167772161\n- node1\n- '10.0.0.1 '\n- \u0661.0.0.1\n"
            "- 'fd00::g'\n- 1.2.3.4444\n- 10.0.0.1:80\n"
        ),
        [(line, "nodeIP", ADDRESS) for line in range(2, 11)],
    ),
    "no node names": (
        (
            f"singles:\n- {{nodeIP: 10.0.0.1, nodeName: Node1}}\n- {{nodeIP: 10.0.0.2, nodeName: -a}}\n"
            f"- {{nodeIP: 10.0.0.3, nodeName: a..b}}\n- {{nodeIP: 10.0.0.4, nodeName: a_b}}\n"
            f"- {{nodeIP: 10.0.0.5, nodeName: {'a' * 254}}}\n- {{nodeIP: 10.0.0.6, nodeName: a b}}\n"
        ),
        [(line, "nodeName", NAME) for line in range(2, 8)],
    ),
    "a CPU node that is its own DPU node": (
        "pairs:\n- cpuNodeIP: 10.0.0.1\n  dpuNodeIP: 10.0.0.1\n",
        [(3, "dpuNodeIP", "another node than the CPU node")],
    ),
    "one name for both nodes of a pair": (
        "pairs:\n- cpuNodeIP: 10.0.0.1\n  dpuNodeIP: 10.0.0.2\n  cpuNodeName: a\n  dpuNodeName: a\n",
        [(5, "dpuNodeName", "another node than the CPU node")],
    ),
    "a CPU node with two DPU nodes": (
        f"{PAIR}- {{cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.3}}\n",
        [(3, "cpuNodeIP", "one DPU for each CPU node, line 2 has 10.0.0.2")],
    ),
    "a pair stated twice": (
        f"{PAIR}- cpuNodeName: a\n  cpuNodeIP: 10.0.0.1\n  dpuNodeIP: 10.0.0.2\n",
        [(4, "cpuNodeIP", "each pair once, line 2 has it")],
    ),
    "a single stated twice": (
        "singles:\n- nodeIP: 'fd00::1'\n- 'FD00:0::1'\n",
        [(3, "nodeIP", "each node once, line 2 has it")],
    ),
    "a DPU node as a CPU node": (
        f"{PAIR}- {{cpuNodeIP: 10.0.0.2, dpuNodeIP: 10.0.0.3}}\n",
        [(3, "cpuNodeIP", "one role for each node, line 2 makes it a DPU node")],
    ),
    "a CPU node as a DPU node": (
        f"{PAIR}-\n  cpuNodeIP: 10.0.0.3\n  dpuNodeIP: 10.0.0.1\n",
        [(5, "dpuNodeIP", "one role for each node, line 2 makes it a CPU node")],
    ),
    "a CPU node as a single node": (
        f"{PAIR}singles: [10.0.0.1]\n",
        [(3, "nodeIP", "one role for each node, line 2 makes it a CPU node")],
    ),
    "a single node as a DPU node": (
        "singles: [10.0.0.2]\npairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.2}\n",
        [(3, "dpuNodeIP", "one role for each node, line 1 makes it a single node")],
    ),
    "the name of a DPU node for a single node": (
        f"{PAIR}singles:\n- nodeIP: 10.0.0.5\n  nodeName: b\n",
        [(5, "nodeName", "one role for each node, line 2 makes it a DPU node")],
    ),
    "the name of a DPU node for a CPU node": (
        f"{PAIR}- {{cpuNodeIP: 10.0.0.4, dpuNodeIP: 10.0.0.5, cpuNodeName: b}}\n",
        [(3, "cpuNodeName", "one role for each node, line 2 makes it a DPU node")],
    ),
    "one name at two addresses": (
        f"{PAIR}- {{cpuNodeIP: 10.0.0.4, dpuNodeIP: 10.0.0.5, dpuNodeName: b}}\n",
        [(3, "dpuNodeName", "one address for each name, line 2 has 10.0.0.2")],
    ),
    "two names at one address": (
        f"{PAIR}- {{cpuNodeIP: 10.0.0.4, dpuNodeIP: 10.0.0.2, dpuNodeName: c}}\n",
        [(3, "dpuNodeName", "one name for each address, line 2 has b")],
    ),
    "two names at one address first told of without": (
        (
            "pairs:\n- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.9}\n"
            "- {cpuNodeIP: 10.0.0.2, dpuNodeIP: 10.0.0.9, dpuNodeName: b}\n"
            "- {cpuNodeIP: 10.0.0.3, dpuNodeIP: 10.0.0.9, dpuNodeName: c}\n"
        ),
        [(4, "dpuNodeName", "one name for each address, line 3 has b")],
    ),
    "a disagreement beside a bad address": (
        f"{PAIR}- {{cpuNodeIP: 10.0.0.1, dpuNodeIP: nowhere}}\n- {{cpuNodeIP: x, dpuNodeIP: 10.0.0.1}}\n",
        [
            (3, "dpuNodeIP", ADDRESS),
            (3, "cpuNodeIP", "each CPU node once, line 2 has it"),
            (4, "cpuNodeIP", ADDRESS),
            (4, "dpuNodeIP", "one role for each node, line 2 makes it a CPU node"),
        ],
    ),
    "more than one thing, in the order of the file": (
        "singles:\n- 10.0.0.01\nsingle: []\npairs:\n- cpuNodeIP: 10.0.0.1\n  speed: 1\n",
        [
            (2, "nodeIP", "an address without leading zeros"),
            (3, "single", "singles"),
            (5, "dpuNodeIP", ADDRESS),
            (6, "speed", PAIR_KEYS),
        ],
    ),
}


@pytest.mark.parametrize(("text", "wrong"), REFUSED.values(), ids=REFUSED)
def test_a_bad_map_is_refused_with_line_key_and_what_was_expected(
    text: str | bytes, wrong: list[Wrong]
) -> None:
    assert refused(text) == wrong


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "pairs:\n- 10.0.0.1\n",
            "map.yaml:2: pairs is '10.0.0.1': expected a mapping with cpuNodeIP and dpuNodeIP",
        ),
        ("pairs:\n", "map.yaml:1: pairs is empty: expected a list ([] for none)"),
        ("singles: [{}]\n", f"map.yaml:1: nodeIP is missing: expected {ADDRESS}"),
        ("singles: [{nodeIP: []}]\n", "map.yaml:1: nodeIP is a list: expected text"),
        ("pairs: []\npair: []\n", "map.yaml:2: pair is an unknown key: expected pairs"),
        ("pairs: []\npairs: []\n", "map.yaml:2: pairs is stated twice: expected once, line 1 has it"),
        ("pairs: &x []\n", f"map.yaml:1: anchor &x: expected {WRITTEN_OUT}"),
        ("pairs: !!set []\n", "map.yaml:1: tag is 'tag:yaml.org,2002:set': expected a value without a tag"),
        ("---\n--- 1\n", "map.yaml:2: document is the second in this file: expected one document"),
        (
            "singles: ['10.0.0.1\n\n",
            (
                "map.yaml:2: syntax is wrong (found unexpected end of stream while scanning a quoted scalar "
                "that begins in line 1): expected YAML"
            ),
        ),
        (
            f"singles: [{'1' * 100}]\n",
            f"map.yaml:1: nodeIP is '{'1' * 60}'... (100 characters): expected {ADDRESS}",
        ),
    ],
)
def test_a_problem_reads_as_a_sentence(text: str, told: str) -> None:
    with pytest.raises(PlacementError) as caught:
        parse_placement_map(text.encode(), "map.yaml")
    assert str(caught.value).splitlines()[-1] == told
