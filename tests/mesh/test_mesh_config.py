"""What the mesh's own ConfigMap decides, and which objects are seen at all (facts wds, 0.2, 3.7 and 6)."""

import json

import pytest

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.exceptions import InputError
from xds_server.mesh.mesh_config import with_names
from xds_server.objects.kubernetes import MeshConfigMap, MeshData, Namespace, ObjectMeta
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings


def config(mesh: str, name: str = "istio", namespace: str = "istio-system") -> str:
    return (
        f"{{kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}}}, "
        f"data: {{mesh: {json.dumps(mesh)}}}}}"
    )


def namespace(name: str, labels: str = "") -> str:
    return f"{{kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}"


def pod(inside: str) -> str:
    return f"{{kind: Pod, metadata: {{name: p, namespace: {inside}}}, status: {{podIP: 1.0.0.1}}}}"


def names(mesh: MeshUnderTest) -> list[str]:
    return sorted(mesh.messages())


def told(mesh: MeshUnderTest) -> list[str]:
    return [reason for _, _, reason in mesh.mesh.problems()]


# Discovery

SELECTED = (
    "discoverySelectors: [{matchLabels: {mesh: 'on'}}, {matchExpressions: [{key: tier, operator: Exists}]}]"
)


def test_without_selectors_everything_is_seen_also_where_no_namespace_is_known() -> None:
    assert names(MeshUnderTest(config("{}"), pod("ns"))) == ["cluster0//Pod/ns/p"]


def test_objects_of_namespaces_that_no_selector_takes_are_not_seen() -> None:
    objects = [
        "{kind: Pod, metadata: {name: p, namespace: %s}, status: {podIP: 1.0.0.1}}",
        "{kind: Service, metadata: {name: s, namespace: %s}}",
        "{kind: ServiceEntry, metadata: {name: e, namespace: %s}, spec: {hosts: [a.example.com]}}",
        "{kind: WorkloadEntry, metadata: {name: w, namespace: %s}}",
        "{kind: AuthorizationPolicy, metadata: {name: a, namespace: %s}}",
    ]
    everything = [text % inside for text in objects for inside in ("closed", "open", "tiered")]
    known = [namespace("open", "mesh: 'on'"), namespace("tiered", "tier: x"), namespace("closed", "mesh: x")]
    mesh = MeshUnderTest(config(SELECTED), *known, *everything, pod("unknown"))
    assert len(names(mesh)) == 8
    assert not [name for name in names(mesh) if "closed" in name or "unknown" in name]
    policies = [key for rows in mesh.mesh.authorizations for key, _ in rows.items()]
    assert policies == ["open/a", "tiered/a"]


def test_the_pods_of_a_namespace_come_and_go_with_its_labels() -> None:
    mesh = MeshUnderTest(config(SELECTED), namespace("ns"), pod("ns"))
    assert names(mesh) == []
    put(mesh.registry, namespace("ns", "mesh: 'on'"))
    assert names(mesh) == ["cluster0//Pod/ns/p"]
    remove(mesh.registry, Namespace, "ns")
    assert names(mesh) == []


def test_selectors_may_be_set_changed_and_taken_back() -> None:
    mesh = MeshUnderTest(namespace("ns", "mesh: 'on'"), namespace("other"), pod("ns"), pod("other"))
    put(mesh.registry, config(SELECTED))
    assert names(mesh) == ["cluster0//Pod/ns/p"]
    put(mesh.registry, config("discoverySelectors: [{matchLabels: {kubernetes.io/metadata.name: other}}]"))
    assert names(mesh) == ["cluster0//Pod/other/p"]
    remove(mesh.registry, MeshConfigMap, "istio-system/istio")
    assert len(names(mesh)) == 2


def test_pods_that_are_not_seen_have_no_identity() -> None:
    mesh = MeshUnderTest(config(SELECTED), namespace("ns"), pod("ns"))
    assert mesh.mesh.identities.pod("ns/p") is None


# Who may find a ServiceEntry

VISIBILITY = """
serviceEntryVisibility:
  defaultVisibility: NAMESPACE
  policies:
  - visibility: PUBLIC
    matchingRules: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: public}}}]
  - visibility: NONE
    matchingRules: [{namespaceSelector: {matchLabels: {closed: 'yes'}}}, {namespaceSelector: {}}]
  - visibility: PUBLIC
    matchingRules: [{}]
"""


def visible(text: str, inside: str, *more: str) -> api.Service | None:
    entry = (
        f"{{kind: ServiceEntry, metadata: {{name: e, namespace: {inside}, labels: "
        "{istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: gateways}}, "
        "spec: {hosts: [a.example.com], resolution: DNS}}"
    )
    mesh = MeshUnderTest(config(text), entry, *more)
    found = mesh.messages().get(f"{inside}/a.example.com")
    if found is None:
        assert mesh.messages().keys() <= {"gateways"}, "an entry that nobody sees has no endpoints either"
    return found.service if found is not None else None


