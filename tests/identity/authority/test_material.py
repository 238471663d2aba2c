"""Which sets of files make a certificate authority, and what is said of the others."""

import ssl
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
)

from tests.identity.authority.made_certificates import (
    Made,
    Shape,
    istio_files,
    make,
)
from xds_server.identity.authority.material import Generation

Files = dict[str, bytes]

ROOT = make("root")
UPPER = make("upper", ROOT)
ISSUER = make("issuer", UPPER)
OTHER_ROOT = make("other root")
GOOD = istio_files(ISSUER, UPPER, ROOT)


def text(*made: Made) -> tuple[str, ...]:
    return tuple(one.pem.decode() for one in made)


def handshake(generation: Generation, folder: Path) -> None:
    """Let a peer with the trust bundle shake hands with a leaf of the generation."""
    issuer = Made(ISSUER.certificate, load_pem_private_key(generation.key_pem.encode(), None))  # type: ignore[arg-type]
    signer = Made(_load(generation.certificate_pem), issuer.key)
    leaf = make("leaf", signer, shape=Shape(ca=False, usage=False, names=("peer",)))
    (folder / "leaf.pem").write_bytes(leaf.pem + "".join(generation.chain).encode() + leaf.key_pem)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(folder / "leaf.pem")
    client.load_verify_locations(cadata="".join(generation.roots))
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname="peer"),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() == "TLSv1.3"
    assert ends[0].getpeercert()
