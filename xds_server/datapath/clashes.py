"""
What others have in the place of ours: found and named, so that it is neither overwritten nor misunderstood.

Each part looks at what a kernel holds with what is wanted in mind: nothing clashes with what is not
wanted. Ours is told from foreign as everywhere: by name, by protocol number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from xds_server.datapath.clashes_marks import clashes_of_marks
from xds_server.datapath.observe_iptables import SavedTables
from xds_server.datapath.observe_links import Device
from xds_server.datapath.observe_routes import SeenRoute
from xds_server.datapath.observe_rules import SeenRule
from xds_server.datapath.observe_sets import SeenSet
from xds_server.datapath.program import MAIN, PROTOCOL, Link, Program, TunnelType


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    All that was looked at.

    ``own_links`` are names that are ours, wanted or not. ``routes`` are those of ours, and those of others
    in our tables.
    """

    tables: SavedTables
    sets: tuple[SeenSet, ...] = ()
    own_links: frozenset[str] = frozenset()
    devices: tuple[Device, ...] = ()
    rules: tuple[SeenRule, ...] = ()
    routes: tuple[SeenRoute, ...] = ()
    table_names: Mapping[int, str] = field(default_factory=dict)
    """Names that iproute2 knows numbers of tables by, with the file that says so."""


def clashes_between(seen: Seen, desired: Program) -> Iterator[str]:
    """Yield a sentence for each thing of others that is in the way of a program."""
    yield from _sets(seen.sets, desired)
    yield from _links(seen, desired)
    yield from _rules(seen.rules, desired)
    yield from _routes(seen.routes, desired)
    yield from _tables(seen, desired)
    yield from (f"{rule}: leads to a chain of ours, and is not ours" for rule in seen.tables.to_ours)
    yield from clashes_of_marks(seen.tables.marking, seen.rules, desired)


def _sets(sets: Iterable[SeenSet], desired: Program) -> Iterator[str]:
    wanted = {ipset.name: ipset.family for ipset in desired.sets}
    for seen in sets:
        name, family = seen.ipset.name, seen.ipset.family
        if name in wanted:
            if seen.strange:
                yield f"set {name}: {seen.strange}: it is not ours"
            elif family != wanted[name]:
                yield f"set {name}: its family is {family}, not {wanted[name]}: it is not ours"


def _links(seen: Seen, desired: Program) -> Iterator[str]:
    for device in seen.devices:
        for link in desired.links:
            if device.name == link.name:
                if device.as_ours(link) is None:
                    kind = device.kind or "unknown"
                    yield f"link {device.name}: its type is {kind}: it is no tunnel of ours"
            elif device.name not in seen.own_links:
                yield from _tunnel(device, link)
                yield from _addresses(device, link)


def _tunnel(device: Device, link: Link) -> Iterator[str]:
    other = device.tunnel
    if other is None or other.port != link.port:
        return
    # geneve tells tunnels apart by their far ends as well.
    same = other.vni == link.vni and (link.type is TunnelType.VXLAN or other.remote == link.remote)
    if other.type is not link.type or other.external or same:
        what = "any vni" if other.external else f"vni {other.vni}"
        yield f"link {device.name}: {other.type} with {what} at port {other.port}, where {link.name} shall be"


def _addresses(device: Device, link: Link) -> Iterator[str]:
    wanted = link.address.network
    for address in device.addresses:
        if address.version == wanted.version and address.ip in wanted:
            yield f"link {device.name}: address {address} is of the network {wanted} of {link.name}"


def _rules(rules: Iterable[SeenRule], desired: Program) -> Iterator[str]:
    priorities = {(rule.family, rule.priority) for rule in desired.rules}
    tables = {(rule.family, rule.table) for rule in desired.rules if rule.table != MAIN and not rule.goto}
    goes_to = {(rule.family, rule.goto) for rule in desired.rules if rule.goto}
    for seen in rules:
        goes_to.discard((seen.family, seen.priority))
        if seen.ours is not None:
            continue
        if (seen.family, seen.priority) in priorities:
            yield f"rule {seen.text}: its priority is one of ours"
        elif (seen.family, seen.table) in tables:
            yield f"rule {seen.text}: its table is one of ours"
    yield from (f"rule {priority}: there is none to go on at" for _, priority in sorted(goes_to))


def _routes(routes: Iterable[SeenRoute], desired: Program) -> Iterator[str]:
    tables = {route.table for route in desired.routes if route.table != MAIN}
    keys = {route.key for route in desired.routes}
    for seen in routes:
        key = (seen.family, seen.table, str(seen.destination or "default"))
        if seen.protocol != PROTOCOL:
            if key in keys:
                yield f"route {seen.text}: it is where one of ours shall be"
            elif seen.table in tables:
                yield f"route {seen.text}: its table is one of ours"
        elif seen.ours is None:
            yield f"route {seen.text}: it has our protocol number, and is not as ours are"


def _tables(seen: Seen, desired: Program) -> Iterator[str]:
    tables = {route.table for route in desired.routes} | {rule.table for rule in desired.rules}
    for table in sorted(tables - {0, MAIN}):
        if table in seen.table_names:
            yield f"table {table}: it is called {seen.table_names[table]}"
    for device in seen.devices:
        if device.table in tables - {0}:
            yield f"table {device.table}: it is that of the VRF {device.name}"
