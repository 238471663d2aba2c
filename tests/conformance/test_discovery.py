"""What a client is told when (section 1), from manifests to responses; the tables tell what."""

import pytest

from tests.conformance.served_replay import ServedReplay, Ztunnel, pod, policy, service
from tests.helpers.session_pair import StatePair
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.protobuf.workloadapi import workload_pb2 as api

POD, POD2, POD3 = (f"cluster0//Pod/default/{name}" for name in ("pod", "pod2", "pod3"))
WEB = "default/web.default.svc.company.com"


def mesh_of_web() -> ServedReplay:
    return ServedReplay(
        service("web", "10.0.0.1", app="web"),
        pod("pod", "127.0.0.1", app="web"),
        pod("pod2", "127.0.0.2"),
        network="",
    )


def test_d1_who_asks_for_everything_where_there_is_nothing_is_answered_once() -> None:
    response = Ztunnel(ServedReplay()).subscribe()
    assert (response.entries, response.removed) == ([], [])


def test_d2_who_wants_nothing_yet_is_answered_with_nothing_and_told_nothing() -> None:
    mesh = ServedReplay()
    client = Ztunnel(mesh, "own")
    client.start_on_demand()
    mesh.apply(pod("pod", "127.0.0.1"))
    assert client.silent


def test_d3_who_asks_for_an_address_is_given_its_workload_with_its_aliases() -> None:
    mesh = ServedReplay(pod("pod", "127.0.0.1"), network="", cluster_id="Kubernetes")
    client = Ztunnel(mesh)
    client.start_on_demand()
    (entry,) = client.ask(["/127.0.0.1"]).entries
    assert (entry.name, entry.aliases) == ("Kubernetes//Pod/default/pod", ("/127.0.0.1",))
    assert entry.type_url == ADDRESS


def test_d4_an_unknown_address_is_answered_as_removed() -> None:
    client = Ztunnel(mesh_of_web())
    client.start_on_demand()
    response = client.ask(["/127.0.0.9"])
    assert (response.entries, response.removed) == ([], ["/127.0.0.9"])


def test_d5_workloads_of_the_clients_own_node_are_told_unasked() -> None:
    mesh = ServedReplay()
    client = Ztunnel(mesh, "own")
    client.start_on_demand()
    mesh.apply(pod("pod", "127.0.0.1", "own"), pod("pod2", "127.0.0.2", "other"))
    assert client.expect().names == [POD]
    mesh.delete("Pod default/pod", "Pod default/pod2")
    assert client.expect().removed == [POD]


def test_d5_the_own_node_of_a_dpu_is_that_of_its_cpu_node() -> None:
    mesh = ServedReplay(pod("pod", "127.0.0.1", "cpu"))
    mesh.world.place({"pairs": [_named_pair()]})
    mesh.catalog.publish()
    client = Ztunnel(mesh, "dpu")
    assert client.ask(["*"], ["*"]).names == [POD]


def _named_pair() -> dict[str, str]:
    ips = {"cpuNodeIP": "192.0.2.1", "dpuNodeIP": "192.0.2.2"}
    return {**ips, "cpuNodeName": "cpu", "dpuNodeName": "dpu"}


def test_d6_who_asks_for_a_vip_is_given_the_service_with_its_workloads() -> None:
    client = Ztunnel(mesh_of_web())
    client.start_on_demand()
    assert client.ask(["/10.0.0.1"]).names == sorted([WEB, POD])


def test_d6_a_workload_that_joins_later_is_told_too() -> None:
    """Differs from istiod (Q2), whose client would go on without the new endpoint."""
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.start_on_demand()
    client.ask(["/10.0.0.1"])
    mesh.apply(pod("pod3", "127.0.0.3", app="web"), pod("else", "127.0.0.4"))
    assert client.expect().names == [POD3]


