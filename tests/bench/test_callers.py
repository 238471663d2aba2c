"""The client that asks for certificates, and the figures in which more is better."""

import json
import socket
import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from bench.cases import Figure
from tests.helpers.offmesh import EXAMPLE, ROOT, serve


def test_it_tells_how_many_certificates_it_got_and_how_soon(tmp_path: Path) -> None:
    identity = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        token = offmesh.token("istio-system/ztunnel-b4n8k", EXAMPLE / "mesh")

        def ask(*more: str) -> dict[str, object]:
            command = [sys.executable, str(ROOT / "bench" / "callers.py"), f"--address={offmesh.secure}"]
            command += [f"--certs={offmesh.certs}", f"--token={token}", "--callers=2", *more]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            answer: dict[str, object] = json.loads(told)
            return answer

        granted = ask(f"--identity={identity}", "--at-once=5")
        denied = ask("--identity=spiffe://cluster.local/ns/default/sa/nobody", "--at-once=5")
        again = ask(f"--identity={identity}", "--seconds=0.3")
    assert granted["refused"] == again["refused"] == {}
    assert denied["refused"] == {"PERMISSION_DENIED": 5}


def test_it_ends_when_nobody_answers(tmp_path: Path) -> None:
    (tmp_path / "trust-bundle.pem").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, str(ROOT / "bench" / "callers.py"), "--patience=0.1", "--token=none"]
        command += [f"--address=127.0.0.1:{silent.getsockname()[1]}", f"--certs={tmp_path}"]
        command += ["--identity=spiffe://cluster.local/ns/bench/sa/carried"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "does not answer" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("more_is_better", "value", "misses", "times"),
    [
        (False, 20.0, False, 5.0),
        (False, 50.0, True, 2.0),
        (False, 0.0, False, inf),
        (True, 50.0, False, 0.5),
        (True, 20.0, True, 0.2),
    ],
)
def test_a_figure_is_held_against_its_target_and_istiod(
    more_is_better: bool, value: float, misses: bool, times: float
) -> None:
    figure = Figure("rate", "/s", 30.0, 100.0, more_is_better)
    assert figure.misses(value) is misses
    assert figure.times_better(value) == times


def test_a_figure_without_target_or_istiod_is_held_against_nothing() -> None:
    figure = Figure("rate", "/s")
    assert not figure.misses(1e9)
    assert figure.times_better(1.0) is None
