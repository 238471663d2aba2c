"""What a manifest file's text is taken for: objects, problems, kinds passed over, or no manifest."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xds_server.exceptions import Problem
from xds_server.objects.kubernetes import Namespace, Node, Pod
from xds_server.sources.manifests.decode import Contents, decode

Value = dict[str, Any]


def named(kind: str, name: str, namespace: str | None = None, **more: Any) -> Value:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def listed(*items: Any, kind: str = "List") -> Value:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": ""}, "items": list(items)}


def without_type(value: Value) -> Value:
    return {key: item for key, item in value.items() if key not in ("apiVersion", "kind")}


def as_json(*values: Any) -> bytes:
    return b"\n".join(msgspec.json.encode(value) for value in values)


def as_indented_json(*values: Any) -> bytes:
    return "\n".join(json.dumps(value, indent=4) for value in values).encode()


def as_yaml(*values: Any) -> bytes:
    return yaml.safe_dump_all(values).encode()


FORMS = [("f.json", as_json), ("f.json", as_indented_json), ("f.yaml", as_yaml), ("f.yaml", as_json)]
each_form = pytest.mark.parametrize(("where", "form"), FORMS)


def contents(where: str, text: bytes) -> Contents:
    result = decode(where, text)
    assert isinstance(result, Contents), str(result)
    return result


def keys(found: Contents) -> list[tuple[str, str]]:
    return [(kind.__name__, key) for kind, key in found.objects]


def told(found: Contents) -> list[str]:
    return [str(problem) for problem in found.problems]


A, B = named("Pod", "a", "ns"), named("Pod", "b", "ns")
WEB = named("Service", "web", "ns", spec={"ports": [{"port": 80}]})


@each_form
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([A], [("Pod", "ns/a")]),
        ([A, WEB], [("Pod", "ns/a"), ("Service", "ns/web")]),
        ([listed(A, WEB)], [("Pod", "ns/a"), ("Service", "ns/web")]),
        ([listed(A), listed(B)], [("Pod", "ns/a"), ("Pod", "ns/b")]),
        ([listed(listed(A), B)], [("Pod", "ns/a"), ("Pod", "ns/b")]),
        ([listed(without_type(A), B, kind="PodList")], [("Pod", "ns/a"), ("Pod", "ns/b")]),
        ([[A, WEB]], [("Pod", "ns/a"), ("Service", "ns/web")]),
        ([listed(kind="PodList")], []),
        ([named("Node", "n"), named("Namespace", "n")], [("Node", "n"), ("Namespace", "n")]),
    ],
)
def test_objects_are_found_in_every_shape_kubectl_prints(
    where: str, form: Callable[..., bytes], values: list[Any], expected: list[tuple[str, str]]
) -> None:
    found = contents(where, form(*values))
    assert keys(found) == expected
    assert found.problems == []


@each_form
def test_a_namespaced_object_without_namespace_is_in_default(where: str, form: Callable[..., bytes]) -> None:
    found = contents(where, form(listed(named("Pod", "a"), named("Node", "n"))))
    assert keys(found) == [("Pod", "default/a"), ("Node", "n")]
    assert found.objects[Pod, "default/a"].namespace == "default"
    assert found.objects[Node, "n"].namespace == ""


@each_form
def test_all_forms_give_equal_objects(where: str, form: Callable[..., bytes]) -> None:
    pod = named("Pod", "a", "ns", spec={"containers": [{"ports": [{"containerPort": 80}]}]})
    pod["metadata"]["labels"] = {"app": "web", "version": "1.10", "date": "2024-01-01"}
    pod["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z"
    assert contents(where, form(pod)).objects[Pod, "ns/a"] == msgspec.convert(pod, Pod)


@each_form
def test_kinds_not_in_use_are_counted_and_are_no_problem(where: str, form: Callable[..., bytes]) -> None:
    maps = listed({"metadata": {"name": "x"}}, {"metadata": {}}, kind="SecretList")
    old = {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice", "items": "none"}
    found = contents(where, form(maps, named("Secret", "y", data={"items": "1"}), old))
    assert found.ignored == {"v1/Secret": 3, "discovery.k8s.io/v1beta1/EndpointSlice": 1}
    assert found.problems == []


X300 = "x" * 300
SHORT = "string of length <= 253"
SUBDOMAIN = "string matching regex '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\\\\Z'"
BAD_ITEMS = [
    (without_type(A), "f: items[1] apiVersion is missing"),
    ({**A, "kind": None}, "f: items[1] kind is missing"),
    ({**A, "kind": 5}, "f: items[1] kind is 5"),
    (7, "f: items[1] is 7: expected an object"),
    ([], "f: items[1] is an array: expected an object"),
    (None, "f: items[1] is null: expected an object"),
    ({**A, "metadata": {}}, "f: Pod items[1] metadata.name is missing"),
    ({"apiVersion": "v1", "kind": "Pod"}, "f: Pod items[1] metadata is missing"),
    ({**A, "metadata": "m"}, "f: Pod items[1] metadata is 'm': expected object"),
    (named("Pod", "b", spec={"nodeName": 5}), "f: Pod default/b spec.nodeName is 5: expected string or null"),
    (named("Pod", "b", status=[]), "f: Pod default/b status is an array: expected object"),
    (
        {**A, "metadata": {"name": "b", "namespace": "ns", "labels": {"ok": "1", "v": 1.5}}},
        "f: Pod ns/b metadata.labels['v'] is 1.5: expected string",
    ),
    (
        {**A, "metadata": {"name": "b", "annotations": {"ambient.istio.io/redirection": True}}},
        "f: Pod default/b metadata.annotations.ambient.istio.io/redirection is true: expected string or null",
    ),
    (
        named("Service", "b", spec={"ports": [{"port": 1}, {"port": 70000}]}),
        "f: Service default/b spec.ports[1].port is 70000: expected integer <= 65535",
    ),
    (
        named("Service", "b", spec={"ports": [{"name": "http"}]}),
        "f: Service default/b spec.ports[0].port is missing",
    ),
    (
        named("Pod", X300),
        f"f: Pod default/{X300} metadata.name is '{X300[:60]}'... (300 characters): expected {SHORT}",
    ),
    (
        named("Pod", "A_b"),
        f"f: Pod default/A_b metadata.name is 'A_b': expected {SUBDOMAIN}",
    ),
    (A, "f: Pod ns/a is defined twice: expected one definition; the first is in force"),
]


@pytest.mark.parametrize("form", [as_json, as_yaml])
@pytest.mark.parametrize(("bad", "expected"), BAD_ITEMS)
def test_one_bad_item_is_one_problem_that_says_what_to_mend_and_the_rest_goes_on(
    form: Callable[..., bytes], bad: Any, expected: str
) -> None:
    found = contents("f", form(listed(A, bad, WEB)))
    assert keys(found) == [("Pod", "ns/a"), ("Service", "ns/web")]
    lines = [
        f"{problem.where.partition(':')[0]}{str(problem)[len(problem.where) :]}" for problem in found.problems
    ]
    assert lines == [expected]


def test_a_bad_object_that_can_be_told_is_named_as_unusable() -> None:
    bad = named("Pod", "b", spec={"nodeName": 5})
    found = contents("f", as_json(listed(A, bad, without_type(B), {**B, "metadata": {"name": 1}})))
    assert list(found.unusable) == [(Pod, "default/b")]
    assert found.unusable[Pod, "default/b"] == found.problems[0]


def test_an_item_that_is_not_utf_8_is_one_problem_and_the_rest_goes_on() -> None:
    text = as_json(listed(A, named("Pod", "b", "x?"), {"kind": "x?", "apiVersion": "v1"}, WEB))
    found = contents("f.json", text.replace(b"x?", b"x\xff"))
    assert keys(found) == [("Pod", "ns/a"), ("Service", "ns/web")]
    assert told(found) == [
        "f.json: Pod items[1] is not UTF-8 (byte 0xff)",
        "f.json: items[2] is not UTF-8 (byte 0xff)",
    ]


def test_a_list_whose_items_are_none_is_a_problem() -> None:
    found = contents("f.json", as_json({"apiVersion": "v1", "kind": "PodList", "items": {}}))
    assert told(found) == ["f.json: the file items is an object: expected an array"]


def test_problems_in_yaml_name_the_line_of_the_innermost_mapping() -> None:
    text = b"""# comment
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web}
  spec:
    ports:
    - name: good
      port: 80
    - name: bad
      port: http
