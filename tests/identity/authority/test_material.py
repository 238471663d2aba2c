"""Which sets of files make a certificate authority, and what is said of the others."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.identity.authority.made_certificates import (
    DAY,
    MOMENT,
    NOW,
    Made,
    Shape,
    ec_key,
    istio_files,
    make,
    rsa_key,
)
from xds_server.exceptions import InputError
from xds_server.identity.authority.material import Generation, read_generation

Files = dict[str, bytes]

ROOT = make("root")
UPPER = make("upper", ROOT)
ISSUER = make("issuer", UPPER)
OTHER_ROOT = make("other root")
GOOD = istio_files(ISSUER, UPPER, ROOT)


def text(*made: Made) -> tuple[str, ...]:
    return tuple(one.pem.decode() for one in made)


def tls_files(*path: Made, ca: Made) -> Files:
    chain = b"".join(one.pem for one in path)
    return {"tls.crt": chain, "tls.key": path[0].key_pem, "ca.crt": ca.pem}


def encrypted(made: Made, form: PrivateFormat) -> bytes:
    return made.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))


def verify_leaf(generation: Generation, issuer: Made, folder: Path) -> None:
    """Let OpenSSL verify a leaf of the issuer with what its owner sends and what a peer trusts."""
    assert generation.certificate_pem == issuer.pem.decode()
    leaf = make("leaf", issuer, shape=Shape(ca=False, usage=False))
    (folder / "leaf.pem").write_bytes(leaf.pem)
    (folder / "sent.pem").write_text("".join(generation.chain) or leaf.pem.decode())
    (folder / "trusted.pem").write_text("".join(generation.roots))
    known = ["-CAfile", str(folder / "trusted.pem"), "-untrusted", str(folder / "sent.pem")]
    subprocess.run(["openssl", "verify", "-attime", str(int(NOW)), *known, folder / "leaf.pem"], check=True)


def test_a_set_holds_issuer_key_chain_and_roots() -> None:
    generation = read_generation(GOOD, NOW)
    assert generation.certificate_pem == ISSUER.pem.decode()
    assert generation.key_pem == ISSUER.key_pem.decode()
    assert generation.chain == text(ISSUER, UPPER)
    assert generation.roots == text(ROOT)
    assert generation.digest == ISSUER.certificate.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize(
    ("kind", "key"),
    [("P-256", ec_key), ("P-384", lambda: ec_key(ec.SECP384R1())), ("RSA", rsa_key)],
)
def test_openssl_verifies_leaves_of_every_kind_of_issuer(
    kind: str, key: Callable[[], ec.EllipticCurvePrivateKey], tmp_path: Path
) -> None:
    root = make(f"{kind} root", key=key())
    issuer = make(f"{kind} issuer", root, key=key())
    verify_leaf(read_generation(istio_files(issuer, root), NOW), issuer, tmp_path)


def test_openssl_verifies_leaves_under_two_intermediates(tmp_path: Path) -> None:
    verify_leaf(read_generation(GOOD, NOW), ISSUER, tmp_path)


def test_an_issuer_that_is_the_root_needs_no_chain_and_sends_none(tmp_path: Path) -> None:
    files = istio_files(ROOT)
    del files["cert-chain.pem"]
    generation = read_generation(files, NOW)
    assert generation.chain == ()
    verify_leaf(generation, ROOT, tmp_path)


def test_an_issuer_that_the_root_signed_needs_no_chain_file_but_sends_itself() -> None:
    files = istio_files(make("issuer", ROOT), ROOT)
    expected = read_generation(files, NOW)
    del files["cert-chain.pem"]
    assert read_generation(files, NOW) == expected
    assert expected.chain == (expected.certificate_pem,)


@pytest.mark.parametrize(
    "chain",
    [(ISSUER, UPPER), (UPPER,), (ISSUER, UPPER, ROOT), (UPPER, ROOT)],
    ids=["with the issuer", "without the issuer", "with both", "with the root"],
)
def test_a_chain_file_may_hold_the_issuer_and_the_root(chain: tuple[Made, ...]) -> None:
    files = GOOD | {"cert-chain.pem": b"".join(one.pem for one in chain)}
    assert read_generation(files, NOW) == read_generation(GOOD, NOW)


def test_the_names_of_a_kubernetes_tls_secret_are_read_as_istios() -> None:
    expected = read_generation(GOOD, NOW)
    assert read_generation(tls_files(ISSUER, UPPER, ca=ROOT), NOW) == expected
    assert read_generation(tls_files(ISSUER, UPPER, ROOT, ca=ROOT), NOW) == expected


def test_each_certificate_ends_in_one_newline_however_the_files_are_written() -> None:
    loose = {name: content.replace(b"\n", b"\r\n") + b"\n\n" for name, content in GOOD.items()}
    assert read_generation(loose, NOW) == read_generation(GOOD, NOW)
    joined = GOOD | {"cert-chain.pem": ISSUER.pem.rstrip() + b"\n\n" + UPPER.pem.rstrip()}
    assert read_generation(joined, NOW) == read_generation(GOOD, NOW)


@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["EC", "RSA"])
def test_keys_of_the_old_form_are_read(key: ec.EllipticCurvePrivateKey) -> None:
    issuer = make("issuer", ROOT, key=key)
    old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    files = istio_files(issuer, ROOT)
    assert read_generation(files | {"ca-key.pem": old}, NOW) == read_generation(files, NOW)


def test_a_key_may_have_its_curve_before_it() -> None:
    curve = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert read_generation(GOOD | {"ca-key.pem": curve + ISSUER.key_pem}, NOW) == read_generation(GOOD, NOW)


def test_further_roots_are_trusted_even_before_their_time_and_each_once() -> None:
    early = make("early", shape=Shape(begin=MOMENT + DAY))
    roots = b"".join(one.pem for one in (OTHER_ROOT, ROOT, early, ROOT))
    assert read_generation(GOOD | {"root-cert.pem": roots}, NOW).roots == text(OTHER_ROOT, ROOT, early)


@pytest.mark.parametrize("shortest", ["root", "upper", "issuer"])
def test_a_set_ends_with_the_first_of_its_certificates(shortest: str) -> None:
    def shape(name: str) -> Shape:
        return Shape(end=MOMENT + DAY) if name == shortest else Shape()

    root = make("root", shape=shape("root"))
    upper = make("upper", root, shape=shape("upper"))
    issuer = make("issuer", upper, shape=shape("issuer"))
    assert read_generation(istio_files(issuer, upper, root), NOW).not_after == (MOMENT + DAY).timestamp()


def test_a_root_renewed_with_its_key_lets_the_set_live_as_long_as_the_new_one() -> None:
    old = make("root", key=ROOT.key, shape=Shape(end=MOMENT + DAY))
    files = GOOD | {"root-cert.pem": old.pem + ROOT.pem}
    assert read_generation(files, NOW).not_after == read_generation(GOOD, NOW).not_after


def test_the_key_is_not_in_what_is_printed() -> None:
    generation = read_generation(GOOD, NOW)
    assert "PRIVATE" not in repr(generation)
    assert generation.key_pem.splitlines()[1] not in repr(generation)


def issued(shape: Shape | None = None, *, by: Made = ROOT, key: object = None) -> Files:
    return istio_files(make("issuer", by, key=key, shape=shape), by)  # type: ignore[arg-type]


def without(*names: str) -> Files:
    return {name: content for name, content in GOOD.items() if name not in names}


ED25519 = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
NO_INTERMEDIATES = make("narrow root", shape=Shape(path_length=0))
NOT_CA = make("upper", ROOT, shape=Shape(ca=False))
EXPIRED = make("expired root", shape=Shape(end=MOMENT - DAY / 2))
WEAK = make("weak root", key=rsa_key(1_024))

REFUSED: dict[str, tuple[Files, tuple[str, ...]]] = {
    "nothing": ({}, ("the set of files is empty", "ca-cert.pem, ca-key.pem, root-cert.pem")),
    "no certificate": (without("ca-cert.pem"), ("ca-cert.pem", "missing")),
    "no key": (without("ca-key.pem"), ("ca-key.pem", "missing", "together")),
    "no root": (without("root-cert.pem"), ("root-cert.pem", "missing")),
    "only a chain": (without("ca-cert.pem", "ca-key.pem", "root-cert.pem"), ("ca-cert.pem", "missing")),
    "half a TLS set": ({"tls.crt": ISSUER.pem, "tls.key": ISSUER.key_pem}, ("ca.crt", "missing")),
    "both forms": (GOOD | tls_files(ISSUER, UPPER, ca=ROOT), ("either ca-cert.pem", "or tls.crt")),
    "another key": (GOOD | {"ca-key.pem": UPPER.key_pem}, ("ca-key.pem", "the key of ca-cert.pem")),
    "an empty certificate": (GOOD | {"ca-cert.pem": b""}, ("ca-cert.pem", "is 0", "the issuer")),
    "two issuers": (GOOD | {"ca-cert.pem": ISSUER.pem + UPPER.pem}, ("ca-cert.pem", "cert-chain.pem")),
    "empty roots": (GOOD | {"root-cert.pem": b"\n"}, ("root-cert.pem", "is 0", "roots")),
    "two keys": (GOOD | {"ca-key.pem": ISSUER.key_pem * 2}, ("ca-key.pem", "is 2", "expected 1")),
    "a key for the root": (GOOD | {"root-cert.pem": ROOT.key_pem}, ("root-cert.pem", "PRIVATE KEY")),
    "a certificate for the key": (GOOD | {"ca-key.pem": ISSUER.pem}, ("ca-key.pem", "is CERTIFICATE")),
    "garbage after": (GOOD | {"ca-cert.pem": ISSUER.pem + b"x"}, ("ca-cert.pem", "nothing around")),
    "garbage within": (
        GOOD | {"cert-chain.pem": ISSUER.pem + b"x\n" + UPPER.pem},
        ("cert-chain.pem", "not PEM"),
    ),
    "half a file": (GOOD | {"root-cert.pem": ROOT.pem[:-30]}, ("root-cert.pem", "not PEM")),
    "no base64": (
        GOOD | {"ca-cert.pem": b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"},
        ("ca-cert.pem", "certificate 1", "unreadable"),
    ),
    "DER": (
        GOOD | {"ca-cert.pem": ISSUER.certificate.public_bytes(Encoding.DER)},
        ("ca-cert.pem", "not ASCII"),
    ),
    "too large": (
        GOOD | {"cert-chain.pem": b"\n" * (1 << 20) + UPPER.pem},
        ("cert-chain.pem", "1048576 bytes"),
    ),
    "an encrypted key": (
        GOOD | {"ca-key.pem": encrypted(ISSUER, PrivateFormat.PKCS8)},
        ("ca-key.pem", "encrypted", "without a passphrase"),
    ),
    "an encrypted key of the old form": (
        GOOD | {"ca-key.pem": encrypted(ISSUER, PrivateFormat.TraditionalOpenSSL)},
        ("ca-key.pem", "encrypted", "without a passphrase"),
    ),
    "a broken key": (
        GOOD | {"ca-key.pem": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        ("ca-key.pem", "unreadable"),
    ),
    "an Ed25519 key": (GOOD | {"ca-key.pem": ED25519}, ("ca-key.pem", "unknown kind", "EC P-256")),
    "expired": (issued(Shape(end=MOMENT - DAY / 2)), ("ca-cert.pem", "in the past", "2027-01-14T20:00:00Z")),
    "ending now": (issued(Shape(end=MOMENT)), ("ca-cert.pem", "in the past")),
    "not yet": (issued(Shape(begin=MOMENT + DAY)), ("ca-cert.pem", "in the future")),
    "an expired root": (issued(by=EXPIRED), ("root-cert.pem", "in the past")),
    "not a CA": (issued(Shape(ca=False)), ("ca-cert.pem", "CA:TRUE")),
    "no CA above": (
        istio_files(make("issuer", NOT_CA), NOT_CA, ROOT),
        ("cert-chain.pem: certificate 2", "CA:TRUE"),
    ),
    "no keyCertSign": (issued(Shape(usage=False)), ("ca-cert.pem", "keyCertSign")),
    "no key usage": (issued(Shape(usage=None)), ("ca-cert.pem", "keyCertSign")),
    "RSA-1024": (issued(key=rsa_key(1_024)), ("ca-cert.pem", "RSA of 1024 bits", "2048 to 4096")),
    "a weak root": (issued(by=WEAK), ("root-cert.pem", "RSA of 1024 bits")),
    "P-521": (issued(key=ec_key(ec.SECP521R1())), ("ca-cert.pem", "secp521r1", "P-384")),
    "SHA-224": (issued(Shape(digest=hashes.SHA224())), ("ca-cert.pem", "sha224", "SHA-256 or better")),
    "no room below the root": (issued(by=NO_INTERMEDIATES), ("root-cert.pem", "pathlen is 0", "at least 1")),
    "another root": (
        GOOD | {"root-cert.pem": OTHER_ROOT.pem},
        ("signed by none of the roots", "CN=other root"),
    ),
    "a root of the same name": (GOOD | {"root-cert.pem": make("root").pem}, ("signed by none of the roots",)),
    "an intermediate for the root": (GOOD | {"root-cert.pem": UPPER.pem}, ("root-cert.pem", "self-signed")),
    "a reversed chain": (
        GOOD | {"cert-chain.pem": ROOT.pem + UPPER.pem + ISSUER.pem},
        ("cert-chain.pem: certificate 1", "out of order", "signed CN=issuer"),
    ),
    "a chain with a gap": (GOOD | {"cert-chain.pem": ISSUER.pem}, ("signed by none of the roots",)),
    "a reversed TLS set": (
        {"tls.crt": UPPER.pem + ISSUER.pem, "tls.key": ISSUER.key_pem, "ca.crt": ROOT.pem},
        ("tls.key", "the key of tls.crt"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_set_is_refused_and_told(case: str) -> None:
    files, words = REFUSED[case]
    with pytest.raises(InputError) as refusal:
        read_generation(files, NOW)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("case", REFUSED)
def test_no_refusal_quotes_a_key(case: str) -> None:
    files, _ = REFUSED[case]
    with pytest.raises(InputError) as refusal:
        read_generation(files, NOW)
    for line in files.get("ca-key.pem", b"").splitlines()[1:-1]:
        assert len(line) < 16 or line.decode() not in str(refusal.value)


def test_a_pathlen_counts_the_authorities_below_it() -> None:
    root = make("root", shape=Shape(path_length=2))
    upper = make("upper", root, shape=Shape(path_length=1))
    issuer = make("issuer", upper, shape=Shape(path_length=0))
    assert read_generation(istio_files(issuer, upper, root), NOW).chain == text(issuer, upper)
    narrow = make("upper", root, shape=Shape(path_length=0))
    with pytest.raises(InputError, match=r"cert-chain.pem: certificate 2: pathlen is 0: expected at least 1"):
        read_generation(istio_files(make("issuer", narrow), narrow, root), NOW)


def test_the_key_read_is_the_issuers() -> None:
    key = load_pem_private_key(read_generation(GOOD, NOW).key_pem.encode(), None)
    assert key.public_key() == ISSUER.certificate.public_key()
