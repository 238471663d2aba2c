"""The inbound binding: how a waypoint's own instances take the traffic that is tunneled to them."""

import re

import msgspec

from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.derive import Fetch

BINDING_ANNOTATION = "ambient.istio.io/waypoint-inbound-binding"
_PORT = re.compile(r"[0-9]{1,9}")
_PROTOCOLS = {"PROXY": api.ApplicationTunnel.PROXY, "NONE": api.ApplicationTunnel.NONE}


class InboundBinding(msgspec.Struct, frozen=True, gc=False):
    """A protocol, ``PROXY`` or ``NONE``, and a port; 0 is the port the traffic was for."""

    protocol: str
    port: int = 0

    def message(self) -> api.ApplicationTunnel:
        return api.ApplicationTunnel(protocol=_PROTOCOLS[self.protocol], port=self.port)


def inbound_binding(fetch: Fetch, text: str | None) -> InboundBinding | None:
    """Read ``PROXY``, ``NONE``, ``PROXY/15088``; another protocol is noted and gives none."""
    if text is None:
        return None
    protocol, *ports = text.split("/")
    if protocol not in _PROTOCOLS or len(ports) > 1:
        expected = "PROXY or NONE, optionally with /<port>"
        fetch.note(f"annotation {BINDING_ANNOTATION} is {text!r}: expected {expected}")
        return None
    return InboundBinding(protocol, _port(fetch, ports[0]) if ports else 0)


def _port(fetch: Fetch, text: str) -> int:
    if _PORT.fullmatch(text) and int(text) <= 65535:
        return int(text)
    fetch.note(f"annotation {BINDING_ANNOTATION} has the port {text!r}: expected 0 to 65535, 0 is taken")
    return 0
