"""What an agent is told by its flags."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from xds_server.datapath.inputs import WithoutZtunnel
from xds_server.datapath.kernel import Backend
from xds_server.datapath.names import Names


class OnExit(StrEnum):
    """What becomes of the datapath when the agent is told to end."""

    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Where the control plane is, and how the agent proves whose it is; ``insecure`` is without TLS."""

    address: str
    insecure: bool = False
    root_cert: Path = Path("/var/run/secrets/istio/root-cert.pem")
    token: Path = Path("/var/run/secrets/tokens/istio-token")
    server_name: str = ""
    """What the server's certificate must be for, if that is not in ``address``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseSettings:
    """The Lease by which the control plane knows that the node's pair lives; without a namespace: none."""

    namespace: str = ""
    account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Folder with the pod's token, and the API server's authority."""
    duration_seconds: int = 40
    renew_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All in seconds."""

    glance: float = 1.5
    """Between looks at what the kernel has no news of."""
    first_resync: float = 5.0
    longest_resync: float = 300.0
    """Between looks at everything: twice as long each time nothing is found."""
    first_retry: float = 0.5
    longest_retry: float = 30.0
    peer: float = 10.0
    """How long a CPU node's agent waits for its DPU node's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How the node's kernel is reached, and what it is to hold beside what the control plane says."""

    netns: str = ""
    backend: Backend | None = None
    names: Names = field(default_factory=Names)
    when_ztunnel_is_gone: WithoutZtunnel = WithoutZtunnel.PLAIN
    pod_routes: bool = True
    ztunnel_netns: bool = True
    """Whether the ztunnel pod's own namespace is programmed too, where it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    node: str
    discovery: Discovery
    state_dir: Path
    on_exit: OnExit = OnExit.KEEP
    kernel: NodeSettings = field(default_factory=NodeSettings)
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    timing: Timing = field(default_factory=Timing)
