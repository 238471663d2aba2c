"""The mesh after any edits is the mesh built from scratch on what there is then."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.graphs import assert_indexes_are_right, assert_nothing_is_left, state
from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.objects.kinds import KINDS
from xds_server.settings import MeshSettings
from xds_server.store.derive import Derivation

NAMESPACES = st.sampled_from(["a", "b", "istio-system"])
NAMES = st.sampled_from(["x", "y", "w"])
LABELS = st.sampled_from(
    [
        "{}",
        "{app: one}",
        "{app: two, tier: t}",
        "{istio.io/use-waypoint: w}",
        "{app: one, istio.io/use-waypoint: w, istio.io/use-waypoint-namespace: b}",
        "{istio.io/use-waypoint: none}",
        "{gateway.networking.k8s.io/gateway-name: w, app: one}",
        "{istio.io/waypoint-for: all}",
        "{topology.istio.io/network: far}",
        "{mesh: other, istio.io/rev: canary}",
    ]
)
SELECTORS = st.sampled_from(["{}", "{app: one}", "{app: two}", "{app: two, tier: t}"])
CREATED = st.sampled_from(["2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"])
HOSTS = st.sampled_from(["[foo.com]", "[foo.com, bar.com]", "[x.a.svc.cluster.local, foo.com]", "['*.c']"])
RESOLUTIONS = st.sampled_from(["NONE", "STATIC", "DNS", "DYNAMIC_DNS"])
ADDRESSES = st.sampled_from(["[]", "[1.2.3.4]", "[10.0.0.0/8, '2001:db8::1']", "[nonsense]"])
ENDPOINTS = st.sampled_from(
    [
        "null",
        "[{address: 1.0.0.1, labels: {istio.io/use-waypoint: w}}]",
        "[{address: 1.0.0.1}, {address: db, network: far}, {address: 1.0.0.1}]",
    ]
)
MODES = st.sampled_from(["STRICT", "PERMISSIVE", "UNSET"])
IN_B = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: b}}}"
CONFIGS = st.sampled_from(
    [
        "discoverySelectors: [{matchLabels: {app: one}}, {matchLabels: {kubernetes.io/metadata.name: a}}]",
        "serviceEntryVisibility: {defaultVisibility: NAMESPACE}",
        f"serviceEntryVisibility: {{policies: [{{visibility: NONE, matchingRules: [{IN_B}]}}]}}",
        "{}",
    ]
)


def spec_of(kind: str, **fields: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str, str]]:
    """Draw the kind, the key and the rest of an object: ``fields`` are templates' values, by their names."""
    return st.builds(
        lambda inside, name, values: (kind, f"{inside}/{name}", TEMPLATES[kind].format(**values)),
        NAMESPACES,
        NAMES,
        st.fixed_dictionaries(fields),
    )


TEMPLATES = {
    "Pod": "status: {{podIP: {ip}, conditions: [{{type: Ready, status: '{ready}'}}]}}, spec: {{nodeName: n}}",
    "Service": "spec: {{selector: {selector}, ports: [{{port: 80, name: http, targetPort: {target}}}]}}",
    "ServiceEntry": (
        "spec: {{hosts: {hosts}, resolution: {resolution}, addresses: {addresses}, endpoints: {endpoints}, "
        "workloadSelector: {{labels: {selector}}}, ports: [{{number: 80, name: http}}]}}"
    ),
    "WorkloadEntry": "spec: {{address: {ip}, labels: {spec_labels}, network: {network}}}",
    "AuthorizationPolicy": "spec: {{selector: {{matchLabels: {selector}}}, action: {action}}}",
    "PeerAuthentication": (
        "spec: {{selector: {{matchLabels: {selector}}}, mtls: {{mode: {mode}}}, "
        "portLevelMtls: {{8080: {{mode: {port_mode}}}}}}}"
    ),
    "Gateway": (
        "spec: {{gatewayClassName: {cls}, listeners: [{{port: 15008, protocol: HBONE, allowedRoutes: "
        "{{namespaces: {{from: {who}}}}}}}]}}, status: {{addresses: {status}}}"
    ),
    "EndpointSlice": (
        "addressType: IPv4, endpoints: [{{addresses: [1.0.0.9]}}, "
        "{{addresses: [1.0.0.1], targetRef: {{kind: Pod, name: x, uid: ''}}}}], "
        "ports: [{{name: http, port: 8}}]"
    ),
}
IPS = st.sampled_from(["1.0.0.1", "1.0.0.2", "nonsense"])
STATUS = st.sampled_from(["[]", "[{type: IPAddress, value: 9.9.9.9}]", "[{type: Hostname, value: w.a}]"])
SPECS = st.one_of(
    spec_of("Pod", ip=IPS, ready=st.sampled_from(["True", "False"])),
    spec_of("Service", selector=SELECTORS, target=st.sampled_from(["8080", "web"])),
    spec_of(
        "ServiceEntry",
        hosts=HOSTS,
        resolution=RESOLUTIONS,
        addresses=ADDRESSES,
        endpoints=ENDPOINTS,
        selector=SELECTORS,
    ),
    spec_of("WorkloadEntry", ip=IPS, spec_labels=LABELS, network=st.sampled_from(["null", "far"])),
    spec_of("AuthorizationPolicy", selector=SELECTORS, action=st.sampled_from(["ALLOW", "DENY", "AUDIT"])),
    spec_of("PeerAuthentication", selector=SELECTORS, mode=MODES, port_mode=MODES),
    spec_of(
        "Gateway",
        cls=st.sampled_from(["waypoint", "istio-remote"]),
        who=st.sampled_from(["All", "Same"]),
        status=STATUS,
    ),
    spec_of("EndpointSlice"),
)


