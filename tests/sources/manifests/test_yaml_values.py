"""Which values a YAML stream stands for, with and without the C library."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xds_server.sources.manifests.yaml_values import PARSER, documents

each_parser = pytest.mark.parametrize("parser", [PARSER, yaml.SafeLoader])

NINES = b"".join(
    b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 9)) for name in b"bcdefghi"
)
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + NINES
MERGE_BOMB = b"a: &a {k: 1}\n" + b"".join(
    b"%c: &%c {<<: [%s]}\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 9)) for name in b"bcdefghi"
)


@each_parser
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-12", -12),
        ("1.10", 1.1),
        ("1.5e+3", 1500.0),
        ("12e3", "12e3"),
        ("1.5e3", "1.5e3"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("! [1]", [1]),
        ("!!int '1'", 1),
        ("true", True),
        ("FALSE", False),
        ("'true'", "true"),
        ("null", None),
        ("~", None),
        ("''", ""),
        ("yes", "yes"),
        ("on", "on"),
        ("0x10", "0x10"),
        ("0644", "0644"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("+1", "+1"),
        (".inf", ".inf"),
        ("-", [None]),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("9" * 5000, "9" * 5000),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("{a: [], b: {}}", {"a": [], "b": {}}),
        ("a:\n- b:\n  - c\n- d", {"a": [{"b": ["c"]}, "d"]}),
        ("!!map {a: !!seq [1]}", {"a": [1]}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}", {"a": {"p": 1, "q": 2}, "b": {"q": 2, "p": 3}}),
        ("a: &x {p: 1}\nb: {<<: [*x, {p: 2, q: 2}]}", {"a": {"p": 1}, "b": {"p": 1, "q": 2}}),
    ],
)
def test_a_document_means_what_it_means_in_json(text: str, expected: Any, parser: Any) -> None:
    values = list(documents(text.encode(), parser))
    assert values == [expected]
    assert type(values[0]) is type(expected) or isinstance(expected, dict)


@each_parser
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: *x", "the alias *x names nothing that ends before it"),
        ("a: &x [*x]", "the alias *x names nothing that ends before it"),
        ("a: &x 1\n---\nb: *x", "the alias *x names nothing that ends before it"),
        ("!!python/name:os.system x", "the tag tag:yaml.org,2002:python/name:os.system has no meaning here"),
        ("!!timestamp 2024-01-01", "the tag tag:yaml.org,2002:timestamp has no meaning here"),
        ("!!set {a}", "the tag tag:yaml.org,2002:set has no meaning here"),
        ("{[a]: b}", "a key is no text"),
        ("{<<: 1}", "<< names no mapping"),
        ("[" * 300, "it is nested more than 200 levels deep"),
        ("- " * 300, "it is nested more than 200 levels deep"),
        ("{a: " * 300, "it is nested more than 200 levels deep"),
    ],
)
def test_what_has_no_meaning_in_json_is_refused_with_its_place(text: str, why: str, parser: Any) -> None:
    with pytest.raises(yaml.MarkedYAMLError) as refused:
        list(documents(text.encode(), parser))
    assert refused.value.problem == why
    assert refused.value.problem_mark is not None


@each_parser
@pytest.mark.parametrize("text", [BOMB, MERGE_BOMB, b"\n---\n".join([BOMB[:200].rsplit(b"\n", 1)[0]] * 100)])
def test_aliases_that_explode_are_refused(text: bytes, parser: Any) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match=r"its aliases stand for more than [0-9,]+ further values"):
        list(documents(text, parser))


@each_parser
def test_aliases_in_moderation_are_allowed(parser: Any) -> None:
    text = b"l: &l {app: web, tier: back}\nitems:\n" + b"- {labels: *l}\n" * 2000
    (value,) = documents(text, parser)
    assert value["items"] == [{"labels": {"app": "web", "tier": "back"}}] * 2000


@each_parser
def test_mappings_know_the_line_they_begin_on(parser: Any) -> None:
    first, second = documents(b"# comment\na: {}\n---\nb:\n- c: 1\n  d: 2\n-\n  e: 1\n", parser)
    assert (first.line, first["a"].line, second.line) == (2, 2, 4)
    assert [item.line for item in second["b"]] == [5, 8]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(values, max_size=3))
def test_what_is_dumped_as_yaml_is_read_back(written: list[Any]) -> None:
    text = yaml.safe_dump_all(written, explicit_start=True)
    assert list(documents(text.encode())) == written
