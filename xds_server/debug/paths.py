"""What can be asked: each path, the view behind it, its parameters, and what it tells."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from xds_server.debug.json_text import Json
from xds_server.debug.question import Question
from xds_server.debug.served import Served
from xds_server.debug.views import errorsz, placementz
from xds_server.debug.views_addresses import ambientz
from xds_server.debug.views_clients import adsz, syncz
from xds_server.debug.views_config import config_dump
from xds_server.debug.views_identity import explain, secretz
from xds_server.debug.views_liveness import livenessz
from xds_server.debug.views_registry import registryz

View: TypeAlias = Callable[[Served, Question], Json]

PRETTY = "pretty"


@dataclass(frozen=True, slots=True)
class Path:
    """A path that answers with the JSON of a view."""

    view: View
    tells: str
    parameters: tuple[str, ...] = ()


VIEWS = {
    "/debug/placementz": Path(placementz, "the placement map in force, and where it does not fit the nodes"),
    "/debug/ambientz": Path(
        ambientz, "workloads, services and policies as clients get them", ("node", "ns", "name")
    ),
    "/debug/syncz": Path(syncz, "how far each client is: sent, acknowledged, rejected", ("node",)),
    "/debug/adsz": Path(adsz, "who is connected, and to what each subscribed", ("node",)),
    "/debug/config_dump": Path(config_dump, "what one client was sent", ("client", "type", "name")),
    "/debug/explain": Path(
        explain, "why a node's ztunnel may or may not have an identity", ("node", "identity", "cluster")
    ),
    "/debug/secretz": Path(
        secretz, "the certificate authority, and who may hold which identity", ("node", "ns")
    ),
    "/debug/livenessz": Path(livenessz, "which pairs are judged alive or dead, and by what", ("node",)),
    "/debug/registryz": Path(registryz, "the source objects by kind and file", ("kind", "ns", "full")),
    "/debug/errorsz": Path(errorsz, "objects refused or used only in part, and why", ("name",)),
}

PROBES = {
    "/ready": "whether clients may be sent here, and if not, why",
    "/live": "that this server answers",
    "/healthz": "the same as /live, under the name that load balancers know",
}