@pytest.mark.parametrize(
    ("text", "inside", "expected"),
    [
        ("{}", "ns", api.PUBLIC),
        ("serviceEntryVisibility: {}", "ns", api.PUBLIC),
        ("serviceEntryVisibility: {defaultVisibility: VISIBILITY_UNSPECIFIED}", "ns", api.PUBLIC),
        ("serviceEntryVisibility: {defaultVisibility: NAMESPACE}", "ns", api.NAMESPACE),
        ("serviceEntryVisibility: {defaultVisibility: NONE}", "ns", None),
        ("serviceEntryVisibility: {policies: [{visibility: NAMESPACE}]}", "ns", api.NAMESPACE),
        (VISIBILITY, "public", api.PUBLIC),
        (VISIBILITY, "ns", api.NAMESPACE),
        (VISIBILITY, "closed", None),
    ],
)
def test_the_first_policy_that_matches_the_namespace_says_who_may_find_an_entry(
    text: str, inside: str, expected: int | None
) -> None:
    found = visible(text, inside, namespace("closed", "closed: 'yes'"))
    assert (found.visibility if found else None) == expected


def test_a_private_entry_is_bound_to_no_waypoint_of_another_namespace() -> None:
    gateway = (
        "{kind: Gateway, metadata: {name: w, namespace: gateways}, spec: {listeners: [{port: 15008, "
        "protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}, "
        "status: {addresses: [{type: IPAddress, value: 10.0.0.2}]}}"
    )
    public, private = visible(VISIBILITY, "public", gateway), visible(VISIBILITY, "ns", gateway)
    assert public is not None and public.HasField("waypoint")
    assert private is not None and not private.HasField("waypoint")


# The ConfigMap itself

UNUSABLE = "{matchExpressions: [{key: a, operator: In}]}"


@pytest.mark.parametrize(
    "text",
    [
        "discoverySelectors: [",
        "discoverySelectors: {}",
        "- a list",
        "discoverySelectors: [{matchExpressions: [{key: a, operator: Near}]}]",
        "serviceEntryVisibility: {defaultVisibility: SOMEBODY}",
        f"serviceEntryVisibility: {{policies: [{{matchingRules: [{{namespaceSelector: {UNUSABLE}}}]}}]}}",
    ],
)
def test_one_that_cannot_be_used_changes_nothing_and_is_told(text: str) -> None:
    mesh = MeshUnderTest(config(SELECTED), namespace("ns"), pod("ns"))
    put(mesh.registry, config(text))
    assert names(mesh) == []
    (reason,) = told(mesh)
    assert reason.startswith("data.mesh") and reason.endswith("what it said before stays in force")
    put(mesh.registry, config(""))
    assert (names(mesh), told(mesh)) == (["cluster0//Pod/ns/p"], [])


def test_what_is_set_by_flags_is_not_changed_by_it_but_told() -> None:
    mesh = MeshUnderTest(config("{trustDomain: corp.example, rootNamespace: root}"), pod("ns"))
    assert mesh.workload("cluster0//Pod/ns/p").trust_domain == ""
    (reason,) = told(mesh)
    assert "mesh.trustDomain is 'corp.example'" in reason and "--trust-domain" in reason
    assert "mesh.rootNamespace is 'root'" in reason and "--root-namespace" in reason


def test_what_no_flag_says_is_no_disagreement() -> None:
    settings = MeshSettings(unsaid=("trust_domain",))
    mesh = MeshUnderTest(config("{trustDomain: corp.example, rootNamespace: root}"), settings=settings)
    (reason,) = told(mesh)
    assert reason.startswith("mesh.rootNamespace")


# What the mesh is called

UNSAID = MeshSettings(unsaid=("trust_domain", "root_namespace"))
ONLY_DOMAIN = MeshSettings(root_namespace="given", unsaid=("trust_domain",))
GIVEN = MeshSettings(trust_domain="given.example", root_namespace="given")
BOTH = "{trustDomain: corp.example, rootNamespace: root}"


def read(text: str | None) -> MeshConfigMap:
    return MeshConfigMap(metadata=ObjectMeta(name="istio"), data=MeshData(mesh=text))


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        (UNSAID, BOTH, ("corp.example", "root", "istio-system")),
        (UNSAID, "trustDomain: corp.example", ("corp.example", "istio-system", "istio-system")),
        (UNSAID, "{trustDomain: '', rootNamespace: null}", ("cluster.local", "istio-system", "istio-system")),
        (UNSAID, "# nothing", ("cluster.local", "istio-system", "istio-system")),
        (UNSAID, None, ("cluster.local", "istio-system", "istio-system")),
        (UNSAID, "{discoverySelectors: 1, trustDomain: a_b.C}", ("a_b.C", "istio-system", "istio-system")),
        (ONLY_DOMAIN, BOTH, ("corp.example", "given", "given")),
        (ONLY_DOMAIN, "{trustDomain: corp.example, rootNamespace: 7}", ("corp.example", "given", "given")),
        (GIVEN, BOTH, ("given.example", "given", "given")),
        (GIVEN, "{", ("given.example", "given", "given")),
    ],
)
def test_names_that_no_flag_says_are_those_of_the_config_map(
    settings: MeshSettings, text: str | None, expected: tuple[str, str, str]
) -> None:
    named = with_names(settings, read(text))
    assert (named.trust_domain, named.root_namespace, named.istio_namespace) == expected
    assert named.unsaid == settings.unsaid