def test_d6_an_address_unknown_at_first_is_told_when_it_is_there() -> None:
    """Differs from istiod (Q2), which would not tell of it."""
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.start_on_demand()
    client.ask(["/127.0.0.3"])
    mesh.apply(pod("pod3", "127.0.0.3"))
    assert client.expect().names == [POD3]


def test_d7_a_client_that_returns_is_told_only_what_differs() -> None:
    mesh = mesh_of_web()
    versions = {entry.name: entry.version for entry in Ztunnel(mesh).subscribe().entries}
    mesh.apply(pod("pod3", "127.0.0.3"))
    mesh.delete("Pod default/pod2")
    response = Ztunnel(mesh).subscribe(versions=versions)
    assert (response.names, response.removed) == ([POD3], [POD2])


@pytest.mark.parametrize("version", ["", "stale"])
def test_d7_another_version_is_sent_again(version: str) -> None:
    mesh = mesh_of_web()
    versions = {entry.name: entry.version for entry in Ztunnel(mesh).subscribe().entries}
    response = Ztunnel(mesh).subscribe(versions=versions | {POD: version})
    assert (response.names, response.removed) == ([POD], [])


def test_d7_versions_are_of_content_alone_so_any_server_knows_them() -> None:
    one, other = mesh_of_web(), ServedReplay(network="")
    other.apply(pod("pod2", "127.0.0.9"))
    other.apply(pod("pod2", "127.0.0.2"), pod("pod", "127.0.0.1", app="web"))
    other.apply(service("web", "10.0.0.1", app="web"))
    versions = {entry.name: entry.version for entry in Ztunnel(one).subscribe().entries}
    response = Ztunnel(other).subscribe(versions=versions)
    assert (response.names, response.removed) == ([], [])


def test_d8_a_selector_that_changes_tells_the_workloads_and_not_the_service() -> None:
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.subscribe()
    mesh.apply(service("web", "10.0.0.1", app="none"))
    assert client.expect().names == [POD]


def test_d8_a_service_that_changes_does_not_tell_its_workloads() -> None:
    """Differs from istiod (Q9), which tells of all of them again."""
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.subscribe()
    mesh.apply(service("web", "10.0.0.2", app="web"))
    assert client.expect().names == [WEB]


def test_d9_policies_are_told_as_they_come_and_go_and_not_with_anything_else() -> None:
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.subscribe(type_url=AUTHORIZATION)
    mesh.apply(policy("one"))
    assert client.expect().names == ["default/one"]
    mesh.apply(policy("two"))
    assert client.expect().names == ["default/two"]
    mesh.delete("AuthorizationPolicy default/two")
    assert client.expect().removed == ["default/two"]
    mesh.apply(pod("pod3", "127.0.0.3"))
    assert client.silent


def test_d9_a_policy_comes_before_the_workload_that_names_it_and_goes_after() -> None:
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.subscribe()
    client.subscribe(type_url=AUTHORIZATION)
    mesh.apply(policy("web", "DENY", app="web"))
    assert [(push.type_url, push.names) for push in client.pushes()] == [
        (AUTHORIZATION, ["default/web"]),
        (ADDRESS, [POD]),
    ]
    mesh.delete("AuthorizationPolicy default/web")
    assert [(push.type_url, push.names, push.removed) for push in client.pushes()] == [
        (ADDRESS, [POD], []),
        (AUTHORIZATION, [], ["default/web"]),
    ]


def test_d9_what_was_never_sent_is_not_removed() -> None:
    """Differs from istiod (Q10), which names as removed what is for waypoints."""
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.subscribe(type_url=AUTHORIZATION)
    audit = policy("audit", "AUDIT")
    mesh.apply(audit)
    assert client.silent
    mesh.delete("AuthorizationPolicy default/audit")
    assert client.silent


def test_d10_a_rejection_and_a_stale_nonce_are_answered_with_nothing() -> None:
    client = Ztunnel(mesh_of_web())
    nonce = client.subscribe().nonce
    client.send(nonce=nonce, error="not understood")
    assert client.silent
    client.send(nonce="stale")
    assert client.silent