---
kind: Pod
apiVersion: v1
metadata:
  labels: {}
---
some: values
"""
    assert told(contents("f.yaml", text)) == [
        "f.yaml:12: Service default/web spec.ports[1].port is 'http': expected integer",
        "f.yaml:18: Pod document 2 metadata.name is missing",
        "f.yaml:20: document 3 apiVersion is missing",
    ]


def test_annotations_of_300_kb_are_no_burden_and_no_problem() -> None:
    pod = named("Pod", "a", "ns")
    pod["metadata"]["annotations"] = {"big": "x" * 300_000, "ambient.istio.io/redirection": "enabled"}
    for where, form in FORMS:
        found = contents(where, form(pod))
        assert found.objects[Pod, "ns/a"].annotations.redirection == "enabled"


@pytest.mark.parametrize("text", [b"# only a comment\n", b"---\n---\n# x\n", b"null", b"---\n~\n...\n"])
def test_empty_documents_are_nothing(text: bytes) -> None:
    assert decode("f.yaml", text) == Contents()


def test_a_byte_order_mark_is_passed_over() -> None:
    for where, form in FORMS:
        assert keys(contents(where, b"\xef\xbb\xbf" + form(A))) == [("Pod", "ns/a")]


def test_yaml_in_flow_style_is_not_mistaken_for_json() -> None:
    text = b"{apiVersion: v1, kind: Pod, metadata: {name: a}} # comment"
    assert keys(contents("f.yaml", text)) == [("Pod", "default/a")]


@pytest.mark.parametrize("separator", [b"\n", b" ", b"", b"\r\n\r\n"])
def test_several_json_values_may_stand_in_one_file(separator: bytes) -> None:
    text = separator.join([as_json(A), as_json(listed(B)), as_indented_json(WEB)])
    assert keys(contents("f.json", text)) == [("Pod", "ns/a"), ("Pod", "ns/b"), ("Service", "ns/web")]


GOOD = as_json(A)
BROKEN = [
    ("f.json", GOOD[:-1], "f.json: its JSON is unusable (Input data was truncated)"),
    ("f.json", b"[" + GOOD, "f.json: its JSON is unusable (Input data was truncated)"),
    ("f.json", b'{"a": 1,\n}', "f.json:2: its JSON is unusable at column 1 (trailing comma in object)"),
    ("f.json", b'{"a": 1,\n "b": x}', "f.json:2: its JSON is unusable at column 7 (invalid character)"),
    ("f.json", b"hello", "f.json:1: its JSON is unusable at column 1 (invalid character)"),
    ("f.json", GOOD + b"\n{]", "f.json:2: its JSON is unusable at column 2"),
    ("f.json", GOOD + b"\n\xff", "f.json: its JSON is not UTF-8 (byte 0xff)"),
    ("f.json", GOOD + b" " + b"1" * 5000, "f.json: its JSON is unusable (Exceeds the limit"),
    ("f.json", b"[" * 100_000, "f.json: its JSON is nested too deep"),
    ("f.json", GOOD + b"[" * 100_000, "f.json: its JSON is nested too deep"),
    ("f.yaml", b"a: 1\n---\nb: [1,\n\n", "f.yaml:3: its YAML is unusable at column 1 (did not find"),
    ("f.yaml", b"a:\n\tb: 1", "f.yaml:2: its YAML is unusable at column 1 (found character"),
    ("f.yaml", b"a: b: c", "f.yaml:1: its YAML is unusable at column 5 (mapping values"),
    ("f.yaml", b"a:\n- \xff", "f.yaml:2: its UTF-8 text is unusable at column 3 (invalid"),
    ("f.yaml", b"a: \x00", "f.yaml:1: its UTF-8 text is unusable at column 4 (control characters"),
    ("f.yaml", b"[" * 100_000, "f.yaml:1: its YAML is unusable at column 201 (it is nested more than 200"),
    ("f.yaml", GOOD[:-1], "f.yaml:1: its YAML is unusable at column"),
]


@pytest.mark.parametrize(("where", "text", "expected"), BROKEN)
def test_a_text_that_is_broken_anywhere_gives_nothing_but_the_place(
    where: str, text: bytes, expected: str
) -> None:
    result = decode(where, text)
    assert isinstance(result, Problem)
    assert str(result).startswith(expected)


def test_json_cut_anywhere_is_broken_or_whole_but_never_partly_taken() -> None:
    text = as_indented_json(listed(A, WEB))
    whole = contents("f.json", text)
    for length in range(1, len(text)):
        result = decode("f.json", text[:length])
        assert isinstance(result, Problem) or result.objects == whole.objects


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
)
fields = st.sampled_from(
    ["apiVersion", "kind", "metadata", "spec", "status", "items", "name", "labels", "ports", "port"]
)
anything = st.recursive(
    junk,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=5),
    max_leaves=20,
)


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """Some text of a manifest with a few bytes changed, inserted or cut out."""
    form = draw(st.sampled_from([as_json, as_indented_json, as_yaml]))
    text = bytearray(form(listed(A, named("Service", "b", spec=draw(anything)), WEB), draw(anything)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"&a ", b"*a", b"<<: ", b"!!int "])
        )
    return bytes(text)


@given(where=st.sampled_from(["f.json", "f.yaml", "f"]), text=mutilated() | st.binary(max_size=50))
def test_no_text_whatever_does_more_than_cause_problems(where: str, text: bytes) -> None:
    result = decode(where, text)
    if isinstance(result, Contents):
        for (kind, key), item in result.objects.items():
            assert type(item) is kind
            assert key == (item.name if kind in (Node, Namespace) else f"{item.namespace}/{item.name}")
        assert set(result.unusable.values()) <= set(result.problems)
    problems = result.problems if isinstance(result, Contents) else [result]
    assert all("\n" not in str(problem) for problem in problems)


@given(spec=anything, status=anything)
def test_json_and_yaml_of_the_same_value_are_taken_alike(spec: Any, status: Any) -> None:
    value = listed(
        named("Pod", "a", spec=spec), named("Node", "n", status=status), named("Service", "s", spec=spec)
    )
    from_json, from_yaml = contents("f", as_json(value)), contents("f", as_yaml(value))
    assert from_json.objects == from_yaml.objects
    assert from_json.unusable.keys() == from_yaml.unusable.keys()
    assert [problem.subject for problem in from_json.problems] == [p.subject for p in from_yaml.problems]
