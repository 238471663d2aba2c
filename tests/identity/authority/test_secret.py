"""What a Secret holds of a certificate authority, and what no real API server does with it."""

import base64
from typing import Any, NoReturn, cast

import pytest

from tests.identity.authority.made_certificates import NOW, Made, istio_files, make, plugged_in, rsa_key
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import Request
from xds_server.exceptions import InputError
from xds_server.identity.authority.material import read_generation
from xds_server.identity.authority.secret import AuthoritySecret
from xds_server.identity.authority.secret_data import encoded, read_key, read_material
from xds_server.identity.authority.self_made import ROOT_KEY, make_files

ROOT = make("O=cluster.local", key=rsa_key())
ISSUER = make("issuer", ROOT)


def secret(**files: bytes) -> dict[str, Any]:
    """Make a Secret; the names of keys are written with _ for . and -- for none."""
    return {"data": encoded({name.replace("_", "-", 1).replace("_", "."): files[name] for name in files})}


def self_signed(one: Made, **others: bytes) -> dict[str, Any]:
    return secret(ca_cert_pem=one.pem, ca_key_pem=one.key_pem, **others)


def in_kubernetes_names(issuer: Made, root: Made) -> dict[str, Any]:
    files = {"tls.crt": issuer.pem, "tls.key": issuer.key_pem, "ca.crt": root.pem}
    return {"type": "kubernetes.io/tls", "data": encoded(files)}


@pytest.mark.parametrize(
    ("held", "issuer"),
    [
        pytest.param({"data": encoded(istio_files(ISSUER, ROOT))}, ISSUER, id="all four files"),
        pytest.param(self_signed(ROOT), ROOT, id="an issuer alone"),
        pytest.param(
            self_signed(ROOT, root_cert_pem=b"", cert_chain_pem=b""), ROOT, id="as istiod wrote it long ago"
        ),
        pytest.param(
            self_signed(ROOT, root_cert_pem=ROOT.pem, cert_chain_pem=b""), ROOT, id="as istiod writes it"
        ),
        pytest.param(in_kubernetes_names(ISSUER, ROOT), ISSUER, id="as cert-manager writes it"),
        pytest.param(in_kubernetes_names(ROOT, ROOT), ROOT, id="a root as cert-manager writes it"),
    ],
)
def test_every_form_that_istiod_takes_is_taken(held: dict[str, Any], issuer: Made) -> None:
    generation = read_generation(read_material("Secret a/b", held), NOW)
    assert generation.certificate_pem.encode() == issuer.pem
    assert [root.encode() for root in generation.roots] == [ROOT.pem]


@pytest.mark.parametrize(
    "held",
    [
        pytest.param({}, id="no data"),
        pytest.param({"data": None}, id="null data"),
        pytest.param({"data": {}}, id="empty data"),
        pytest.param({"data": encoded({"password": b"x"})}, id="other keys"),
        pytest.param(secret(ca_cert_pem=b"", ca_key_pem=b""), id="empty files"),
    ],
)
def test_a_secret_may_hold_no_authority(held: dict[str, Any]) -> None:
    assert read_material("Secret a/b", held) == {}


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        pytest.param(secret(ca_cert_pem=ROOT.pem), "ca-key.pem", id="no key"),
        pytest.param(secret(ca_key_pem=ROOT.key_pem), "ca-cert.pem", id="no issuer"),
        pytest.param(secret(root_cert_pem=ROOT.pem), "ca-cert.pem", id="only the root"),
        pytest.param(self_signed(ISSUER, cert_chain_pem=ISSUER.pem), "root-cert.pem", id="no root"),
        pytest.param(
            {"data": encoded({"tls.crt": ISSUER.pem, "tls.key": ISSUER.key_pem})}, "ca.crt", id="no ca.crt"
        ),
        pytest.param({"data": encoded({ROOT_KEY: ROOT.key_pem})}, "ca-cert.pem", id="only a root's key"),
    ],
)
def test_a_part_of_an_authority_is_refused_by_secret_and_key(held: dict[str, Any], missing: str) -> None:
    with pytest.raises(InputError, match=rf"^Secret a/b: {missing} is missing or empty: expected") as refused:
        read_material("Secret a/b", held)
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("text", ["***", "YWI", "c2Vj cmV0", 7])
def test_what_is_no_base64_is_refused_and_not_quoted(text: object) -> None:
    with pytest.raises(InputError) as refused:
        read_material("Secret a/b", {"data": {"ca-key.pem": text}})
    assert str(refused.value) == "Secret a/b: ca-key.pem is unreadable: expected base64"


def test_what_is_written_is_what_is_read() -> None:
    files = plugged_in()
    assert read_material("Secret a/b", {"data": encoded(files)}) == files
    assert read_key("Secret a/b", {"data": encoded({"state": b"\0\xff"})}, "state") == b"\0\xff"
    assert read_key("Secret a/b", {"data": encoded({})}, "state") is None


def test_what_is_made_here_has_the_names_that_istiod_reads() -> None:
    data = encoded(make_files("cluster.local", NOW))
    assert {"ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"} < data.keys()
    assert base64.b64decode(data["cert-chain.pem"]) == base64.b64decode(data["ca-cert.pem"])


def test_a_request_that_carries_a_key_does_not_show_it() -> None:
    body = {"data": encoded({"ca-key.pem": ISSUER.key_pem})}
    shown = repr(Request("PUT", "/api/v1/namespaces/a/secrets/b", body))
    assert body["data"]["ca-key.pem"] not in shown
    assert "/secrets/b" in shown


class BrokenConnection:
    """Fails as only a bug does."""

    def stream(self, _request: Request, _silence_seconds: float) -> NoReturn:
        raise KeyError("a bug")


async def test_a_bug_in_following_the_secrets_is_not_kept_quiet() -> None:
    store = AuthoritySecret(cast("ApiConnection", BrokenConnection()), "mesh", ("cacerts",))
    changes = store.changes()
    await anext(changes)
    with pytest.raises(KeyError, match="a bug"):
        await anext(changes)
