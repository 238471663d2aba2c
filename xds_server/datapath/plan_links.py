"""
The part of a plan that is about links and sysctls.

A link that is not as it shall be is deleted and made again: the kernel does not change all that makes it
one. What is known of its sysctls ends with it.
"""

from collections.abc import Collection, Iterator

from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import Link, Program, Sysctl
from xds_server.datapath.steps import AddLink, DeleteLink, SetSysctl, Step


def links_to_make(held: Program, desired: Program) -> tuple[Link, ...]:
    return tuple(link for link in desired.links if link not in held.links)


def links_in_the_way(held: Program, desired: Program) -> tuple[Link, ...]:
    """Links that must be gone before the others can be made."""
    makes = links_to_make(held, desired)
    stale = (link for link in held.links if link not in desired.links)
    return tuple(link for link in stale if any(_excludes(link, made) for made in makes))


def links_to_drop(held: Program, desired: Program) -> tuple[Link, ...]:
    """Links that nothing needs any longer, and that are in nobody's way."""
    early = links_in_the_way(held, desired)
    return tuple(link for link in held.links if link not in desired.links and link not in early)


def delete(links: Collection[Link], held: Program) -> Iterator[PlannedStep]:
    for link in links:
        settings = (sysctl for sysctl in held.sysctls if _device_of(sysctl) == link.name)
        undo: tuple[Step, ...] = (AddLink(link), *(SetSysctl(sysctl) for sysctl in settings))
        yield PlannedStep(DeleteLink(link), undo)


def make(links: Collection[Link], desired: Program) -> Iterator[PlannedStep]:
    """Make links with their sysctls, which go with them when they are deleted."""
    for link in links:
        yield PlannedStep(AddLink(link), (DeleteLink(link),))
        for sysctl in desired.sysctls:
            if _device_of(sysctl) == link.name:
                yield PlannedStep(SetSysctl(sysctl))


def set_sysctls(held: Program, desired: Program) -> Iterator[PlannedStep]:
    """Set the sysctls of all that is there."""
    values = {sysctl.path: sysctl.value for sysctl in held.sysctls}
    made = {link.name for link in links_to_make(held, desired)}
    for sysctl in desired.sysctls:
        before = values.get(sysctl.path, "")
        if _device_of(sysctl) not in made and before != sysctl.value:
            back = (SetSysctl(Sysctl(sysctl.path, before), sysctl.value),) if before else ()
            yield PlannedStep(SetSysctl(sysctl, before), back)


def _excludes(old: Link, new: Link) -> bool:
    """Tell whether the kernel refuses one while the other is there."""
    if old.name == new.name:
        return True
    # A port is either type's, and a number one link's.
    return old.port == new.port and (old.type != new.type or old.vni == new.vni)


def _device_of(sysctl: Sysctl) -> str:
    parts = sysctl.path.split("/")
    return parts[3] if parts[2] == "conf" else ""
