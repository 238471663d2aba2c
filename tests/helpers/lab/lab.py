"""
A cluster in network namespaces of this machine: two pairs, a single node, servers, and stubs of ztunnel.

    lab(prefix, options)      builds it, and takes it away when the block ends
    Lab.hold(wanted)          programs all nodes as offmesh does
    Lab.watch(ask, nodes)     does something and tells by which rules and proxies packets went
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.helpers.lab import kube_proxy, wiring
from tests.helpers.lab.counters import hits_between, read_counters
from tests.helpers.lab.namespaces import Namespace, namespaces
from tests.helpers.lab.programming import kernel_of, programmed
from tests.helpers.lab.proxies import Proxy
from tests.helpers.lab.servers import Servers
from tests.helpers.lab.topology import DNS, ECHO_TCP, ECHO_UDP, TOPOLOGY, Topology
from tests.helpers.lab.traffic import Answer
from tests.helpers.lab.wanted import Wanted
from xds_server.datapath.inputs import Role
from xds_server.datapath.kernel import Kernel

_LETTERS = {Role.CPU: "C", Role.DPU: "E", Role.SINGLE: "E"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``backend``: nft or legacy. ``flavour``: v1 or v2, of ztunnel. ``rp_filter``: what nodes start with."""

    backend: str = "nft"
    flavour: str = "v2"
    rp_filter: int = 1
    pod_routes: bool = True
    """Whether nodes have routes to each other's pods before they are programmed."""

    def __str__(self) -> str:
        return f"{self.backend}-{self.flavour}-rp{self.rp_filter}"


@dataclass(frozen=True, slots=True)
class Way:
    """An answer, what ztunnels did for it (``zt1 outbound``), and by node the rules that were hit."""

    answer: Answer
    proxies: tuple[str, ...]
    hits: Mapping[str, frozenset[str]]


class Lab:
    def __init__(self, inside: dict[str, Namespace], options: Options, topology: Topology) -> None:
        self.inside, self.options, self.topology = inside, options, topology
        self.proxies: dict[str, Proxy] = {}

    def hold(self, wanted: Wanted, nodes: Iterable[str] = ()) -> None:
        """
        Make nodes hold their programs, all of them unless some are named, and ztunnels know the mesh.

        DPU nodes come first: what a CPU node sends must find its way.
        """
        for name in wanted.ztunnels:
            self.start_ztunnel(name, wanted)
        only = set(nodes)
        for node in sorted(wanted.topology.nodes, key=lambda node: node.role is Role.CPU):
            if not only or node.name in only:
                made = programmed(self.kernel(node.name), wanted.program(node))
                # The originals take more of a mark than is theirs.
                assert wanted.edition != "corrected" or not made.clashes, made.clashes
        for name in wanted.ztunnels:
            self.proxies[name].learn(wanted)

    def kernel(self, name: str) -> Kernel:
        return kernel_of(self.inside[name], self.options.backend)

    def start_ztunnel(self, name: str, wanted: Wanted) -> None:
        if name not in self.proxies:
            pod = self.topology.pod(name)
            programmed(self.kernel(name), wanted.ztunnel_program(pod))
            self.proxies[name] = Proxy(name, self.inside[name], self.options.flavour)

    def stop_ztunnel(self, name: str) -> None:
        self.proxies.pop(name).stop()

    def watch(self, ask: Callable[[], Answer], nodes: Iterable[str]) -> Way:
        """Do something and tell the way it went, as far as these nodes see it."""
        watched = tuple(nodes)
        for proxy in self.proxies.values():
            proxy.read_log()
        before = {name: self._counters(name) for name in watched}
        answer = ask()
        after = {name: self._counters(name) for name in watched}
        told = [f"{name} {each}" for name, proxy in sorted(self.proxies.items()) for each in proxy.ways()]
        hits = {name: hits_between(before[name], after[name]) for name in watched}
        return Way(answer, tuple(told), hits)

    def forget_connections(self) -> None:
        """Let all who look connections up see those of before no more."""
        ztunnels = {node.ztunnel for node in self.topology.nodes}
        for name in (*(node.name for node in self.topology.nodes), *ztunnels):
            self.inside[name].run("conntrack", "-F")

    def close(self) -> None:
        for name in list(self.proxies):
            self.stop_ztunnel(name)

    def _counters(self, name: str) -> Mapping[str, int]:
        letters = {node.name: _LETTERS[node.role] for node in self.topology.nodes}
        return read_counters(self.inside[name], self.options.backend, letters.get(name, "M"))


@contextlib.contextmanager
def lab(prefix: str, options: Options, topology: Topology = TOPOLOGY) -> Iterator[Lab]:
    """Build a lab whose namespaces have names with ``prefix``; no node of it is programmed yet."""
    with contextlib.ExitStack() as held:
        inside = held.enter_context(namespaces(prefix, wiring.namespaces_of(topology)))
        _set_sysctls(inside, topology, options)
        _wire(inside, prefix, topology, options)
        servers = Servers()
        held.callback(servers.stop)
        _serve(servers, inside, topology)
        built = Lab(inside, options, topology)
        held.callback(built.close)
        yield built


def _set_sysctls(inside: Mapping[str, Namespace], topology: Topology, options: Options) -> None:
    for namespace in inside.values():
        namespace.set_sysctls({f"net/ipv6/conf/{which}/disable_ipv6": 1 for which in ("all", "default")})
    start = {f"net/ipv4/conf/{which}/rp_filter": options.rp_filter for which in ("all", "default")}
    for node in topology.nodes:
        inside[node.name].set_sysctls({"net/ipv4/ip_forward": 1, **start})
        if node.role is Role.SINGLE:
            # It tells others of shorter ways when it likes to, in packets that would be counted.
            quiet = {f"net/ipv4/conf/{which}/send_redirects": 0 for which in ("all", "default")}
            inside[node.name].set_sysctls(quiet)


def _wire(inside: Mapping[str, Namespace], prefix: str, topology: Topology, options: Options) -> None:
    wiring.lay(wiring.cables(topology, prefix))
    inside[wiring.SWITCH].ip(wiring.switch(topology))
    inside[wiring.OUTSIDE_HOST].ip(wiring.outside())
    for node in topology.nodes:
        routes = wiring.pod_routes(topology, node) if options.pod_routes else ()
        inside[node.name].ip((*wiring.node(topology, node), *routes))
        restore = (f"iptables-{options.backend}-restore", "-w")
        inside[node.name].run(*restore, stdin=kube_proxy.tables(topology))
    for pod in topology.pods:
        inside[pod.name].ip(wiring.pod(topology, pod))


def _serve(servers: Servers, inside: Mapping[str, Namespace], topology: Topology) -> None:
    ztunnels = {node.ztunnel for node in topology.nodes}
    for name, namespace in inside.items():
        if name not in ztunnels and name != wiring.SWITCH:
            servers.listen(name, namespace, ECHO_TCP)
            servers.answer_datagrams(name, namespace, ECHO_UDP)
    for service in topology.services:
        if service.target == DNS:
            servers.listen(service.backend, inside[service.backend], DNS)
            servers.answer_datagrams(service.backend, inside[service.backend], DNS)
