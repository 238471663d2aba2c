"""
With CI=true a skipped test is a failure: what CI does not run, nobody runs.

A run that had conformance cases in it says at its end how many passed.
"""

import os

import pytest

_CASES = tuple(f"tests/conformance/test_{name}.py::" for name in ("tables", "discovery", "certificates"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = {
        outcome: sum(
            report.nodeid.startswith(_CASES)
            for report in terminalreporter.stats.get(outcome, ())
            if isinstance(report, pytest.TestReport)
        )
        for outcome in ("passed", "failed", "error")
    }
    if any(counts.values()):
        failed = counts["failed"] + counts["error"]
        terminalreporter.write_line(f"conformance: {counts['passed']} passed, {failed} failed")
