"""A connection that lives while something is done to the nodes it passes."""

import contextlib
from collections.abc import Iterator

from tests.helpers.lab.lab import Lab
from tests.helpers.lab.topology import ECHO_TCP
from tests.helpers.lab.traffic import PATIENCE, Connection, Server, connected
from tests.netns.asking import address_of


@contextlib.contextmanager
def live(lab: Lab, client: str, to: str, patience: float = PATIENCE) -> Iterator[Connection]:
    """Open a connection of which a first exchange has gone through; it is closed when the block ends."""
    host, _, port = to.partition(":")
    server = Server(address_of(lab, host), int(port or ECHO_TCP), patience=patience)
    with connected(lab.inside[client], server) as connection:
        connection.exchange(b"first")
        yield connection


def retransmitted(lab: Lab, name: str) -> int:
    """Return how many segments a namespace had to send again: what was lost on the way shows here."""
    lines = lab.inside[name].run("cat", "/proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(dict(zip(names, values, strict=True))["RetransSegs"])
