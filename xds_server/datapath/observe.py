"""What a kernel holds of ours, and what of others is in the way of what is wanted."""

from collections.abc import Iterable, Mapping

from xds_server.datapath.clashes import Seen, clashes_between
from xds_server.datapath.kernel import Kernel, Place, within
from xds_server.datapath.names import Names
from xds_server.datapath.observe_iptables import read_tables
from xds_server.datapath.observe_links import Device, devices_of
from xds_server.datapath.observe_routes import FAMILIES, SeenRoute, routes_of
from xds_server.datapath.observe_rules import rules_of
from xds_server.datapath.observe_sets import SeenSet, read_sets
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan_sets import TEMPORARY
from xds_server.datapath.program import MAIN, PROTOCOL, Program, Sysctl
from xds_server.datapath.sysctls import read_sysctl
from xds_server.datapath.table_names import table_names

_NAMES = Names()
_OF_LINKS = ("rp_filter", "accept_local")
"""What programs set of the links they make."""


async def observe(kernel: Kernel, desired: Program, names: Names = _NAMES) -> Observed:
    """
    Return what a kernel holds, the sysctls that are asked for among it; nothing is written.

    Raises:
        KernelError: its namespace cannot be entered, or a tool failed.

    """
    return await within(kernel, lambda place: look(place, desired, names))


def look(place: Place, desired: Program, names: Names) -> Observed:
    """
    Return what the kernel holds in whose namespace this thread is.

    Raises:
        KernelError: a tool failed.

    """
    saved = place.said((place.kernel.backend.tool("save"),))
    by_index = devices_of(place.netlink)
    own_links = {names.inbound_link, names.outbound_link, names.dpu_link, names.cpu_link}
    own_links |= {names.pod_inbound_link, names.pod_outbound_link, *(link.name for link in desired.links)}
    seen = Seen(
        tables=read_tables(saved, names.chain_prefix),
        sets=_sets(place, names),
        own_links=frozenset(own_links),
        devices=tuple(by_index.values()),
        rules=tuple(rules_of(place.netlink)),
        routes=_routes(place, desired, by_index),
        # Names are the node's, not those of a namespace on it.
        table_names={} if place.kernel.netns else table_names(),
    )
    return Observed(
        held=_held(seen, desired),
        jumps=seen.tables.jumps,
        clashes=tuple(clashes_between(seen, desired)),
    )


def _held(seen: Seen, desired: Program) -> Program:
    wanted = {link.name: link for link in desired.links}
    links = (each.as_ours(wanted.get(each.name)) for each in seen.devices if each.name in seen.own_links)
    held_links = tuple(link for link in links if link)
    return Program(
        name="held",
        links=held_links,
        sysctls=tuple(_sysctls(desired, [link.name for link in held_links])),
        sets=tuple(each.ipset for each in seen.sets if not each.strange),
        chains=seen.tables.chains,
        jumps=tuple(seen.tables.jumps),
        rules=tuple(each.ours for each in seen.rules if each.ours),
        routes=tuple(each.ours for each in seen.routes if each.ours),
    )


def _sets(place: Place, names: Names) -> tuple[SeenSet, ...]:
    own = {names.pods_set, names.pods_set + TEMPORARY}
    there = [name for name in place.said(("ipset", "list", "-n")).splitlines() if name in own]
    return tuple(each for name in there for each in read_sets(place.said(("ipset", "save", name))))


def _sysctls(desired: Program, links: Iterable[str]) -> list[Sysctl]:
    """Return those asked for, and those of links of ours, which go with them when they are deleted."""
    of_links = [f"net/ipv4/conf/{link}/{key}" for link in links for key in _OF_LINKS]
    values = {path: read_sysctl(path) for path in (*(sysctl.path for sysctl in desired.sysctls), *of_links)}
    return [Sysctl(path, value) for path, value in values.items() if value is not None]


def _routes(place: Place, desired: Program, devices: Mapping[int, Device]) -> tuple[SeenRoute, ...]:
    tables = {(route.family, route.table) for route in desired.routes}
    tables |= {(rule.family, rule.table) for rule in desired.rules if rule.table not in (0, MAIN)}
    ours = (routes_of(place.netlink, version, devices, protocol=PROTOCOL) for version in FAMILIES)
    others = (routes_of(place.netlink, version, devices, table=table) for version, table in sorted(tables))
    return tuple(route for routes in (*ours, *others) for route in routes)
