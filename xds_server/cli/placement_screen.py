"""The placement map on a terminal, and as JSON."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xds_server.cli.terminal import printable
from xds_server.mesh.placement_report import PlacementReport

_PIPED_WIDTH = 200
_UNKNOWN = "-"


def as_json(report: PlacementReport) -> dict[str, Any]:
    """Return a report in the words of ``/debug/placementz``."""
    return {
        "pairs": [
            {
                "cpuNodeIP": pair.cpu_node_ip,
                "cpuNodeName": pair.cpu_node,
                "dpuNodeIP": pair.dpu_node_ip,
                "dpuNodeName": pair.dpu_node,
            }
            for pair in report.pairs
        ],
        "singles": [{"nodeIP": single.node_ip, "nodeName": single.node} for single in report.singles],
        "unmapped": list(report.unmapped),
        "unresolved": list(report.unresolved),
        "conflicts": list(report.conflicts),
    }


def print_tables(report: PlacementReport, with_nodes: bool) -> None:
    """Print a report on standard output; without Node objects nothing is said of them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPED_WIDTH)
    pairs = ((pair.cpu_node, pair.cpu_node_ip, pair.dpu_node, pair.dpu_node_ip) for pair in report.pairs)
    singles = ((single.node, single.node_ip) for single in report.singles)
    console.print(_table(("CPU NODE", "CPU NODE IP", "DPU NODE", "DPU NODE IP"), pairs))
    console.print(_table(("SINGLE NODE", "SINGLE NODE IP"), singles))
    if with_nodes:
        for title, lines in (
            ("conflicts", report.conflicts),
            ("unresolved", report.unresolved),
            ("unmapped", report.unmapped),
        ):
            _print_list(console, title, lines)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell or _UNKNOWN) for cell in row))
    return table


def _print_list(console: Console, title: str, lines: tuple[str, ...]) -> None:
    if lines:
        console.print(Text(f"{title} ({len(lines)}):", "bold"))
    for line in lines:
        console.print(Text(f"  {printable(line)}"), soft_wrap=True)
