"""DNS over UDP of meshed pods is answered by ztunnel if that is asked for, and by nobody else's if not."""

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import expected, way_of
from tests.netns.cases import OUTBOUND, Case
from tests.netns.cases_around import DATAGRAMS
from tests.netns.conftest import Build

CAPTURED = Case(
    says="DNS of a meshed pod is answered by ztunnel, as if by the service",
    client="p1a",
    protocol="udp",
    to="10.96.0.10:53",
    server="ztunnel",
    sees="p1a",
    proxies="zt1 dns, zt1 dns",
    legs={"cpu1": "around + captures", "dpu1": "around ztunnel"},
)
UNCAPTURED = DATAGRAMS[-1]
OVER_TCP = OUTBOUND[-1]


@pytest.fixture(params=["nft", "legacy"])
def lab(build: Build, request: pytest.FixtureRequest) -> Lab:
    made = build(Options(backend=request.param))
    made.hold(Wanted(capture_dns=True))
    return made


@pytest.mark.parametrize("case", [CAPTURED, UNCAPTURED, OVER_TCP], ids=str)
def test_dns_is_captured(lab: Lab, case: Case) -> None:
    assert way_of(lab, case) == expected(lab, case)


def test_captured_dns_is_let_go(lab: Lab) -> None:
    lab.hold(Wanted(capture_dns=False))
    case = DATAGRAMS[-2]
    assert way_of(lab, case) == expected(lab, case)
