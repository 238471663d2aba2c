"""
Known limits: what docs/datapath.md says does not arrive, does not.

Once one of these does, it belongs among the flows.
"""

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.traffic import NOBODY, SHORT_PATIENCE
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask
from tests.netns.cases import Case

MASQUERADED = (
    Case(
        says="a node port of a DPU node that is masqueraded does not reach a meshed pod of its CPU node",
        client="ext",
        to="dpu1:30081",
        server="",
    ),
    Case(
        says="a node port of a node without a DPU that is masqueraded does not reach its meshed pod",
        client="ext",
        to="one:30083",
        server="",
    ),
    Case(
        says="a node port of its node that is masqueraded does not bring a pod to a meshed one beside it",
        client="p1n",
        to="cpu1:30081",
        server="",
    ),
)
"""ztunnel keeps the source, which is the node's by then: the answer is the node's and not ztunnel's."""
OWN_NODE = (
    Case(
        says="a meshed pod does not get through a node port of its node",
        client="p1a",
        to="cpu1:30083",
        server="",
    ),
    Case(
        says="a meshed pod does not get through a node port of its DPU",
        client="p1a",
        to="dpu1:30083",
        server="",
    ),
    Case(says="nor does one of a node without a DPU", client="p3a", to="one:30082", server=""),
)
"""What a meshed pod opens is left as it is for ztunnel; at the node itself nobody listens at that port."""


def prepared(lab: Lab) -> None:
    lab.hold(Wanted())


@pytest.mark.parametrize(
    "shared",
    [pytest.param((Options(flavour=flavour), prepared), id=flavour) for flavour in ("v2", "v1")],
    indirect=True,
    scope="session",
)
@pytest.mark.parametrize("case", [*MASQUERADED, *OWN_NODE], ids=str)
def test_a_flow_does_not_arrive(shared: Lab, case: Case) -> None:
    assert ask(shared, case, SHORT_PATIENCE) == NOBODY
