"""A program as the tools print what a kernel holds: the text that expectations are written in."""

from collections.abc import Iterator

from xds_server.datapath.program import MAIN, Link, PolicyRule, Program, Route, Table

Section = str
"""``links``, ``sysctls``, ``sets``, a table of iptables, ``rules``, or ``table 101`` and the like."""

_TABLES = (Table.MANGLE, Table.NAT, Table.FILTER)


def sections(program: Program) -> dict[Section, list[str]]:
    found: dict[Section, list[str]] = {
        "links": [link_line(link) for link in program.links],
        "sysctls": [f"{each.path}={each.value}" for each in program.sysctls],
        "sets": [
            f'{each.name} {address} "{uid}"' for each in program.sets for address, uid in sorted(each.members)
        ],
    }
    for table in _TABLES:
        found[table] = [f"-A {jump.builtin} -j {jump.chain}" for jump in program.jumps if jump.table is table]
        for chain in program.chains:
            if chain.table is table:
                found[table] += [f"-A {chain.name} {' '.join(rule)}" for rule in chain.rules]
    found["rules"] = [rule_line(rule) for rule in program.rules]
    for route in program.routes:
        found.setdefault(f"table {table_name(route.table)}", []).append(route_line(route))
    return {section: lines for section, lines in found.items() if lines}


def listing(program: Program) -> str:
    """Return all of it as one text."""
    return "".join(f"{line}\n" for line in _lines(program))


def _lines(program: Program) -> Iterator[str]:
    for section, lines in sections(program).items():
        yield f"[{section}]"
        yield from lines


def link_line(link: Link) -> str:
    tunnel = f"{link.name} {link.type} id {link.vni} remote {link.remote} dstport {link.port}"
    return f"{tunnel} address {link.address} mtu {link.mtu}"


def rule_line(rule: PolicyRule) -> str:
    words = [f"{rule.priority}:", "from", "all"]
    words += ["fwmark", str(rule.fwmark)] if rule.fwmark else []
    words += ["ipproto", rule.ipproto] if rule.ipproto else []
    words += ["goto", str(rule.goto)] if rule.goto else ["lookup", table_name(rule.table)]
    return " ".join(words)


def route_line(route: Route) -> str:
    words = ["local"] if route.local else []
    words.append(str(route.destination or "default").removesuffix("/32"))
    words += ["via", str(route.via)] if route.via else []
    words += ["dev", route.device]
    words += ["scope", "link"] if route.scope_link else []
    words += ["scope", "host"] if route.local else []
    words += ["src", str(route.src)] if route.src else []
    words += ["onlink"] if route.onlink else []
    return " ".join(words)


def table_name(number: int) -> str:
    return "main" if number == MAIN else str(number)
