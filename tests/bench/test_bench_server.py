"""The server as the benchmark runs it: measured by the kernel's figures, and missed when it is gone."""

import os
import signal
from pathlib import Path

import pytest

from bench.layout import Size
from bench.mesh import write_mesh
from bench.server import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_mesh(tmp_path, Size(pods=3, services=1, nodes=4))
    return tmp_path


def test_a_server_has_a_port_and_has_taken_time_and_memory(folder: Path) -> None:
    with serving(folder) as server:
        assert server.grpc.startswith("127.0.0.1:")
        assert server.cpu_seconds > 0
        assert 10 < server.resident_mb <= server.peak_mb
        assert server.start_seconds > 0


def test_a_server_that_cannot_start_is_told_with_its_log(folder: Path) -> None:
    (folder / "cluster-conf.yaml").write_text("nonsense: 1\n")
    with pytest.raises(RuntimeError, match=r"(?s)ended by itself with code 2.*nonsense"), serving(folder):
        pytest.fail("it started")


def test_a_server_that_ends_while_it_is_measured_is_told(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="ended by itself with code -9"), serving(folder) as server:
        os.kill(server.pid, signal.SIGKILL)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
