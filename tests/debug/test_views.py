"""What is told of the inputs: the placement map, problems."""

from tests.helpers.asked_views import names, tell
from tests.helpers.served_mesh import MapState, ServedMesh, pod
from xds_server.debug.views import errorsz, placementz
from xds_server.exceptions import Problem
from xds_server.objects.cluster_conf import Pair


class TestPlacementz:
    def test_it_tells_the_map_in_force_and_what_does_not_fit_it(self, mesh: ServedMesh) -> None:
        mesh.place(Pair("192.0.2.20", "192.0.2.21", "cpu-b"))
        told = tell(placementz, mesh)
        assert told["pairs"] == [
            {
                "cpuNodeIP": "192.0.2.10",
                "cpuNodeName": "cpu-a",
                "dpuNodeIP": "192.0.2.11",
                "dpuNodeName": "dpu-a",
            },
            {"cpuNodeIP": "192.0.2.20", "cpuNodeName": "cpu-b", "dpuNodeIP": "192.0.2.21", "dpuNodeName": ""},
        ]
        assert told["singles"] == [{"nodeIP": "192.0.2.12", "nodeName": "plain"}]
        assert (told["unmapped"], told["unresolved"]) == (["spare"], ["192.0.2.21"])
        (conflict,) = told["conflicts"]
        assert "node spare has label offMeshNodeType=dpu" in conflict

    def test_it_tells_when_and_from_where_the_map_was_loaded(self, mesh: ServedMesh) -> None:
        told = tell(placementz, mesh)
        assert told["path"] == "/etc/offmesh/cluster-conf.yaml"
        assert told["loadedAt"] == "2026-01-02T03:04:05.000Z"
        assert (told["digest"], told["reloads"], told["failedReloads"]) == ("0123456789abcdef", 2, 1)
        assert told["failure"] == []

    def test_it_tells_why_the_last_reload_failed(self, mesh: ServedMesh) -> None:
        mesh.placement.state = MapState(failure=(Problem("conf.yaml:3", "cpuNodeIP", "x", "an IP"),))
        assert tell(placementz, mesh)["failure"] == ["conf.yaml:3: cpuNodeIP is x: expected an IP"]

    def test_before_the_first_load_it_tells_where_the_map_will_be_from(self) -> None:
        told = tell(placementz, ServedMesh())
        assert (told["path"], told["loadedAt"], told["pairs"]) == ("cluster-conf.yaml", None, [])


class TestErrorsz:
    def test_it_tells_refused_inputs_and_what_could_not_be_derived(self, mesh: ServedMesh) -> None:
        mesh.problems.replace("b.yaml", [Problem("b.yaml:7", "Pod shop/x", "true", "a mapping")])
        mesh.problems.replace("a.yaml", [Problem("a.yaml", "file", "", "YAML")])
        mesh.put(pod("broken", "10.0.0.300"))
        told = tell(errorsz, mesh)
        assert told["counts"] == {"inputs": 2, "derived": 1, "reported": 2}
        assert told["inputs"] == [
            {
                "place": "a.yaml",
                "where": "a.yaml",
                "subject": "file",
                "value": "",
                "expected": "YAML",
                "text": "a.yaml: file: expected YAML",
            },
            {
                "place": "b.yaml",
                "where": "b.yaml:7",
                "subject": "Pod shop/x",
                "value": "true",
                "expected": "a mapping",
                "text": "b.yaml:7: Pod shop/x is true: expected a mapping",
            },
        ]
        (derived,) = told["derived"]
        assert (derived["collection"], derived["key"]) == ("pod workloads", "shop/broken")
        assert "10.0.0.300" in derived["reason"]

    def test_its_filter_picks_by_part_of_a_text_or_key(self, mesh: ServedMesh) -> None:
        mesh.problems.replace("a.yaml", [Problem("a.yaml", name, "", "YAML") for name in ("one", "two")])
        mesh.put(pod("broken", "10.0.0.300"))
        told = tell(errorsz, mesh, name="two")
        assert (names(told["inputs"], "subject"), told["derived"]) == (["two"], [])
        told = tell(errorsz, mesh, name="shop/bro")
        assert (told["inputs"], names(told["derived"], "key")) == ([], ["shop/broken"])

    def test_a_file_name_that_is_no_utf8_is_told_all_the_same(self, mesh: ServedMesh) -> None:
        mesh.problems.replace("\udcff.yaml", [Problem("\udcff.yaml", "file", "", "YAML")])
        assert tell(errorsz, mesh)["inputs"][0]["place"] == "\udcff.yaml"
