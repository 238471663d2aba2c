"""A port that passes on what comes, and remembers when it passed what to the client."""

import contextlib
import socket
import threading
import time

_CHUNK = 1 << 18
_LEAST_BYTES = 64
"""Of what is remembered: acknowledgements and settings of HTTP/2 are smaller, also when encrypted."""


class Relay:
    """Stands between clients and a server; ``address`` is where clients find it."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listening]
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.passed: list[float] = []
        """When something was passed to a client, in seconds of the clock on the wall."""
        threading.Thread(target=self._accept, daemon=True).start()

    def last_before(self, moment: float) -> float:
        """
        Return when the client was last sent something before a moment.

        Raises:
            RuntimeError: it was sent nothing.

        """
        before = [at for at in self.passed if at < moment]
        if not before:
            raise RuntimeError("nothing was passed to the client")
        return before[-1]

    def first_after(self, moment: float) -> float:
        """
        Return when the client was first sent something after a moment.

        Raises:
            RuntimeError: it was sent nothing.

        """
        after = (at for at in self.passed if at > moment)
        found = next(after, None)
        if found is None:
            raise RuntimeError("nothing was passed to the client")
        return found

    def close(self) -> None:
        for opened in self._open:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += (client, server)
                for source, target, is_told in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=(source, target, is_told), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_told: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if is_told and len(data) >= _LEAST_BYTES:
                    self.passed.append(time.time())
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
