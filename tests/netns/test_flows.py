"""Every flow, with each kind of ztunnel, each backend of iptables, whatever rp_filter a node starts with."""

from collections.abc import Mapping

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import expected, way_of
from tests.netns.cases import Case
from tests.netns.every_case import CASES

# Routes to other nodes' pods are the program's in those that start with 1, and kindnet's in the others.
VARIANTS = [
    Options(backend=backend, flavour=flavour, rp_filter=rp_filter, pod_routes=rp_filter != 1)
    for rp_filter in (1, 0, 2)
    for backend in ("nft", "legacy")
    for flavour in ("v2", "v1")
]


def prepared(lab: Lab) -> None:
    lab.hold(Wanted(pod_routes=not lab.options.pod_routes))


@pytest.mark.parametrize(
    "shared",
    [pytest.param((options, prepared), id=str(options)) for options in VARIANTS],
    indirect=True,
    scope="session",
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_flow_arrives_by_its_way(shared: Lab, case: Case) -> None:
    way, wanted = way_of(shared, case), expected(shared, case)
    assert (str(way.answer), sorted(way.proxies)) == (str(wanted.answer), list(wanted.proxies))
    assert _told(way.hits) == _told(wanted.hits)


def _told(hits: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    return {node: sorted(each) for node, each in hits.items() if each}
