"""The index page: what this server is, how it is, and where to look further."""

from html import escape

from xds_server import __version__
from xds_server.debug.paths import PRETTY, PROBES, VIEWS
from xds_server.debug.served import Served
from xds_server.debug.times import epoch_text
from xds_server.objects.cluster_conf import Pair, Single

STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; color: #1c2127 }
h1 { font-size: 1.4rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; padding: .2rem 1.5rem .2rem 0; vertical-align: top; font-weight: normal }
th { color: #5f6b7c }
.ready { color: #1c6e42 }
.waiting { color: #ac2f33 }
@media (prefers-color-scheme: dark) {
  body { background: #1c2127; color: #f6f7f9 }
  a { color: #8abbff }
  th { color: #abb3bf }
  .ready { color: #72ca9b }
  .waiting { color: #fa999c }
}
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>offmesh</title><link rel="stylesheet" href="/style.css"></head>
<body>
<h1>offmesh {version}</h1>
<p>The control plane of an ambient mesh whose node proxies run on DPUs. This server is {state}</p>
<table>
{counts}
</table>
<table>
{links}
</table>
</body>
</html>
"""


def index_page(served: Served) -> str:
    """Return the page as HTML."""
    readiness = served.readiness
    ready = '<strong class="ready">ready</strong>.'
    waiting = f'<strong class="waiting">not ready</strong>: {escape(readiness.reason)}.'
    return _PAGE.format(
        version=escape(__version__),
        state=ready if readiness.ready else waiting,
        counts="\n".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in _counts(served)),
        links="\n".join(_link(path, shown, tells) for path, shown, tells in _places()),
    )


def _counts(served: Served) -> list[tuple[str, object]]:
    problems = sum(map(len, served.problems.by_place.values())) + sum(1 for _ in served.mesh.problems())
    return [
        ("running since", epoch_text(served.started_at)),
        ("position", served.catalog.position),
        ("clients", len(served.clients)),
        ("workloads and services", len(served.catalog.lookup.addresses)),
        ("pairs", len(served.registry.of(Pair))),
        ("single nodes", len(served.registry.of(Single))),
        ("problems", problems),
    ]


def _places() -> list[tuple[str, str, str]]:
    """Return where a link leads, what it shows and what is found there."""
    views = [(f"{path}?{PRETTY}", path, _tells(path)) for path in VIEWS]
    metrics = ("/metrics", "/metrics", "counts and gauges for Prometheus")
    return [*views, metrics, *((path, path, tells) for path, tells in PROBES.items())]


def _tells(path: str) -> str:
    parameters = VIEWS[path].parameters
    asked = f" ({', '.join(f'?{name}=' for name in parameters)})" if parameters else ""
    return VIEWS[path].tells + asked


def _link(path: str, shown: str, tells: str) -> str:
    return f'<tr><td><a href="{escape(path)}">{escape(shown)}</a></td><td>{escape(tells)}</td></tr>'
