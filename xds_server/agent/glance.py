"""
A look at what the kernel has no news of: members of sets, sysctls, and tables of the older iptables.

It costs a fraction of a whole look, and tells only that something is not as it was.
"""

import re
from hashlib import blake2b

from xds_server.datapath.kernel import Backend, Place
from xds_server.datapath.netlink import NETFILTER, Netlink
from xds_server.datapath.program import Program
from xds_server.datapath.set_members import members_of
from xds_server.datapath.sysctls import read_sysctl

_POLICY = re.compile(r"^(:\S+ \S+) \[.*$|^#.*\n", re.MULTILINE)
"""Counters of built-in chains, and when it was printed."""


def glance(place: Place, held: Program) -> bytes:
    """
    Return a digest of it: another one says that something changed.

    Raises:
        KernelError: the kernel does not tell.

    """
    digest = blake2b(digest_size=16)
    with Netlink.of(NETFILTER) as netlink:
        for ipset in held.sets:
            digest.update(members_of(netlink, ipset.name) or b"-")
    for sysctl in held.sysctls:
        digest.update((read_sysctl(sysctl.path) or "-").encode())
    if place.kernel.backend is Backend.LEGACY:
        saved = place.said((place.kernel.backend.tool("save"),))
        digest.update(_POLICY.sub(r"\1", saved).encode())
    return digest.digest()
