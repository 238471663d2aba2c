"""
What a node lacks for a program: rights, tools, and what its kernel can be asked for.

Names of modules prove little: much is built in, and much is loaded when it is asked for. So the program
itself is tried, in a network namespace that ends with the trial. In the node's own nothing is written.
"""

import logging
import os
from collections.abc import Iterator
from errno import EOPNOTSUPP, EPERM
from ipaddress import IPv6Address
from pathlib import Path

from xds_server.datapath import requests
from xds_server.datapath.carry_out import carry_out
from xds_server.datapath.kernel import Kernel, MissingToolError, Place, in_thread, within
from xds_server.datapath.namespaces import enter_a_new_one
from xds_server.datapath.netlink import ROUTE, Netlink, RefusedError
from xds_server.datapath.program import Chain, Link, Mark, Program
from xds_server.datapath.steps import AddLink, AddRule, RestoreSets, RestoreTable, Step, TagConnections
from xds_server.datapath.words import create_line, rule_line, rule_lines
from xds_server.exceptions import KernelError

log = logging.getLogger(__name__)

_NO_LINK = "offmesh-no-link"
_PROC = Path("/proc/sys")
_NOBODY = IPv6Address("2001:db8::1")
"""Of this family connections are listed in any case."""


async def lacks(kernel: Kernel, desired: Program) -> tuple[str, ...]:
    """
    Return a sentence for each thing that a node lacks for a program; none when it lacks nothing.

    Raises:
        KernelError: its namespace is not there or cannot be entered.

    """
    found = await within(kernel, lambda place: (*_rights(place, desired), *_tools(place, desired)))
    return found or await in_thread(lambda: tuple(_trial(kernel, desired)))


def _rights(place: Place, desired: Program) -> Iterator[str]:
    try:
        # The kernel asks for the right before it finds that there is no such link.
        place.netlink.ask(requests.DELETE_LINK, 0, requests.named_link(_NO_LINK))
    except RefusedError as error:
        if error.code == EPERM:
            yield "the right to change the network (CAP_NET_ADMIN) is missing"
    for path in sorted({_PROC / sysctl.path for sysctl in desired.sysctls}):
        if path.exists() and not os.access(path, os.W_OK):
            yield f"{path} cannot be written: mount /proc/sys writable (a privileged container has it so)"
            return


def _tools(place: Place, desired: Program) -> Iterator[str]:
    backend = place.kernel.backend
    tools = [backend.tool("save"), backend.tool("restore"), "ipset"]
    for tool in tools:
        try:
            place.kernel.run((tool, "--version"), "")
        except MissingToolError as error:
            yield str(error)


def _trial(kernel: Kernel, desired: Program) -> Iterator[str]:
    try:
        enter_a_new_one()
    except OSError as error:
        log.info("what the kernel can be asked for is not tried: a network namespace to do so in: %s", error)
        return
    with Netlink.of(ROUTE) as netlink:
        place = Place(Kernel(backend=kernel.backend, run=kernel.run), netlink)
        yield from _links(place, desired)
        yield from _rules(place, desired)
        without_sets = tuple(_sets(place, desired))
        yield from without_sets or _chains(place, desired)
        if desired.sets:
            yield from _tried(place, "conntrack", TagConnections((_NOBODY,), Mark(1, 1)))


def _tried(place: Place, what: str, step: Step) -> Iterator[str]:
    try:
        carry_out(place, step)
    except KernelError as error:
        yield f"{what}: {error}"


def _links(place: Place, desired: Program) -> Iterator[str]:
    for link in desired.links:
        try:
            carry_out(place, AddLink(link))
        except KernelError as error:
            yield f"link {link.name}: {_about_link(link, error)}"
            return


def _about_link(link: Link, error: KernelError) -> str:
    if isinstance(error, RefusedError) and error.code == EOPNOTSUPP:
        advice = f"load the module {link.type}, or use the other type"
        return f"this kernel has no links of type {link.type}: {advice}"
    return str(error)


def _rules(place: Place, desired: Program) -> Iterator[str]:
    for rule in desired.rules:
        yield from _tried(place, f"rule {rule.priority}", AddRule(rule))


def _sets(place: Place, desired: Program) -> Iterator[str]:
    for ipset in desired.sets:
        yield from _tried(place, f"set {ipset.name}", RestoreSets((create_line(ipset, ipset.name),)))


def _chains(place: Place, desired: Program) -> Iterator[str]:
    """Try each table as a whole, and of one that is refused each kind of rule."""
    for table in dict.fromkeys(chain.table for chain in desired.chains):
        chains = [chain for chain in desired.chains if chain.table is table]
        if any(_tried(place, table, _restore(*chains))):
            yield from _each_rule(place, chains)


def _each_rule(place: Place, chains: list[Chain]) -> Iterator[str]:
    told: set[frozenset[str]] = set()
    for chain in chains:
        for rule in chain.rules:
            extensions = frozenset(rule[place + 1] for place, word in enumerate(rule) if word in ("-m", "-j"))
            if extensions not in told:
                one = Chain(chain.table, chain.name, (rule,))
                refused = tuple(_tried(place, f"{chain.table} {rule_line(rule)}", _restore(one)))
                told |= {extensions} if refused else set()
                yield from refused


def _restore(*chains: Chain) -> RestoreTable:
    table = chains[0].table
    declared = (f":{chain.name} - [0:0]" for chain in chains)
    rules = (line for chain in chains for line in rule_lines(chain))
    return RestoreTable(table, (f"*{table}", *declared, *rules, "COMMIT"))
