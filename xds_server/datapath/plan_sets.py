"""
The part of a plan that is about sets.

Members that leave go before anything else, those that join come after everything else. A set most of
whose members change is filled under another name and swapped in, so that no packet meets half of it.
"""

from collections.abc import Iterator, Mapping

from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import Address, IpSet, Program
from xds_server.datapath.steps import RestoreSets, Step
from xds_server.datapath.words import create_line

TEMPORARY = "-new"
"""Ends the name of a set that is being filled, to be swapped with the one in use."""
_LINES_OF_A_SWAP = 4
Members = frozenset[tuple[Address, str]]


def joining(held: Program, desired: Program) -> frozenset[Address]:
    """Return the addresses of pods that are in no set yet, and shall be."""
    return _only_in(_by_name(desired), _in_use(held, desired))


def leaving(held: Program, desired: Program) -> frozenset[Address]:
    """Return the addresses of pods that are in a set, and shall be in none."""
    return _only_in(_in_use(held, desired), _by_name(desired))


def withdraw(held: Program, desired: Program) -> Iterator[PlannedStep]:
    """Take out the members that leave."""
    wanted = _by_name(desired)
    for old in _in_use(held, desired).values():
        new = wanted.get(old.name)
        if new is None and old.members:
            yield _planned((f"flush {old.name}",), _added(old, old.members))
        elif new is not None and not _is_swapped(old, new):
            stays = _addresses(new.members)
            gone = frozenset(member for member in old.members if member[0] not in stays)
            if gone:
                yield _planned(_deleted(old, gone), _added(old, gone))


def create(held: Program, desired: Program) -> Iterator[PlannedStep]:
    """Make the sets that are not there, empty; away with one that was being filled when its maker died."""
    there, used = _by_name(held), _in_use(held, desired)
    for old in held.sets:
        if old.name not in used:
            undo = (create_line(old, old.name), *_added(old, old.members))
            yield _planned((f"destroy {old.name}",), undo)
    for new in desired.sets:
        if new.name not in there:
            yield _planned((create_line(new, new.name),), (f"destroy {new.name}",))


def fill(held: Program, desired: Program) -> Iterator[PlannedStep]:
    """Put in the members that join, and the right comment to those that stay."""
    there = _by_name(held)
    for new in desired.sets:
        old = there.get(new.name, IpSet(new.name, family=new.family))
        if _is_swapped(old, new):
            yield _planned(_swapped_in(new), _swapped_in(old))
            continue
        stays = _addresses(new.members)
        stale = frozenset(member for member in old.members - new.members if member[0] in stays)
        fresh = new.members - old.members
        if fresh:
            undo = (*_deleted(new, fresh), *_added(old, stale))
            yield _planned((*_deleted(old, stale), *_added(new, fresh)), undo)


def destroy(held: Program, desired: Program) -> Iterator[PlannedStep]:
    """Delete the sets that nothing names any longer; they are empty."""
    wanted = _by_name(desired)
    for old in _in_use(held, desired).values():
        if old.name not in wanted:
            yield _planned((f"destroy {old.name}",), (create_line(old, old.name),))


def _by_name(program: Program) -> Mapping[str, IpSet]:
    return {ipset.name: ipset for ipset in program.sets}


def _in_use(held: Program, desired: Program) -> Mapping[str, IpSet]:
    """Return the sets but for those that are left over from a swap."""
    left = {ipset.name + TEMPORARY for ipset in desired.sets}
    return {ipset.name: ipset for ipset in held.sets if ipset.name not in left}


def _only_in(sets: Mapping[str, IpSet], others: Mapping[str, IpSet]) -> frozenset[Address]:
    found: set[Address] = set()
    for name, ipset in sets.items():
        other = others.get(name)
        found |= _addresses(ipset.members - other.members if other else ipset.members)
    # Those that have another comment there, or are in another set.
    return frozenset(found).difference(*(_addresses(each.members) for each in others.values() if found))


def _is_swapped(old: IpSet, new: IpSet) -> bool:
    """Tell whether a swap takes fewer lines: it does when clearly more members go than stay."""
    changes = len(old.members - new.members) + len(new.members - old.members)
    return _LINES_OF_A_SWAP + len(new.members) < changes


def _swapped_in(ipset: IpSet) -> tuple[str, ...]:
    name = ipset.name + TEMPORARY
    filled = tuple(_add(name, member) for member in sorted(ipset.members, key=str))
    # One may be there, half filled, when this undoes a swap that stopped on its way.
    made = (create_line(ipset, name), f"flush {name}")
    return (*made, *filled, f"swap {name} {ipset.name}", f"destroy {name}")


def _addresses(members: Members) -> frozenset[Address]:
    return frozenset(address for address, _comment in members)


def _added(ipset: IpSet, members: Members) -> tuple[str, ...]:
    return tuple(_add(ipset.name, member) for member in sorted(members, key=str))


def _deleted(ipset: IpSet, members: Members) -> tuple[str, ...]:
    return tuple(f"del {ipset.name} {address}" for address in sorted(_addresses(members), key=str))


def _add(name: str, member: tuple[Address, str]) -> str:
    address, comment = member
    return f'add {name} {address} comment "{comment}"' if comment else f"add {name} {address}"


def _planned(lines: tuple[str, ...], undo: tuple[str, ...]) -> PlannedStep:
    back: tuple[Step, ...] = (RestoreSets(undo),)
    return PlannedStep(RestoreSets(lines), back)
