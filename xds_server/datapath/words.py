"""Values of a program in the words of iproute2, ipset and iptables: what a person would type."""

import re

from xds_server.datapath.program import PROTOCOL, Chain, IpSet, Link, PolicyRule, Route

_PLAIN = re.compile(r"[A-Za-z0-9_./:,!=+%@-]+")


def link_words(link: Link) -> tuple[str, ...]:
    """Return what follows ``ip link add NAME``."""
    tunnel = ("id", str(link.vni), "remote", str(link.remote), "dstport", str(link.port))
    return ("type", link.type.value, *tunnel)


def route_words(route: Route) -> tuple[str, ...]:
    """Return what follows ``ip route replace``."""
    words = ["blackhole"] if route.blackhole else ["local"] if route.local else []
    words.append(str(route.destination or "default"))
    for name, value in (("via", route.via), ("dev", route.device), ("src", route.src)):
        if value:
            words += [name, str(value)]
    if route.scope_link:
        words += ["scope", "link"]
    words += ["table", str(route.table), "proto", str(PROTOCOL)]
    return (*words, "onlink") if route.onlink else tuple(words)


def rule_words(rule: PolicyRule) -> tuple[str, ...]:
    """Return what follows ``ip rule add``."""
    words = ["priority", str(rule.priority)]
    if rule.fwmark is not None:
        words += ["fwmark", str(rule.fwmark)]
    if rule.ipproto:
        words += ["ipproto", rule.ipproto]
    words += ["goto", str(rule.goto)] if rule.goto else ["lookup", str(rule.table)]
    return (*words, "protocol", str(PROTOCOL))


def create_line(ipset: IpSet, name: str) -> str:
    """Return the line of ``ipset restore`` that makes such a set, still empty."""
    return f"create {name} hash:ip family {ipset.family} comment"


def rule_lines(chain: Chain) -> tuple[str, ...]:
    """Return a chain's rules as ``iptables-restore`` reads them."""
    return tuple(f"-A {chain.name} {rule_line(rule)}" for rule in chain.rules)


def rule_line(rule: tuple[str, ...]) -> str:
    """Return the words of a rule with quotes where ``iptables-restore`` needs them."""
    return " ".join(word if _PLAIN.fullmatch(word) else _quoted(word) for word in rule)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
