"""Which rows are measured: all, some by name or group, and none that takes what is missing."""

import argparse
from collections import Counter

import pytest

from bench.cases import CASES
from bench.cluster_cases import cluster_cases
from bench.datapath_cases import datapath_cases
from bench.run import chosen

ALL = (*CASES, *cluster_cases(), *datapath_cases())
CLUSTER = [case.name for case in cluster_cases()]


def names(case: str | None = None, group: str | None = None) -> list[str]:
    return [one.name for one in chosen(argparse.Namespace(case=case, group=group, outage=1.0))]


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Programs that are not there: none until a test names some."""
    found: list[str] = []
    monkeypatch.setattr("bench.run.missing_tools", lambda: found)
    monkeypatch.setattr("bench.run.what_is_missing", list)
    return found


def test_every_row_has_a_name_of_its_own() -> None:
    assert max(Counter(case.name for case in ALL).values()) == 1


@pytest.mark.usefixtures("missing")
def test_rows_are_chosen_by_name_and_group() -> None:
    assert names() == [case.name for case in ALL]
    assert names(group="cluster") == CLUSTER
    assert names(group="files") == [case.name for case in CASES]
    assert names(group="datapath") == [case.name for case in datapath_cases()]
    assert names(case="start") == ["start"]
    assert names(case="start", group="cluster") == []


def test_rows_that_take_a_missing_program_are_left_out_which_is_told(
    missing: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing.append("kube-apiserver")
    assert names() == [case.name for case in (*CASES, *datapath_cases())]
    assert names(case="cluster-start") == []
    assert names(group="cluster") == []
    told = capsys.readouterr()
    assert "kube-apiserver" in told.err
    assert "make tools" in told.err
    assert told.out == ""


def test_nothing_is_told_of_programs_that_no_row_takes(
    missing: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    missing.append("etcd")
    assert names(case="start") == ["start"]
    assert names(group="files") == [case.name for case in CASES]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("missing")
def test_who_is_not_root_measures_no_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.run.what_is_missing", lambda: ["ipset", "root"])
    assert names(group="datapath") == []
    assert "ipset and root missing: left out the rows of the group datapath" in capsys.readouterr().err


def test_the_row_of_the_outage_tells_how_long_it_was() -> None:
    assert "120 s" in cluster_cases()[-1].title
    assert "2.5 s" in cluster_cases(2.5)[-1].title
