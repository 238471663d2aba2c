"""The rows of the node agent, small: real commands on a pair of nodes with three pods."""

from ipaddress import IPv4Address

import pytest

from bench import datapath_changing, datapath_costs, datapath_floor
from bench.cases import Case
from bench.datapath_cases import datapath_cases
from bench.datapath_lab import pair_with
from bench.datapath_pair import running_pair
from tests.helpers.scratch_node import needs_root
from xds_server.datapath.kernel import Backend

PODS = 3


def case(name: str) -> Case:
    return next(each for each in datapath_cases() if each.name == name)


def test_pods_of_the_lab_have_addresses_of_their_own_in_the_range_of_their_node() -> None:
    topology = pair_with(252)
    cpu = topology.node("cpu1")
    addresses = {pod.address for pod in topology.pods_of("cpu1")}
    assert len(addresses) == 252
    assert addresses <= set(cpu.pods.hosts()) - {cpu.gateway}
    assert topology.pods_of("dpu1") == (topology.pod("zt1"),)


def test_both_backends_have_the_same_rows() -> None:
    names = [each.name for each in datapath_cases()]
    rows = {
        backend: [name.removesuffix(f"-{backend}") for name in names if name.endswith(backend)]
        for backend in Backend
    }
    assert rows[Backend.NFT] == rows[Backend.LEGACY] != []


@needs_root
@pytest.mark.parametrize("backend", Backend)
def test_what_is_told_is_held_at_first_and_as_pods_come_and_go(backend: Backend) -> None:
    first = datapath_changing.first_apply(backend, PODS, rounds=1)
    assert len(first) == len(case(f"datapath-first-{backend}").figures)
    one = datapath_changing.one_pod(backend, PODS, changes=2)
    assert len(one) == len(case(f"datapath-pod-{backend}").figures)
    assert min(*first, *one) > 0


@needs_root
@pytest.mark.parametrize("backend", Backend)
def test_the_tools_alone_load_what_an_agent_holds(backend: Backend) -> None:
    *tools, together = datapath_floor.first_load(backend, PODS, rounds=1)
    assert sum(tools) == pytest.approx(together)
    assert len(tools) + 1 == len(case(f"datapath-floor-{backend}").figures)
    one, looks = datapath_floor.one_pod(backend, PODS, times=1), datapath_floor.looks(backend, PODS, times=1)
    assert len(one) == len(case(f"datapath-floor-pod-{backend}").figures)
    assert len(looks) == len(case(f"datapath-looks-{backend}").figures)
    assert min(*one, *looks) > 0


@needs_root
def test_an_agent_costs_memory_by_plaintext_and_by_tls_and_little_time() -> None:
    resident, anonymous, resident_tls, anonymous_tls = datapath_costs.memory(Backend.NFT, PODS)
    assert 10 < anonymous < resident
    assert 10 < anonymous_tls < resident_tls
    cpu, dpu = datapath_costs.idle(Backend.NFT, PODS, seconds=2.0)
    assert 0 <= cpu <= 200
    assert 0 <= dpu <= 200


@needs_root
def test_a_change_that_does_not_come_is_told() -> None:
    with running_pair(PODS, Backend.NFT) as pair:
        news = pair.nodes["cpu1"].news
        with pytest.raises(TimeoutError, match=r"no news of a route to 10\.244\.0\.77"):
            news.changed(IPv4Address("10.244.0.77"), 0.0, meshed=True, seconds=0.1)


@needs_root
def test_an_agent_that_cannot_start_is_told_with_its_log() -> None:
    message = r"(?s)offmesh agent ended by itself with code 2.*/none"
    with pytest.raises(RuntimeError, match=message), running_pair(PODS, Backend.NFT, "--names=/none"):
        pytest.fail("it started")