def document(spec: tuple[str, str, str], labels: str, created: str) -> tuple[str, str, str]:
    kind, key, rest = spec
    namespace, _, name = key.partition("/")
    if kind == "EndpointSlice":
        labels = "{kubernetes.io/service-name: x}"
    meta = f"{{name: {name}, namespace: {namespace}, labels: {labels}, creationTimestamp: '{created}'}}"
    return kind, key, f"{{kind: {kind}, metadata: {meta}, {rest}}}"


CONFIG_MAP = "{kind: ConfigMap, metadata: {name: istio, namespace: istio-system}"
DOCUMENTS = st.one_of(
    st.builds(document, SPECS, LABELS, CREATED),
    st.builds(
        lambda name, labels: (
            "Namespace",
            name,
            f"{{kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}",
        ),
        NAMESPACES,
        LABELS,
    ),
    st.builds(
        lambda text: (
            "ConfigMap",
            "istio-system/istio",
            f"{CONFIG_MAP}, data: {{mesh: '{text}'}}}}",
        ),
        CONFIGS,
    ),
)
EDITS = st.lists(st.lists(st.tuples(DOCUMENTS, st.booleans()), min_size=1, max_size=6), max_size=8)
SETTINGS = MeshSettings(waypoint_policies=True, dry_run_policies=True)


class Edited:
    """A mesh, and the texts of the objects it has."""

    def __init__(self) -> None:
        self.mesh = MeshUnderTest(settings=SETTINGS)
        self.texts: dict[tuple[str, str], str] = {}

    def edit(self, edits: Sequence[tuple[tuple[str, str, str], bool]]) -> None:
        """Put objects, or remove them where there is something to remove."""
        for (kind, key, text), removes in edits:
            if removes and self.texts.pop((kind, key), None) is not None:
                self._remove(kind, key)
            elif not removes:
                self.texts[kind, key] = text
        put(self.mesh.registry, "\n---\n".join(self.texts.values()))

    def clear(self) -> None:
        for kind, key in self.texts:
            self._remove(kind, key)

    def _remove(self, kind: str, key: str) -> None:
        remove(self.mesh.registry, next(row for (_, name), row in KINDS.items() if name == kind), key)


def problems(mesh: MeshUnderTest) -> dict[str, dict[str, str]]:
    return {
        row.name: dict(row.problems) for row in mesh.mesh.graph.collections if isinstance(row, Derivation)
    }


@settings(max_examples=120, deadline=None)
@given(EDITS)
def test_a_mesh_that_was_edited_is_the_one_built_from_scratch(
    transactions: list[list[tuple[tuple[str, str, str], bool]]],
) -> None:
    edited = Edited()
    for edits in transactions:
        edited.edit(edits)
    graph = edited.mesh.mesh.graph
    scratch = MeshUnderTest("\n---\n".join(edited.texts.values()), settings=SETTINGS)
    assert state(graph) == state(scratch.mesh.graph)
    assert problems(edited.mesh) == problems(scratch)
    assert not [
        reason for rows in problems(scratch).values() for reason in rows.values() if "internal" in reason
    ]
    assert_indexes_are_right(graph)
    names = [row.name for rows in edited.mesh.mesh.addresses for _, row in rows.items()]
    assert len(names) == len(set(names))
    edited.clear()
    assert_nothing_is_left(graph)
