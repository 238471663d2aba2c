"""
Play ztunnels that ask for certificates, and tell how long each took.

    python bench/callers.py --address 127.0.0.1:15012 --certs certs --token TOKEN --identity spiffe://...

Each of ``--callers`` has a connection of its own and asks again as soon as it is answered, for ``--seconds``;
with ``--at-once N`` they ask N times together instead, over all connections. Prints one JSON line.
CSRs (EC P-256) are made before: 200 of them, in turn. A server that does not answer ends it.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script, not installed

from bench.figures import percentile
from xds_server.protobuf.security.v1alpha1.ca_pb2 import IstioCertificateRequest

_CSRS = 200
_METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"


def request(identity: str) -> bytes:
    """Make a request as ztunnel does, with a key of its own."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(names, critical=True).sign(
        ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
    )
    made = IstioCertificateRequest(csr=signed.public_bytes(Encoding.PEM).decode(), validity_duration=86_400)
    made.metadata.update({"ImpersonatedIdentity": identity})
    return made.SerializeToString()


class Callers:
    """Connections to a server, and what came of the calls made on them."""

    def __init__(self, given: argparse.Namespace) -> None:
        credentials = grpc.ssl_channel_credentials((given.certs / "trust-bundle.pem").read_bytes())
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.secure_channel(given.address, credentials, options=options) for _ in range(given.callers)
        ]
        self._patience = given.patience
        self._metadata = (("authorization", f"Bearer {given.token}"),)
        self._requests = itertools.cycle([request(given.identity) for _ in range(_CSRS)])
        self.taken: list[float] = []
        self.refused: Counter[str] = Counter()

    async def ready(self) -> None:
        """
        Connect.

        Raises:
            TimeoutError: a connection cannot be made in time.

        """
        async with asyncio.timeout(self._patience):
            await asyncio.gather(*(channel.channel_ready() for channel in self._channels))

    async def for_seconds(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._again(channel, end) for channel in self._channels))

    async def at_once(self, count: int) -> None:
        turns: Iterator[grpc.aio.Channel] = itertools.cycle(self._channels)
        await asyncio.gather(*(self._ask(next(turns)) for _ in range(count)))

    async def _again(self, channel: grpc.aio.Channel, end: float) -> None:
        while time.monotonic() < end:
            await self._ask(channel)

    async def _ask(self, channel: grpc.aio.Channel) -> None:
        begun = time.perf_counter()
        try:
            call = channel.unary_unary(_METHOD, request_serializer=bytes, response_deserializer=bytes)
            await call(next(self._requests), timeout=self._patience, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            self.refused[error.code().name] += 1
            return
        self.taken.append(time.perf_counter() - begun)


async def play(given: argparse.Namespace) -> None:
    callers = Callers(given)
    try:
        await callers.ready()
    except TimeoutError:
        sys.exit(f"{given.address} does not answer")
    begun = time.monotonic()
    await (callers.at_once(given.at_once) if given.at_once else callers.for_seconds(given.seconds))
    told = {
        "per_second": len(callers.taken) / (time.monotonic() - begun),
        "p50_ms": percentile(callers.taken, 0.50) * 1e3,
        "p99_ms": percentile(callers.taken, 0.99) * 1e3,
        "refused": dict(callers.refused),
    }
    print(json.dumps(told), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask for certificates.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--certs", required=True, type=Path, help="the server's folder, for its roots")
    parser.add_argument("--token", required=True)
    parser.add_argument("--identity", required=True)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--at-once", type=int, default=0)
    parser.add_argument("--patience", type=float, default=30.0, help="seconds a connection or call may take")
    asyncio.run(play(parser.parse_args()))


if __name__ == "__main__":
    main()
