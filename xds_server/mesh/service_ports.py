"""Ports: what a service port speaks, and to which port of a workload it leads (facts wds, 2.4.2, 3.6)."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from xds_server.objects.kubernetes import ContainerPort, EndpointPort, Pod, ServicePort
from xds_server.protobuf.workloadapi import workload_pb2 as api

_APP_PROTOCOLS = {
    "kubernetes.io/h2c": api.AppProtocol.HTTP2,
    "kubernetes.io/ws": api.AppProtocol.HTTP11,
    "kubernetes.io/wss": api.AppProtocol.TLS,
}
_TOKENS = {
    "http": api.AppProtocol.HTTP11,
    "http2": api.AppProtocol.HTTP2,
    "grpc": api.AppProtocol.GRPC,
    "tls": api.AppProtocol.TLS,
    "https": api.AppProtocol.TLS,
    "tcp": api.AppProtocol.TCP,
}
# Known names of protocols that ztunnel has no value for: their port number says nothing more.
_OTHER_TOKENS = frozenset({"udp", "grpc-web", "http_proxy", "mongo", "redis", "mysql"})
# Servers that speak first: reading ahead to guess a protocol would hang them.
_SERVER_FIRST_PORTS = frozenset({25, 53, 3306, 27017})


class TargetPort(msgspec.Struct, frozen=True, gc=False):
    """
    A service port as workloads resolve it.

    ``target`` is 0 where a name decides or none was given; ``target_name`` is the name that decides.
    """

    port: int
    name: str
    target: int
    target_name: str = ""

    @property
    def number(self) -> int:
        """The port number where no name decides: without a target, a port leads to itself."""
        return self.target or self.port


def app_protocol(port: ServicePort) -> api.AppProtocol:
    if port.protocol == "UDP":
        return api.AppProtocol.UNKNOWN
    if port.app_protocol in _APP_PROTOCOLS:
        return _APP_PROTOCOLS[port.app_protocol]
    text = (port.app_protocol if port.app_protocol is not None else port.name or "").lower()
    if text.startswith("grpc-web"):
        return api.AppProtocol.UNKNOWN
    token = text.partition("-")[0]
    if token in _TOKENS:
        return _TOKENS[token]
    if token not in _OTHER_TOKENS and port.port in _SERVER_FIRST_PORTS:
        return api.AppProtocol.TCP
    return api.AppProtocol.UNKNOWN


def named_protocol(text: str | None) -> api.AppProtocol:
    """Return what a ServiceEntry's port speaks: its protocol is a word of its own, not part of a name."""
    return _TOKENS.get((text or "").lower(), api.AppProtocol.UNKNOWN)


def pod_ports(pod: Pod, ports: Sequence[TargetPort]) -> list[api.Port]:
    """Return the ports by which a pod serves a Service; a named port the pod lacks is left out."""
    resolved = []
    names = _by_number(ports)
    for port in ports:
        wanted = names[port.port].target_name
        target = container_port(pod, wanted) if wanted else port.number
        if target is not None:
            resolved.append(api.Port(service_port=port.port, target_port=target))
    return resolved


def pod_ports_of_entry(pod: Pod, ports: Sequence[TargetPort]) -> list[api.Port]:
    """Return the ports by which a pod serves a ServiceEntry: a container's port of that name comes first."""
    names = _by_number(ports)
    return [
        api.Port(
            service_port=port.port, target_port=container_port(pod, names[port.port].name) or port.number
        )
        for port in ports
    ]


def stated_ports(stated: Mapping[str, int], ports: Sequence[TargetPort]) -> list[api.Port]:
    """
    Return the ports of a WorkloadEntry or inline endpoint, which states its own by name.

    They go by the names of a service's ports, or, where those lead to names, by these: then one
    that is not stated is left out.
    """
    resolved = []
    names = _by_number(ports)
    for port in ports:
        named = names[port.port]
        target = stated.get(named.target_name) if named.target_name else stated.get(named.name, port.number)
        if target is not None:
            resolved.append(api.Port(service_port=port.port, target_port=target))
    return resolved


def _by_number(ports: Iterable[TargetPort]) -> dict[int, TargetPort]:
    """Two ports of one number (TCP and UDP) share the names of the last: as istiod does, facts wds 2.4.2."""
    return {port.port: port for port in ports}


def container_port(pod: Pod, name: str) -> int | None:
    """Find a TCP port by name: containers first, then init containers that keep running."""
    for container in pod.spec.containers or ():
        for port in container.ports or ():
            if _is_named(port, name):
                return port.container_port
    for container in pod.spec.init_containers or ():
        if container.restart_policy == "Always":
            for port in container.ports or ():
                if _is_named(port, name):
                    return port.container_port
    return None


def endpoint_ports(given: Iterable[EndpointPort], ports: Iterable[TargetPort]) -> list[api.Port]:
    """Join the ports of a slice to those of its service by name; what matches none is dropped."""
    by_name = {port.name: port.port for port in reversed(tuple(ports))}
    return [
        api.Port(service_port=by_name[port.name or ""], target_port=port.port)
        for port in given
        if port.port is not None and (port.protocol or "TCP") == "TCP" and (port.name or "") in by_name
    ]


def _is_named(port: ContainerPort, name: str) -> bool:
    return port.name == name and (port.protocol or "TCP") == "TCP"
