"""Nodes to try a plan on: network namespaces with the devices and addresses of the example nodes."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

BACKENDS = ("nft", "legacy")

_DEVICES = ("ens32", "veth2", "veth7", "veth9", "veth1ae58883")
_ADDRESSES = ("192.168.50.130/24", "192.168.50.131/24", "10.244.0.1/32", "10.244.1.1/32")
_TOOLS = ("ip", "ipset", "conntrack", *(f"iptables-{backend}-restore" for backend in BACKENDS))

LACKING = [tool for tool in _TOOLS if shutil.which(tool) is None] + ["root"] * (os.geteuid() != 0)
"""What such a node needs, and is not there."""


def run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    # conntrack calls it a failure if there is no connection to mark.
    failures = [line for line in done.stderr.splitlines() if "0 flow entries" not in line]
    assert failures == [], f"{' '.join(argv)}: {failures}"
    return done.stdout


@dataclass(frozen=True)
class NodeNamespace:
    name: str

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a command there; it must not complain."""
        return run("ip", "netns", "exec", self.name, *argv, stdin=stdin)

    def state(self, backend: str) -> dict[str, str]:
        """Return all that plans are about, but for sysctls, counters and indices."""
        saved = self.run(f"iptables-{backend}-save").splitlines()
        return {
            "tables": "\n".join(line for line in saved if line.startswith(("-A", ":ztunnel"))),
            "rules": self.run("ip", "rule"),
            "routes": _sorted(self.run("ip", "route", "show", "table", "all")),
            "links": _sorted(self.run("ip", "-4", "-brief", "address")),
            "sets": self.run("ipset", "list", "-sorted"),
        }


@contextlib.contextmanager
def node_namespace(prefix: str) -> Iterator[NodeNamespace]:
    """Make a node, which ends with the context."""
    node = NodeNamespace(f"{prefix}-{os.getpid()}")
    run("ip", "netns", "add", node.name)
    try:
        for device in _DEVICES:
            node.run("ip", "link", "add", device, "type", "bridge")
            node.run("ip", "link", "set", device, "up")
        for address in _ADDRESSES:
            node.run("ip", "address", "add", address, "dev", "ens32")
        node.run("ip", "link", "set", "lo", "up")
        yield node
    finally:
        run("ip", "netns", "del", node.name)


def _sorted(lines: str) -> str:
    return "\n".join(sorted(lines.splitlines()))
