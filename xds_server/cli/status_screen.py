"""The screen of ``offmesh status``: what needs a look first, and no more than a look takes in."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xds_server.cli.terminal import printable

_CLIENTS = 20
_LINES = 10
_TEXT = 300
_PIPED_WIDTH = 200
_STYLES = {"SYNCED": "green", "SENT": "yellow", "NOT SENT": "yellow", "REJECTED": "red"}
_FIRST = ("REJECTED", "SENT", "NOT SENT", "SYNCED")


def show(report: Mapping[str, Any]) -> None:
    """Print a report on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPED_WIDTH)
    for line in _head(report):
        console.print(line, soft_wrap=True)
    if report["clients"]:
        console.print(_clients(report))
    rest = len(report["clients"]) - _CLIENTS
    if rest > 0:
        console.print(f"and {rest} more clients, none worse: --format json has all")
    for title, lines in (("rejections", _rejections(report)), ("problems", _problems(report))):
        for line in _listed(title, lines):
            console.print(line, soft_wrap=True)


def _head(report: Mapping[str, Any]) -> Iterator[Text]:
    ready = (
        Text("ready", "green") if report["ready"] else Text(f"not ready: {_clean(report['reason'])}", "red")
    )
    told = f", position {report['position']}, {_count(len(report['clients']), 'client')}"
    yield Text.assemble(f"offmesh {_clean(report['version'])} at {report['address']}: ", ready, told)
    placement = report["placement"]
    pairs, singles, conflicts = (len(placement[name]) for name in ("pairs", "singles", "conflicts"))
    counts = f"{_count(pairs, 'pair')}, {_count(singles, 'single')}, {_count(conflicts, 'conflict')}"
    loaded = f"loaded {placement['loadedAt']}" if placement["loadedAt"] else "not loaded"
    yield Text(_clean(f"placement map {placement['path']}: {counts}, {loaded}"))
    yield _certificates(report["identities"])
    if report["liveness"] is not None:
        yield from _listed("pairs that are down", _pairs_down(report["liveness"]))
    yield from _listed("conflicts", placement["conflicts"])
    yield from _listed("the last reload failed, the map in force stays", placement["failure"])


def _pairs_down(told: Mapping[str, Any]) -> list[str]:
    return [
        f"{pair['cpuNode']} on {pair['dpuNode']}, for {pair['forSeconds']:g} s: {', '.join(pair['reasons'])}"
        for pair in told["pairs"]
        if pair["state"] == "down"
    ]


def _certificates(told: Mapping[str, Any] | None) -> Text:
    """Tell in a line who signs, until when, and for how many."""
    if told is None:
        return Text("certificates: none, the secure port is off")
    authority, identities = told["authority"], told["identities"]
    issued = sum(item["serial"] is not None for item in identities)
    counts = f"{issued} of {len(identities)} identities issued here"
    text = Text(_clean(f"certificates: {counts}, issuer until {authority.get('issuerNotAfter')}"))
    if authority["failure"]:
        text.append(f"; {_clean(authority['failure'])}", "red")
    if authority.get("nextIssuer"):
        text.append(f"; a new issuer signs from {authority['nextIssuerFrom']}", "yellow")
    return text


def _clients(report: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("CLIENT", "NODE", "TYPE", "STATE", "ACKNOWLEDGED"):
        table.add_column(column, overflow="fold")
    table.add_column("FOR", justify="right")
    for client in sorted(report["clients"], key=_urgency)[:_CLIENTS]:
        name, node = _clean(client["id"]), _clean(client["node"])
        if not client["types"]:
            table.add_row(Text(name), Text(node), "none", "", "", "")
        for type_name, told in client["types"].items():
            state = f"{told['state']}, behind" if told["behind"] else told["state"]
            row = (
                Text(name),
                Text(node),
                Text(_clean(type_name)),
                Text(state, _STYLES.get(told["state"], "")),
            )
            table.add_row(*row, f"{told['acknowledged']} of {told['sent']}", _age(told, report["time"]))
            name = node = ""
    return table


def _urgency(client: Mapping[str, Any]) -> tuple[int, bool, str]:
    states = {told["state"] for told in client["types"].values()}
    worst = next((place for place, state in enumerate(_FIRST) if state in states), len(_FIRST))
    return worst, not any(told["behind"] for told in client["types"].values()), client["id"]


def _age(told: Mapping[str, Any], now: str) -> str:
    """Return for how long the state has been: the wait for an answer, or the time since it came."""
    if told["state"] == "SENT":
        return f"{told['oldestUnansweredSeconds']:.0f} s"
    since = {"SYNCED": told["acknowledgedAt"], "REJECTED": told["rejectedAt"]}.get(told["state"])
    if not since:
        return ""
    return f"{(datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds():.0f} s"


def _rejections(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{client['id']} rejected {name}: {told['rejection'] or 'no reason given'}"
        for client in report["clients"]
        for name, told in client["types"].items()
        if told["state"] == "REJECTED"
    ]


def _problems(report: Mapping[str, Any]) -> list[str]:
    problems = report["problems"]
    derived = [
        f"{problem['collection']}: {problem['key']}: {problem['reason']}" for problem in problems["derived"]
    ]
    return [problem["text"] for problem in problems["inputs"]] + derived


def _listed(title: str, lines: list[str]) -> Iterator[Text]:
    """Yield a title and the first lines; nothing at all for no line."""
    if lines:
        yield Text(f"{title} ({len(lines)}):", "bold")
    for line in lines[:_LINES]:
        yield Text(f"  {_clean(line)}")
    if len(lines) > _LINES:
        yield Text(f"  and {len(lines) - _LINES} more: --format json has all")


def _clean(text: str) -> str:
    """Clients and files choose such texts: none may move a terminal's cursor, or fill the screen."""
    return printable(text[:_TEXT])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
