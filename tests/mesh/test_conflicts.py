"""Hosts that several objects describe (facts wds, 3.8 and 8: C)."""

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.objects.kubernetes import Service
from xds_server.objects.networking import ServiceEntry

PRIVATE = (
    "{kind: ConfigMap, metadata: {name: istio, namespace: istio-system}, "
    "data: {mesh: 'serviceEntryVisibility: {policies: [{visibility: NAMESPACE, matchingRules: "
    "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: private}}}]}]}'}}"
)


def entry(key: str, year: int, host: str = "foo.com", more: str = "") -> str:
    namespace, _, name = key.partition("/")
    return (
        f"{{kind: ServiceEntry, metadata: {{name: {name}, namespace: {namespace}, "
        f"creationTimestamp: '{year}-01-01T00:00:00Z'}}, spec: {{hosts: ['{host}'], resolution: DNS{more}}}}}"
    )


def service(key: str) -> str:
    namespace, _, name = key.partition("/")
    return (
        f"{{kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{clusterIP: 1.1.1.1}}}}"
    )


def canonical(mesh: MeshUnderTest) -> dict[str, tuple[str, bool]]:
    """Service name -> who describes it, and whether it is the canonical one."""
    messages = ((name, row.service) for name, row in mesh.messages().items() if row.HasField("service"))
    return {name: (service.name, service.canonical) for name, service in messages}


def test_the_oldest_in_each_namespace_is_served_and_the_oldest_of_all_is_canonical() -> None:
    mesh = MeshUnderTest(entry("ns1/se-1", 2022), entry("ns1/se-2", 2023), entry("original/se-11", 2021))
    assert canonical(mesh) == {
        "ns1/foo.com": ("se-1", False),
        "original/foo.com": ("se-11", True),
    }
    assert not any("se-2" in name for name in mesh.messages())
    remove(mesh.registry, ServiceEntry, "original/se-11")
    assert canonical(mesh) == {"ns1/foo.com": ("se-1", True)}
    remove(mesh.registry, ServiceEntry, "ns1/se-1")
    assert canonical(mesh) == {"ns1/foo.com": ("se-2", True)}


def test_who_loses_a_host_keeps_the_others_and_is_told() -> None:
    both = entry("ns/young", 2023).replace("hosts: ['foo.com']", "hosts: [foo.com, bar.com]")
    mesh = MeshUnderTest(entry("ns/old", 2022), both)
    assert canonical(mesh) == {"ns/foo.com": ("old", True), "ns/bar.com": ("young", True)}
    reasons = [reason for _, _, reason in mesh.mesh.problems()]
    assert reasons == ["host 'foo.com' is not served: ServiceEntry ns/old is older"]


def test_of_equal_age_the_first_by_name_is_served() -> None:
    mesh = MeshUnderTest(entry("ns/b", 2022), entry("ns/a", 2022), entry("ns/c", 2022))
    assert canonical(mesh) == {"ns/foo.com": ("a", True)}


def test_who_loses_selects_no_workloads_and_has_no_endpoints() -> None:
    more = ", workloadSelector: {labels: {app: x}}"
    stated = ", endpoints: [{address: 9.9.9.9}]"
    pod = "{kind: Pod, metadata: {name: p, namespace: ns, labels: {app: x}}, status: {podIP: 1.0.0.1}}"
    mesh = MeshUnderTest(entry("ns/old", 2022), entry("ns/young", 2023, more=more), pod)
    assert mesh.ports("cluster0//Pod/ns/p") == {}
    put(mesh.registry, entry("ns/young", 2023, more=stated))
    assert not any("9.9.9.9" in name for name in mesh.messages())
    remove(mesh.registry, ServiceEntry, "ns/old")
    assert any("9.9.9.9" in name for name in mesh.messages())


def test_a_service_has_its_host_whatever_the_age_of_an_entry() -> None:
    host = "svc1.ns1.svc.company.com"
    mesh = MeshUnderTest(entry("ns1/se", 2020, host), service("ns1/svc1"))
    assert canonical(mesh) == {f"ns1/{host}": ("svc1", True)}
    assert [reason for _, _, reason in mesh.mesh.problems()] == [
        f"host {host!r} is not served: it is that of Service ns1/svc1"
    ]
    remove(mesh.registry, Service, "ns1/svc1")
    assert canonical(mesh) == {f"ns1/{host}": ("se", True)}


def test_a_service_is_canonical_over_an_entry_of_another_namespace() -> None:
    host = "web.team-a.svc.company.com"
    mesh = MeshUnderTest(entry("team-b/se", 2020, host), service("team-a/web"))
    assert canonical(mesh) == {f"team-b/{host}": ("se", False), f"team-a/{host}": ("web", True)}


def test_an_external_name_takes_no_host() -> None:
    host = "svc1.ns1.svc.company.com"
    external = service("ns1/svc1").replace("clusterIP: 1.1.1.1", "type: ExternalName")
    mesh = MeshUnderTest(entry("ns1/se", 2020, host), external)
    assert canonical(mesh) == {f"ns1/{host}": ("se", True)}


def test_an_older_private_entry_keeps_its_host_and_nobody_is_canonical() -> None:
    mesh = MeshUnderTest(PRIVATE, entry("private/old", 2020), entry("private/young", 2021))
    assert canonical(mesh) == {"private/foo.com": ("old", False)}


def test_a_private_entry_leaves_being_canonical_to_a_younger_public_one() -> None:
    mesh = MeshUnderTest(PRIVATE, entry("private/old", 2020), entry("public/young", 2021))
    assert canonical(mesh) == {"private/foo.com": ("old", False), "public/foo.com": ("young", True)}
