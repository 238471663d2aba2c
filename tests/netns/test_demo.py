"""The demo shows what it says it shows."""

import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.offmesh import ROOT

DEMO = ROOT / "examples" / "datapath" / "demo.py"
_NAMED = Path("/run/netns")


def test_the_demo_shows_a_request_on_its_way_through_two_dpus(build: object) -> None:
    del build  # without what it takes, root among it, nobody can run the demo either
    done = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SYNCED") == 5
    meshed, plain, labelled = re.split(r"^# p1[an] asks .*$", done.stdout, flags=re.MULTILINE)[1:]
    assert "answer: p2a sees 10.244.0.2" in meshed
    ways = [_devices(part) for part in (meshed, plain, labelled)]
    assert ways[0][:6] == ["vethp1a", "ens32", "ens32", "istioout", "vethzt1", "eth0"]
    assert "pistioin" in ways[0]
    assert not {"eth0", "istioout", "istioin"} & set(ways[1])
    assert "pistioout" in ways[2]
    assert not list(_NAMED.glob("offmesh-demo-*"))


def _devices(part: str) -> list[str]:
    return re.findall(r"^  \S+ +(?:in|out) +(\S+) ", part, re.MULTILINE)
