"""
By which rules and tunnels of a node packets went, told by the names that docs/datapath.md gives them.

    C3 E10 M2          third rule of mangle PREROUTING on a CPU node, tenth beside a ztunnel, second within it
    F1 I1 O1           first of mangle FORWARD, INPUT, OUTPUT
    N1 N3 N2 R1        nat PREROUTING, first and second; nat POSTROUTING; nat OUTPUT
    T1                 filter FORWARD
    istioin istioout   packets were sent into that tunnel
    vip masq           a service was resolved, a source was masqueraded: what others do

Left out are rules that only return, and what packets of the tunnels themselves hit. A tunnel carries ARP
too, at any time, so what is sent into one is counted by rules of the lab's own, as packets of IP are.
"""

import re
from collections.abc import Mapping

from tests.helpers.lab.namespaces import Namespace

Counters = Mapping[str, int]

_RULE = re.compile(r"\[(\d+):\d+\] -A (\S+) (.*)")
_TABLE = re.compile(r"\*(\w+)")
_COUNTING = re.compile(r"--comment (\w+)$")
_TUNNELS, _OUTER = ("istioin", "istioout"), "outer"
_NOT_TOLD = frozenset({"", _OUTER})
_OURS = {
    ("mangle", "FORWARD"): ("F1", "F2"),
    ("mangle", "INPUT"): ("I1", "I2"),
    ("mangle", "OUTPUT"): ("O1",),
    ("nat", "PREROUTING"): ("N1", "N3"),
    ("nat", "POSTROUTING"): ("N2",),
    ("nat", "OUTPUT"): ("R1",),
    ("filter", "FORWARD"): ("T1",),
}


def read_counters(namespace: Namespace, backend: str, letter: str, prefix: str = "ztunnel-") -> Counters:
    """Return packets by name; ``letter`` is that of the rules in mangle PREROUTING."""
    counted: dict[str, int] = {}
    table, places = "", dict[str, int]()
    for line in namespace.run(f"iptables-{backend}-save", "-c").splitlines():
        if found := _TABLE.fullmatch(line):
            table, places = found[1], {}
        elif rule := _RULE.match(line):
            packets, chain, words = int(rule[1]), rule[2], rule[3]
            places[chain] = places.get(chain, 0) + 1
            if chain.startswith(prefix):
                name = _name(table, chain.removeprefix(prefix), places[chain], letter, words)
            else:
                name = _foreign_name(words)
            counted[name] = counted.get(name, 0) + packets
    counted["O1"] = counted.get("O1", 0) - counted.get(_OUTER, 0)
    return counted


def hits_between(before: Counters, after: Counters) -> frozenset[str]:
    return frozenset(
        name for name, packets in after.items() if name not in _NOT_TOLD and packets > before.get(name, 0)
    )


def counting_rules(port: int) -> tuple[str, ...]:
    """Return rules of mangle that do nothing but count."""
    tunnels = (f"-A POSTROUTING -o {tunnel} -m comment --comment {tunnel}" for tunnel in _TUNNELS)
    outer = f"-A OUTPUT -p udp -m udp --dport {port} -m comment --comment {_OUTER}"
    return (*tunnels, outer)


def _name(table: str, builtin: str, place: int, letter: str, words: str) -> str:
    if words.endswith("-j RETURN"):
        return ""
    if (table, builtin) == ("mangle", "PREROUTING"):
        return f"{letter}{place}"
    names = _OURS.get((table, builtin), ())
    return names[place - 1] if place <= len(names) else f"{table} {builtin} {place}"


def _foreign_name(words: str) -> str:
    if counting := _COUNTING.search(words):
        return counting[1]
    if "-j DNAT" in words:
        return "vip"
    return "masq" if words.endswith("-j MASQUERADE") else ""
