"""Steps as the commands a person would type to the same effect."""

from dataclasses import dataclass

from xds_server.datapath.program import Link, PolicyRule, Route
from xds_server.datapath.steps import (
    AddLink,
    AddRule,
    DeleteLink,
    DeleteRoute,
    DeleteRule,
    ReplaceRoute,
    RestoreSets,
    RestoreTable,
    SetSysctl,
    Step,
    TagConnections,
)
from xds_server.datapath.words import link_words, route_words, rule_words


@dataclass(frozen=True, slots=True)
class Command:
    """Words, and what the command reads on standard input, line by line."""

    argv: tuple[str, ...]
    stdin: tuple[str, ...] = ()
    note: str = ""
    """What the step does otherwise."""


def commands_of(step: Step, backend: str = "") -> tuple[Command, ...]:
    """Return a step's commands; ``backend`` is ``nft``, ``legacy``, or the one that ``iptables`` is."""
    match step:
        case SetSysctl(sysctl):
            return (Command(("sysctl", "-w", f"{sysctl.path}={sysctl.value}")),)
        case RestoreSets(lines):
            return (Command(("ipset", "-exist", "restore"), lines),)
        case RestoreTable(_, lines, family):
            tables = "ip6tables" if family == 6 else "iptables"
            name = f"{tables}-{backend}-restore" if backend else f"{tables}-restore"
            return (Command((name, "-w", "5", "--noflush"), lines),)
        case TagConnections():
            return _tag(step)
        case AddLink(link):
            return _add_link(link)
        case _:
            return (_ip_command(step),)


def _ip_command(step: DeleteLink | ReplaceRoute | DeleteRoute | AddRule | DeleteRule) -> Command:
    match step:
        case DeleteLink(link):
            return Command(("ip", "link", "delete", link.name))
        case ReplaceRoute(route):
            return _route("replace", route)
        case DeleteRoute(route):
            return _route("delete", route)
        case AddRule(rule):
            return _rule("add", rule)
        case DeleteRule(rule):
            return _rule("delete", rule)


def _add_link(link: Link) -> tuple[Command, ...]:
    return (
        Command(("ip", "link", "add", link.name, *link_words(link))),
        Command(("ip", "address", "add", str(link.address), "dev", link.name)),
        Command(("ip", "link", "set", link.name, "mtu", str(link.mtu), "up" if link.up else "down")),
    )


def _route(verb: str, route: Route) -> Command:
    return Command((*_ip(route.family), "route", verb, *route_words(route)))


def _rule(verb: str, rule: PolicyRule) -> Command:
    return Command((*_ip(rule.family), "rule", verb, *rule_words(rule)))


def _ip(family: int) -> tuple[str, ...]:
    return ("ip", "-6") if family == 6 else ("ip",)


def _tag(step: TagConnections) -> tuple[Command, ...]:
    # ``conntrack`` takes no mark to look for beside the one to put.
    note = f"only where the mark has no bit of {step.mark.mask:#x} yet"
    places = ("--src", "--dst", "--reply-src")
    return tuple(
        Command(("conntrack", "-U", place, str(address), "--mark", str(step.mark)), note=note)
        for address in step.addresses
        for place in places
    )
