"""A real kernel, and in which order it was looked at and written to."""

from collections.abc import Callable, Sequence

from xds_server.datapath import kernel
from xds_server.datapath.kernel import Backend, Kernel, MissingToolError, Ran

LOOK, TABLE, SETS = "look", "table", "sets"


class WatchedKernel:
    """``done`` says what the tools were used for; netlink is not among it."""

    def __init__(self, netns: str, backend: Backend = Backend.NFT) -> None:
        self.kernel = Kernel(netns, backend, self._run)
        self.done: list[str] = []
        self.without: set[str] = set()
        """Tools that are not there."""
        self.fails: Callable[[Sequence[str], str], bool] = lambda _argv, _stdin: False
        """Which commands end with an error, and do nothing."""
        self.ignores: Callable[[Sequence[str], str], bool] = lambda _argv, _stdin: False
        """Which commands end well, and do nothing."""

    def look(self) -> None:
        self.done.append(LOOK)

    def take(self) -> list[str]:
        """Return what was done since the last call."""
        done, self.done = self.done, []
        return done

    def _run(self, argv: Sequence[str], stdin: str = "") -> Ran:
        if argv[0] in self.without:
            raise MissingToolError(f"{argv[0]}: there is no such command")
        if self.fails(argv, stdin):
            return Ran(tuple(argv), 1, "", "refused")
        self.done += _words(argv)
        if self.ignores(argv, stdin):
            return Ran(tuple(argv), 0)
        return kernel.run(argv, stdin)


def _words(argv: Sequence[str]) -> list[str]:
    if "--version" in argv:
        return []
    if argv[0].endswith("-restore"):
        return [TABLE]
    if argv[0] == "ipset" and "restore" in argv:
        return [SETS]
    return []
