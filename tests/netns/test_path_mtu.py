"""
A path that is smaller than its ends: who sends learns of it, in whatever name it sends.

ztunnel has the address of a pod there, and what tells of the path is addressed to the pod: rule M5.
"""

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.traffic import SHORT_PATIENCE
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import address_of
from tests.netns.conftest import Build
from tests.netns.lives import live

SMALL = 1200
UPLOAD = b"x" * (1 << 20)


@pytest.fixture(params=["v2", "v1"])
def lab(build: Build, request: pytest.FixtureRequest) -> Lab:
    made = build(Options(flavour=request.param))
    made.hold(Wanted())
    return made


def narrow(lab: Lab, node: str, to: str, way: str) -> None:
    """Let a node have a smaller way to a pod than its neighbours think."""
    lab.inside[node].ip((f"route replace {address_of(lab, to)} {way} mtu lock {SMALL}",))


def learned(lab: Lab, who: str, to: str) -> bool:
    return f"mtu {SMALL}" in lab.inside[who].run("ip", "route", "get", address_of(lab, to))


@pytest.mark.parametrize(
    ("client", "to", "by", "sender"),
    [
        pytest.param("p1a", "p2n", "cpu2", "zt1", id="to a pod that is not meshed"),
        pytest.param("p1a", "p2a", "cpu2", "zt2", id="to one that is"),
        pytest.param("p2n", "p1a", "cpu1", "zt1", id="from a pod that is not meshed"),
    ],
)
def test_an_upload_passes_a_smaller_path(lab: Lab, client: str, to: str, by: str, sender: str) -> None:
    narrow(lab, by, to, f"dev veth{to} scope host")
    with live(lab, client, to) as connection:
        connection.exchange(UPLOAD)
        connection.end()
    assert learned(lab, sender, to)


def test_the_dpu_nodes_own_word_does_not_reach_ztunnel(lab: Lab) -> None:
    """A known limit: it goes to the pod in whose name ztunnel sent."""
    narrow(lab, "dpu1", "p2n", "via 192.168.50.128")
    with live(lab, "p1a", "p2n", SHORT_PATIENCE) as connection, pytest.raises(TimeoutError):
        connection.exchange(UPLOAD)
    assert not learned(lab, "zt1", "p2n")
