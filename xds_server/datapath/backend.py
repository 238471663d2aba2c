"""
Which backend of iptables a node uses.

Both can be there at once, and a packet then passes the rules of both: what is accepted in one is still
translated in the other. So ours are put where the node's are, and in one alone:

    1  where chains of ours are, there they stay
    2  the one that is asked for
    3  where Kubernetes has left the sign that it is to be found by, nftables first
    4  where more rules are
    5  nftables, or the one whose tools are there
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xds_server.datapath.kernel import Backend, Kernel, MissingToolError, Place, within
from xds_server.datapath.names import Names
from xds_server.datapath.observe_iptables import read_tables
from xds_server.exceptions import KernelError

_SIGNS = (":KUBE-IPTABLES-HINT ", ":KUBE-KUBELET-CANARY ")
_LEGACY_TABLES = Path("/proc/thread-self/net/ip_tables_names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a backend is used for."""

    ours: int = 0
    """Chains."""
    rules: int = 0
    """Of anybody."""
    kubernetes: bool = False


async def detect_backend(
    kernel: Kernel, names: Names, wanted: Backend | None = None, *, cleaning: bool = False
) -> Backend:
    """
    Return the backend that a node's rules are in; ``wanted`` is one that a person asked for.

    Who is ``cleaning`` gets what he wants, for he leaves no rule behind.

    Raises:
        KernelError: rules of ours would be, or are, in both; it says what to do about it.

    """
    uses, unread = await within(kernel, lambda place: _look(place, names))
    if cleaning and wanted is not None:
        return wanted
    if unread and wanted is None:
        missing = Backend.LEGACY.tool("save")
        raise KernelError(f"iptables-legacy holds {unread}, and {missing} is not there to read it")
    return choose_backend(uses, wanted)


def choose_backend(uses: Mapping[Backend, Use], wanted: Backend | None = None) -> Backend:
    """
    Return the backend to use, of those whose tools are there.

    Raises:
        KernelError: rules of ours would be, or are, in both; or there are no tools.

    """
    if not uses or (wanted is not None and wanted not in uses):
        backend = wanted or Backend.NFT
        raise KernelError(f"{backend.tool('save')}: there is no such command: install iptables")
    ours = [backend for backend in uses if uses[backend].ours]
    if len(ours) > 1:
        raise KernelError(
            "chains of ours are in iptables-nft and in iptables-legacy, and every packet passes both: "
            f"{_advice(ours[0])} or {_advice(ours[1])}, whichever is not the node's"
        )
    if ours and wanted not in (None, ours[0]):
        raise KernelError(
            f"iptables-{wanted} is asked for, and chains of ours are in iptables-{ours[0]}: "
            f"first {_advice(ours[0])}"
        )
    return next(iter(ours), wanted) or _of_node(uses)


def _of_node(uses: Mapping[Backend, Use]) -> Backend:
    there = [backend for backend in Backend if backend in uses]
    signed = [backend for backend in there if uses[backend].kubernetes]
    return next(iter(signed), max(there, key=lambda backend: uses[backend].rules))


def _advice(backend: Backend) -> str:
    return f"run `offmesh datapath clean --backend {backend}`"


def _look(place: Place, names: Names) -> tuple[Mapping[Backend, Use], str]:
    """Return what each backend is used for, and the tables in use of which there is no tool to tell."""
    uses: dict[Backend, Use] = {}
    for backend in Backend:
        try:
            saved = place.said((backend.tool("save"),))
        except MissingToolError:
            continue
        uses[backend] = Use(
            ours=len(read_tables(saved, names.chain_prefix).chains),
            rules=saved.count("\n-A "),
            kubernetes=any(sign in saved for sign in _SIGNS),
        )
    return uses, "" if Backend.LEGACY in uses else _legacy_tables()


def _legacy_tables() -> str:
    try:
        return " and ".join(sorted(_LEGACY_TABLES.read_text().split()))
    except OSError:
        return ""
