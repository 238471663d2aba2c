"""
Measure every row of the benchmark, or one, and print a Markdown table.

    python bench/run.py
    python bench/run.py --case connect --repeat 5
    python bench/run.py --group cluster
    python bench/run.py --group datapath

The rows of the group ``cluster`` take a real API server, which ``make tools`` installs; those of the group
``datapath`` take root and the node's tools.
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import grpc

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script, not installed

from bench.cases import CASES, Case, Figure
from bench.cluster_cases import OUTAGE_SECONDS, cluster_cases
from bench.cluster_server import missing_tools
from bench.datapath_cases import datapath_cases, what_is_missing
from bench.figures import rounded, spread
from bench.meshes import Meshes

HEADER = "| case | istiod | target | ours | istiod ÷ ours |\n| --- | --- | --- | --- | --- |"


def machine() -> str:
    """Tell on what was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    versions = f"Python {platform.python_version()}, grpcio {grpc.__version__}"
    return f"{os.cpu_count()} cores of {model}, shared by server and clients; {versions}"


def row(case: Case, measured: Sequence[Sequence[float]]) -> str:
    """Return the case's line of the table; ``measured`` has the figures of each repetition."""
    columns = list(zip(case.figures, zip(*measured, strict=True), strict=True))
    cells = (
        case.title,
        case.istiod,
        " / ".join(_target(figure) for figure in case.figures),
        " / ".join(_ours(figure, values) for figure, values in columns),
        " / ".join(_ratio(figure, values) for figure, values in columns),
    )
    return f"| {' | '.join(cells)} |"


def _target(figure: Figure) -> str:
    return "-" if figure.target is None else f"{rounded(figure.target)} {figure.unit}".strip()


def _ours(figure: Figure, values: Sequence[float]) -> str:
    """Tell the figure, in bold when it misses its target."""
    text = f"{spread(values)} {figure.unit}".strip()
    return f"**{text}**" if figure.misses(median(values)) else text


def _ratio(figure: Figure, values: Sequence[float]) -> str:
    """Tell how many times better than istiod."""
    times = figure.times_better(median(values))
    return "-" if times is None else f"{rounded(times)}x"


def chosen(given: argparse.Namespace) -> tuple[Case, ...]:
    """Return the rows that were asked for, less those whose programs are missing, of which it tells."""
    groups = {"files": CASES, "cluster": cluster_cases(given.outage), "datapath": datapath_cases()}
    wanted = {
        name: tuple(case for case in cases if given.case in (None, case.name))
        for name, cases in groups.items()
        if given.group in (None, name)
    }
    return tuple(case for group, cases in wanted.items() if cases and _is_possible(group) for case in cases)


def _is_possible(group: str) -> bool:
    """Tell whether all is there that the rows of a group take, and what is missing."""
    advice, missing = "", list[str]()
    if group == "cluster":
        advice, missing = " (see `make tools`)", missing_tools()
    elif group == "datapath":
        missing = what_is_missing()
    if missing:
        text = f"{' and '.join(missing)} missing: left out the rows of the group {group}{advice}"
        print(text, file=sys.stderr)
    return not missing


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure offmesh serve.")
    names = [case.name for case in (*CASES, *cluster_cases(), *datapath_cases())]
    parser.add_argument("--case", choices=names, help="measure this row only")
    parser.add_argument("--group", choices=("files", "cluster", "datapath"), help="measure these rows only")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="tell median (min..max) of N")
    parser.add_argument(
        "--outage",
        type=float,
        default=OUTAGE_SECONDS,
        metavar="SECONDS",
        help="how long the API server is gone in cluster-outage, default: %(default)g",
    )
    given = parser.parse_args()
    if given.repeat < 1:
        parser.error(f"--repeat {given.repeat}: expected at least 1")
    cases = chosen(given)
    if not cases:
        parser.exit(1)
    print(f"{machine()}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory(prefix="offmesh-bench-") as folder:
        meshes = Meshes(Path(folder))
        for case in cases:
            measured = [case.measure(meshes) for _ in range(given.repeat)]
            print(row(case, measured), flush=True)


if __name__ == "__main__":
    main()
