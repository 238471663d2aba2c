"""What pods open while programs change: all of it gets through, and none of it past its ztunnel."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import programmed
from tests.helpers.lab.traffic import Answer
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected
from tests.netns.cases import INBOUND, OUTBOUND, Case

REMOTE, SERVICE, PLAIN_FAR = OUTBOUND[0], OUTBOUND[2], INBOUND[0]
WANTED = Wanted()
CHANGES = {
    "other pods leave and join": replace(WANTED, meshed=WANTED.meshed - {"p1b"}),
    "DNS is captured": replace(WANTED, capture_dns=True),
    "the original is there": replace(WANTED, edition="original"),
}
ROUNDS = 6


def prepared(lab: Lab) -> None:
    lab.hold(WANTED)


@contextmanager
def asking(lab: Lab, case: Case) -> Iterator[list[Answer]]:
    """Open connections one after the other until the block ends."""
    answers: list[Answer] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            answers.append(ask(lab, case))

    thread = threading.Thread(target=work, name="asking")
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    "shared",
    [
        pytest.param((Options(backend=backend, flavour=flavour), prepared), id=f"{backend}-{flavour}")
        for backend in ("nft", "legacy")
        for flavour in ("v2", "v1")
    ],
    indirect=True,
    scope="session",
)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("case", [REMOTE, SERVICE, PLAIN_FAR], ids=str)
def test_what_is_opened_while_programs_change_goes_its_way(shared: Lab, case: Case, change: str) -> None:
    shared.hold(WANTED)
    wanted = expected(shared, case)
    for proxy in shared.proxies.values():
        proxy.read_log()
    with asking(shared, case) as answers:
        for number in range(ROUNDS):
            now = WANTED if number % 2 else CHANGES[change]
            for node in ("dpu1", "cpu1", "dpu2", "cpu2"):
                programmed(shared.kernel(node), now.program(now.topology.node(node)))
    assert set(answers) == {wanted.answer}
    took = [f"{name} {way}" for name, proxy in shared.proxies.items() for way in proxy.ways()]
    assert sorted(took) == sorted(wanted.proxies * len(answers))
