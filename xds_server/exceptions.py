"""
The errors of offmesh, by whose fault they are.

OffmeshError
├── LocalError      ours: a rule of this program was broken
├── PeerError       the peer's: a client broke the protocol
│   ├── SlowPeerError         it did not keep up
│   ├── UnauthenticatedError  it did not prove who it is
│   ├── DeniedError           it may not have what it asked for
│   └── LimitError            it, or all together, asked for too much
├── InputError      the input's: a file, flag or object cannot be used
│   └── HeldInputError        and what was made of it before is to stay
├── ClusterError    the cluster's: the Kubernetes API refused or vanished
└── KernelError     the kernel's: a command on a node failed
"""

from dataclasses import dataclass


class OffmeshError(Exception):
    """Anything offmesh raises on purpose."""


class LocalError(OffmeshError):
    """A rule of this program was broken: a bug of ours."""


class PeerError(OffmeshError):
    """A client broke the protocol; only its stream suffers."""


class SlowPeerError(PeerError):
    """A client did not keep up; it may come back and start afresh."""


class UnauthenticatedError(PeerError):
    """A caller did not prove who it is. The message goes to the caller: it helps, and holds no secret."""


class DeniedError(PeerError):
    """A caller may not have what it asked for. The message goes to the caller."""


class LimitError(PeerError):
    """A caller, or all callers together, asked for more than there is; later it may be there."""


class InputError(OffmeshError):
    """A file, a flag or an object cannot be used; what was held before stays in force."""


class HeldInputError(InputError):
    """An object cannot be used, and to be without it would be worse than to keep what it said before."""


class ClusterError(OffmeshError):
    """The Kubernetes API refused, failed or is away."""


class KernelError(OffmeshError):
    """A command that programs a node's kernel failed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing wrong with an input, told so that it can be found and mended.

    ``where`` is a file, optionally with ``:line``; ``subject`` the key or object concerned,
    ``value`` what was found there and ``expected`` what would have been right. Either of the
    last two may be empty.
    """

    where: str
    subject: str
    value: str
    expected: str

    def __str__(self) -> str:
        found = f" is {self.value}" if self.value else ""
        wanted = f": expected {self.expected}" if self.expected else ""
        return f"{self.where}: {self.subject}{found}{wanted}"