@pytest.mark.parametrize("config_map", [None, MeshConfigMap(metadata=ObjectMeta(name="istio"))])
def test_without_a_config_map_names_are_the_defaults(config_map: MeshConfigMap | None) -> None:
    named = with_names(UNSAID, config_map)
    assert (named.trust_domain, named.root_namespace) == ("cluster.local", "istio-system")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("trustDomain: 12", "trustDomain is 12: expected a name like cluster.local"),
        ("trustDomain: [a]", "trustDomain is ['a']: expected a name like cluster.local"),
        ("trustDomain: a/b", "trustDomain is 'a/b': expected a name like cluster.local"),
        (f"trustDomain: {'a' * 256}", "expected a name like cluster.local"),
        ("rootNamespace: Root", "rootNamespace is 'Root': expected the name of a namespace"),
        ("rootNamespace: false", "rootNamespace is False: expected the name of a namespace"),
        ("trustDomain: [", "data.mesh cannot be read: while parsing"),
        ("trustDomain: 2026-99-99", "data.mesh cannot be read: month must be in 1..12"),
        ("- trustDomain: a", "data.mesh is [{'trustDomain': 'a'}]: expected fields of a MeshConfig"),
        ("false", "data.mesh is False: expected fields of a MeshConfig"),
    ],
)
def test_a_name_that_cannot_be_told_is_refused_with_the_config_map_and_the_flags(
    text: str, found: str
) -> None:
    with pytest.raises(InputError) as refused:
        with_names(UNSAID, read(text))
    message = str(refused.value)
    assert message.startswith("ConfigMap istio-system/istio: data.mesh") and found in message
    assert message.endswith("; or --trust-domain and --root-namespace given")


def test_policies_of_the_root_are_everyones_where_istio_is_elsewhere() -> None:
    strict = "{kind: PeerAuthentication, metadata: {name: p, namespace: %s}, spec: {mtls: {mode: STRICT}}}"
    label = "topology.istio.io/network: hall"
    named = with_names(UNSAID, read(BOTH))
    mesh = MeshUnderTest(
        strict % "root", strict % "istio-system", namespace("istio-system", label), pod("ns"), settings=named
    )
    workload = mesh.workload("Kubernetes//Pod/ns/p")
    assert (workload.trust_domain, workload.network) == ("corp.example", "hall")
    assert list(workload.authorization_policies) == ["root/istio_converted_static_strict"]


@pytest.mark.parametrize(
    ("revision", "name", "inside", "counts"),
    [
        ("", "istio", "istio-system", True),
        ("default", "istio", "istio-system", True),
        ("canary", "istio-canary", "istio-system", True),
        ("canary", "istio", "istio-system", False),
        ("", "istio", "elsewhere", False),
        ("", "other", "istio-system", False),
    ],
)
def test_it_is_the_one_of_the_revision_in_istios_namespace(
    revision: str, name: str, inside: str, counts: bool
) -> None:
    settings = MeshSettings(revision=revision)
    mesh = MeshUnderTest(config(SELECTED, name, inside), pod("ns"), settings=settings)
    assert (names(mesh) == []) is counts


@pytest.mark.parametrize(
    ("revision", "label", "seen"),
    [
        ("", "", True),
        ("", "other", True),
        ("mine", "", True),
        ("mine", "mine", True),
        ("mine", "other", False),
    ],
)
def test_istios_objects_of_another_revision_are_not_read(revision: str, label: str, seen: bool) -> None:
    labels = f", labels: {{istio.io/rev: {label}}}" if label else ""
    meta = f"metadata: {{name: x, namespace: ns{labels}}}"
    mesh = MeshUnderTest(
        f"{{kind: ServiceEntry, {meta}, spec: {{hosts: [a.example.com]}}}}",
        f"{{kind: WorkloadEntry, {meta}}}",
        f"{{kind: AuthorizationPolicy, {meta}}}",
        f"{{kind: Service, {meta}}}",
        settings=MeshSettings(revision=revision),
    )
    assert len(names(mesh)) == (3 if seen else 1)
    assert sum(len(rows) for rows in mesh.mesh.authorizations) == int(seen)
