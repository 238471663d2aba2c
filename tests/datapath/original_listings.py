"""
The lines of ``listings/``, spelled as ``program_listing`` spells those of a program.

They quote the original project's notes and README, and two articles on the mesh it is made from, as far as
these list rules, routes and tunnels: what tools print, commands, and what a log tells of either.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LISTINGS = Path(__file__).parent / "listings"

# The articles print the numbers of devices within the ztunnel pod.
DEVICES = {"1": "lo", "2": "eth0", "7": "pistioin", "8": "pistioout"}


@dataclass(frozen=True)
class Listed:
    """A line, and the head it stands under: ``rules``, ``table 101``, ``iptables`` or ``links``."""

    section: str
    text: str


def read_listing(name: str) -> Iterator[Listed]:
    section = "iptables"
    for line in (LISTINGS / f"{name}.txt").read_text().splitlines():
        if command := re.fullmatch(r"\$ (ip rule|ip route)( show)?( (table \d+|table main))?", line):
            section = command[4] or "rules"
        elif line.startswith("*"):
            section = "iptables"
        else:
            yield _spelled(line, section, name)


def _spelled(line: str, section: str, name: str) -> Listed:
    """Return a line as ``program_listing`` spells it."""
    for words, listed in COMMANDS.items():
        if found := re.fullmatch(words, line):
            return listed(*found.groups(default=""))
    line = " ".join(line.removeprefix("# ").removeprefix("$ ").split())
    if name.endswith("_ztunnel"):
        # There the rules are in the built-in chains; ours are in chains of our own that these lead to.
        line = line.replace("-A PREROUTING", "-A ztunnel-PREROUTING")
    return Listed(section, line)


def _route_command(table: str, destination: str, rest: str) -> Listed:
    where = destination.replace("0.0.0.0/0", "default")
    return Listed(f"table {table}", f"{where} {rest}")


def _rule_command(priority: str, mark: str, action: str) -> Listed:
    fwmark = f" fwmark {mark.replace('0x0', '0x')}" if mark else ""
    return Listed("rules", f"{priority}: from all{fwmark} {action.replace('table', 'lookup')}")


def _logged_route(device: str, destination: str, gateway: str, table: str) -> Listed:
    if device == "1":
        return Listed(f"table {table}", "local default dev lo scope host")
    if gateway == "<nil>":
        return Listed(f"table {table}", f"{destination.removesuffix('/32')} dev {DEVICES[device]} scope link")
    return Listed(f"table {table}", f"default via {gateway} dev {DEVICES[device]}")


def _logged_link(name: str, vni: str, remote: str) -> Listed:
    return Listed("links", f"{name} geneve id {vni} remote {remote}")


COMMANDS: Mapping[str, Callable[..., Listed]] = {
    r"\$ ip route add table (\d+) (\S+) (.*)": _route_command,
    r"\$ ip rule add priority (\d+)(?: fwmark (\S+))? (.*)": _rule_command,
    r"Adding .*Ifindex: (\d+) Dst: (\S+) .* Gw: (\S+) .* Table: (\d+) .*": _logged_route,
    r"Building .* Name:(\w+) ID:(\d+) Remote:(\S+)": _logged_link,
}
