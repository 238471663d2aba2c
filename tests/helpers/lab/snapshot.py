"""All that programming could change in a namespace, as the tools tell it; line by line, without counters."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.helpers.lab.namespaces import Namespace

_COUNTERS = re.compile(r" ?\[\d+:\d+\]")
_MADE = re.compile(r"^\d+: |link/ether \S+ |valid_lft.*| initval \S+", re.MULTILINE)
_OURS = re.compile(r"ztunnel-|proto 76\b|\b(istioin|istioout|dputunnel|cputunnel)\b")
_BACKENDS = ("nft", "legacy")
_SYSCTLS = Path("/proc/sys/net/ipv4/conf")


def snapshot(namespace: Namespace) -> tuple[str, ...]:
    """Return everything but sysctls; what has no order is sorted."""
    tables = (_tables(namespace, backend) for backend in _BACKENDS)
    unordered = (
        namespace.run("ip", "route", "show", "table", "all"),
        namespace.run("ipset", "save"),
        namespace.run("ip", "-oneline", "-details", "link"),
        namespace.run("ip", "-oneline", "address"),
    )
    return (
        *(line for each in tables for line in each),
        *namespace.run("ip", "rule").splitlines(),
        # What an object has only because of when it was made tells nothing.
        *(line for text in unordered for line in sorted(_MADE.sub("", text).splitlines())),
    )


def sysctls(namespace: Namespace) -> tuple[str, ...]:
    """Return the sysctls of IPv4, those of devices among them."""
    return namespace.call(lambda: tuple(sorted(_read_sysctls())))


def ours(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that are about objects of ours."""
    return tuple(line for line in lines if _is_ours(line))


def others(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that are about objects of others."""
    return tuple(line for line in lines if not _is_ours(line))


def _read_sysctls() -> Iterator[str]:
    for path in _SYSCTLS.glob("*/*"):
        with contextlib.suppress(OSError):  # some can only be written
            yield f"{path.relative_to(_SYSCTLS)} = {path.read_text().strip()}"


def _is_ours(line: str) -> bool:
    # A rule with a comment is one of the lab's, whatever it names.
    return bool(_OURS.search(line)) and "-m comment" not in line


def _tables(namespace: Namespace, backend: str) -> tuple[str, ...]:
    saved = namespace.run(f"iptables-{backend}-save").splitlines()
    return tuple(f"{backend} {_COUNTERS.sub('', line)}" for line in saved if not line.startswith("#"))