def test_d11_the_first_request_of_every_type_is_answered() -> None:
    client = Ztunnel(ServedReplay())
    assert [client.subscribe(type_url=url).type_url for url in (ADDRESS, AUTHORIZATION, WORKLOAD)] == [
        ADDRESS,
        AUTHORIZATION,
        WORKLOAD,
    ]


def test_d12_who_has_everything_and_asks_for_a_name_is_given_that_one() -> None:
    """Differs from istiod (Q8), which sends everything again."""
    client = Ztunnel(mesh_of_web())
    client.subscribe()
    assert client.ask(["/127.0.0.2"]).names == [POD2]


def test_d13_leaving_names_is_answered_with_nothing() -> None:
    """Differs from istiod (Q7), which would remove all that the client still wants."""
    client = Ztunnel(mesh_of_web())
    client.start_on_demand()
    client.ask([POD, POD2])
    client.send([], [POD2])
    assert client.silent


def test_d14_bare_workloads_come_without_services() -> None:
    response = Ztunnel(mesh_of_web()).subscribe(type_url=WORKLOAD)
    assert response.names == [POD, POD2]
    assert {api.Workload.FromString(entry.body).uid for entry in response.entries} == {POD, POD2}


def test_d15_who_has_everything_is_told_no_aliases() -> None:
    assert {entry.aliases for entry in Ztunnel(mesh_of_web()).subscribe().entries} == {()}


def test_d16_a_range_is_found_by_its_first_address_alone() -> None:
    entry = {
        "kind": "ServiceEntry",
        "metadata": {"name": "range", "namespace": "default"},
        "spec": {"hosts": ["a.com"], "addresses": ["10.1.0.0/16"], "resolution": "STATIC"},
    }
    client = Ztunnel(ServedReplay(entry))
    client.start_on_demand()
    (found,) = client.ask(["testnetwork/10.1.0.0"]).entries
    assert (found.name, found.aliases) == ("default/a.com", ("testnetwork/10.1.0.0/16",))
    assert client.ask(["testnetwork/10.1.0.0/16"]).removed == ["testnetwork/10.1.0.0/16"]


def test_d17_an_object_whose_message_stays_the_same_is_told_to_nobody() -> None:
    mesh = mesh_of_web()
    client = Ztunnel(mesh)
    client.subscribe()
    same = pod("pod", "127.0.0.1", app="web")
    same["metadata"]["annotations"] = {"note": "new"}
    mesh.apply(same)
    assert client.silent


def test_d18_a_name_that_changes_is_removed_and_added() -> None:
    mesh = ServedReplay(
        {"kind": "Namespace", "metadata": {"name": "istio-system"}}, pod("pod", "127.0.0.1"), network=""
    )
    mesh.apply(service("web", "10.0.0.1"))
    client = Ztunnel(mesh)
    client.subscribe()
    entry = {"kind": "ServiceEntry", "metadata": {"name": "se", "namespace": "default"}}
    mesh.apply({**entry, "spec": {"hosts": ["old.com"], "resolution": "STATIC"}})
    assert client.expect().names == ["default/old.com"]
    mesh.apply({**entry, "spec": {"hosts": ["new.com"], "resolution": "STATIC"}})
    push = client.expect()
    assert (push.names, push.removed) == (["default/new.com"], ["default/old.com"])


def test_d19_both_variants_tell_the_same() -> None:
    mesh = mesh_of_web()
    mesh.apply(policy("web", "DENY", app="web"))
    for url in (ADDRESS, AUTHORIZATION):
        state, delta = StatePair(mesh), Ztunnel(mesh)
        state.send(type_url=url)
        bodies = sorted(entry.body for entry in delta.subscribe(type_url=url).entries)
        assert sorted(entry.body for entry in state.expect().entries) == bodies
