"""A network namespace for one test: a node with an uplink and a pod's veth, and with things of others."""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

UPLINK, VETH = "ens32", "veth1ae58883"
TOOLS = ("ip", "ipset", "conntrack", *(f"iptables-{name}-save" for name in ("nft", "legacy")))

_OURS = re.compile(r"ztunnel-|proto 76|istioin|istioout")
_numbers = itertools.count()


def _missing() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} missing" if lacking else ""


needs_root = pytest.mark.skipif(bool(_missing()), reason=_missing())


@dataclass(frozen=True)
class ScratchNode:
    name: str

    def run(self, *argv: str, stdin: str = "") -> str:
        return _run("ip", "netns", "exec", self.name, *argv, stdin=stdin)

    def ip(self, words: str) -> str:
        return self.run("ip", *words.split())

    def restore(self, backend: str, table: str, *lines: str) -> None:
        text = "\n".join((f"*{table}", *lines, "COMMIT", ""))
        self.run(f"iptables-{backend}-restore", "--noflush", stdin=text)

    def saved(self, backend: str) -> list[str]:
        """Return what iptables holds, but for times and counters."""
        lines = self.run(f"iptables-{backend}-save").splitlines()
        return [line.partition(" [")[0] for line in lines if not line.startswith("#")]

    def everything(self, backend: str) -> str:
        """Return all that a person could see."""
        views = ("-d rule", "-6 -d rule", "route show table all", "-6 route show table main", "-o -d link")
        seen = [self.ip(view) for view in views]
        addresses = (line.partition(" valid_lft")[0] for line in self.ip("-o address").splitlines())
        return "\n".join((*seen, self.run("ipset", "save"), *self.saved(backend), *addresses))

    def others(self, backend: str) -> list[str]:
        """
        Return all that is not ours.

        Of iptables without the built-in chains: they come with the first rule in their table, and stay.
        """
        lines = self.everything(backend).splitlines()
        return [
            line for line in lines if not _OURS.search(line) and line[:1] not in "*:" and line != "COMMIT"
        ]


@contextlib.contextmanager
def scratch_node() -> Iterator[ScratchNode]:
    node = ScratchNode(f"scratch-{os.getpid()}-{next(_numbers)}")
    _run("ip", "netns", "add", node.name)
    try:
        # No address of a device's own, which would come and go as it pleases.
        node.run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
        devices = ((UPLINK, "lan", "192.168.50.131/24"), (VETH, "pod", "10.244.1.1/32"))
        for device, far_end, address in devices:
            node.ip(f"link add {device} type veth peer name {far_end}")
            node.ip(f"link set {device} up")
            node.ip(f"link set {far_end} up")
            node.ip(f"address add {address} dev {device}")
        # A device whose name is no path of a sysctl.
        node.ip("link add dev.7 type veth peer name far7")
        node.ip("link set lo up")
        node.ip(f"route add 10.244.1.2 dev {VETH} scope host")
        yield node
    finally:
        _run("ip", "netns", "delete", node.name)


def add_things_of_others(node: ScratchNode, backend: str) -> None:
    """Give a node what kube-proxy, a network plugin and an administrator could have put there."""
    node.restore(
        backend,
        "nat",
        ":KUBE-SERVICES - [0:0]",
        "-A PREROUTING -j KUBE-SERVICES",
        '-A KUBE-SERVICES -d 10.96.0.80 -p tcp -m comment --comment "a/b \\"c\\"" -j DNAT --to 10.244.3.2:80',
        "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE",
    )
    node.restore(
        backend,
        "mangle",
        ":KUBE-KUBELET-CANARY - [0:0]",
        "-A PREROUTING -j MARK --set-xmark 0x4000/0x4000",
        "-A FORWARD -m addrtype --dst-type LOCAL -j ACCEPT",
    )
    node.run("ipset", "create", "others", "hash:net")
    node.run("ipset", "add", "others", "10.0.0.0/8")
    node.ip("rule add priority 50 from 10.9.9.9 lookup 500")
    node.ip(f"route add 10.99.0.0/16 via 192.168.50.2 dev {UPLINK} proto static")
    node.ip(f"route add default via 192.168.50.2 dev {UPLINK} table 500")
    node.ip("link add flannel.1 type vxlan id 1 remote 192.168.50.9 dstport 8472")


def _run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout
