"""
A look at what the kernel has no news of: members of sets, sysctls, and tables of the older iptables.

It costs a fraction of a whole look, and tells only that something is not as it was.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b

from xds_server.datapath.kernel import Backend, Place
from xds_server.datapath.netlink import NETFILTER, Netlink
from xds_server.datapath.program import Program
from xds_server.datapath.set_members import members_of
from xds_server.datapath.sysctls import read_sysctl


def glance(place: Place, held: Program, prefix: str) -> bytes:
    """
    Return a digest of it: another one says that something changed. ``prefix`` begins the names of our chains.

    Raises:
        KernelError: the kernel does not tell.

    """
    digest = blake2b(digest_size=16)
    with Netlink.of(NETFILTER) as netlink:
        for ipset in held.sets:
            members = members_of(netlink, ipset.name)
            digest.update(b"-" if members is None else members)
    for sysctl in held.sysctls:
        digest.update((read_sysctl(sysctl.path) or "-").encode())
    if place.kernel.backend is Backend.LEGACY:
        saved = place.said((place.kernel.backend.tool("save"),))
        for line in _about(saved, prefix):
            digest.update(line.encode())
    return digest.digest()


def _about(saved: str, prefix: str) -> Iterator[str]:
    """Yield the lines about chains of ours; rules with their places: others' may come before a jump."""
    places: Counter[str] = Counter()
    for line in saved.splitlines():
        if line.startswith("*"):
            places.clear()
        words = line.split()
        if words[:1] == ["-A"]:
            places[words[1]] += 1
            if any(word.startswith(prefix) for word in words):
                yield f"{places[words[1]]} {line}"
        elif line.startswith(f":{prefix}"):
            yield words[0]
