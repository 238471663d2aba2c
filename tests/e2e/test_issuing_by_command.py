"""What the secure port issues, exactly; whom it turns away; that it gives what `offmesh explain` tells."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.helpers.authorities import FixedAuthority, key_pem, new_csr, new_key
from tests.helpers.offmesh import EXAMPLE, Offmesh, grpcurl, serve
from xds_server.identity.signing.work import Work, perform

CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"
NODE_ACCOUNT = "spiffe://cluster.local/ns/istio-system/sa/ztunnel"
PRODUCTPAGE, REVIEWS, DETAILS, RATINGS = (
    f"spiffe://cluster.local/ns/default/sa/bookinfo-{name}"
    for name in ("productpage", "reviews", "details", "ratings")
)
ZTUNNELS = {"dpu-a": "ztunnel-b4n8k", "dpu-b": "ztunnel-tq2wj", "plain-1": "ztunnel-x9c5d"}
# dpu-a serves cpu-a, dpu-b serves cpu-b, plain-1 serves itself.
MAY_HAVE = {
    "dpu-a": {PRODUCTPAGE, REVIEWS, NODE_ACCOUNT},
    "dpu-b": {DETAILS, REVIEWS, NODE_ACCOUNT},
    "plain-1": {RATINGS, REVIEWS, NODE_ACCOUNT},
}
STRANGE = [
    "spiffe://other.example/ns/default/sa/bookinfo-productpage",
    "spiffe://cluster.local/ns/default/sa/nobody",
    "garbage",
]

pytestmark = pytest.mark.xdist_group("issued")


@dataclass(frozen=True)
class Mesh:
    """A server of the example, and a token of each ztunnel."""

    offmesh: Offmesh
    tokens: dict[str, str]

    def create(self, node: str = "dpu-a", token: str | None = None, **fields: Any) -> Any:
        """Ask for a certificate; return the chain, or the error's text."""
        proof = self.tokens[node] if token is None else token
        answer = self.offmesh.secure_grpcurl(CREATE, {"csr": new_csr(), **fields}, proof, check=False)
        return answer.stderr if answer.returncode else json.loads(answer.stdout)["cert_chain"]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder = tmp_path_factory.mktemp("issued")
    with serve(folder, manifests=EXAMPLE / "mesh", cluster_conf=EXAMPLE / "cluster-conf.yaml") as running:
        made = {
            node: running.token(f"istio-system/{pod}", EXAMPLE / "mesh") for node, pod in ZTUNNELS.items()
        }
        yield Mesh(running, made)


def impersonating(identity: str) -> dict[str, Any]:
    return {"metadata": {"ImpersonatedIdentity": identity}}


def openssl_csr(folder: Path, *flags: str) -> str:
    """Make a request with the real openssl; its key is left in ``folder/key.pem``."""
    command = ["openssl", "req", "-new", "-nodes", "-batch", "-keyout", str(folder / "key.pem"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


GREEDY = (
    *("-newkey", "rsa:2048", "-subj", "/O=system:masters/CN=admin"),
    *("-addext", f"subjectAltName=URI:{DETAILS},DNS:istiod.istio-system.svc,IP:10.0.0.1"),
    *("-addext", "extendedKeyUsage=codeSigning", "-addext", "keyUsage=nonRepudiation"),
)


class TestWhatIsIssued:
    @pytest.mark.parametrize("identity", ["", PRODUCTPAGE])
    def test_nothing_of_a_request_but_its_key_is_in_the_certificate(
        self, mesh: Mesh, tmp_path: Path, identity: str
    ) -> None:
        csr = openssl_csr(tmp_path, *GREEDY)
        asked = impersonating(identity) if identity else {}
        leaf = x509.load_pem_x509_certificate(mesh.create(csr=csr, **asked)[0].encode())
        key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
        assert leaf.public_key() == key.public_key()
        assert leaf.version is x509.Version.v3
        assert leaf.subject == x509.Name([])
        uri = x509.UniformResourceIdentifier(identity or NODE_ACCOUNT)
        found = {type(item.value): (item.critical, item.value) for item in leaf.extensions}
        assert found.pop(x509.AuthorityKeyIdentifier)[0] is False
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        assert found == {
            x509.SubjectAlternativeName: (True, x509.SubjectAlternativeName([uri])),
            x509.ExtendedKeyUsage: (False, x509.ExtendedKeyUsage(both)),
            x509.BasicConstraints: (True, x509.BasicConstraints(ca=False, path_length=None)),
            x509.KeyUsage: (True, self.usage()),
        }

    def usage(self) -> x509.KeyUsage:
        unset = ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
        also_unset = ("encipher_only", "decipher_only")
        return x509.KeyUsage(
            digital_signature=True, key_encipherment=True, **dict.fromkeys((*unset, *also_unset), False)
        )

    def test_the_chain_is_the_leaf_then_each_issuer_then_all_roots(self, mesh: Mesh) -> None:
        chain = mesh.create()
        assert [text.count("BEGIN CERTIFICATE") for text in chain] == [1, 1, 1]
        assert all(text.endswith("-----END CERTIFICATE-----\n") for text in chain)
        leaf, issuer, root = (x509.load_pem_x509_certificate(text.encode()) for text in chain)
        leaf.verify_directly_issued_by(issuer)
        issuer.verify_directly_issued_by(root)
        root.verify_directly_issued_by(root)

    @pytest.mark.parametrize(("asked", "given"), [(0, 86_400), (1, 1), (3_600, 3_600), (86_400, 86_400)])
    def test_it_lives_as_long_as_asked_from_two_minutes_ago(self, mesh: Mesh, asked: int, given: int) -> None:
        before = datetime.fromtimestamp(int(time.time()), UTC)
        leaf = x509.load_pem_x509_certificate(mesh.create(validity_duration=asked)[0].encode())
        after = datetime.now(UTC)
        assert before <= leaf.not_valid_before_utc + timedelta(minutes=2) <= after
        assert before <= leaf.not_valid_after_utc - timedelta(seconds=given) <= after

    def test_no_two_have_one_serial_number(self, mesh: Mesh) -> None:
        csr = new_csr()
        leaves = [x509.load_pem_x509_certificate(mesh.create(csr=csr)[0].encode()) for _ in range(3)]
        assert len({leaf.serial_number for leaf in leaves}) == 3

    @pytest.mark.parametrize(
        "flags",
        [
            ("-newkey", "rsa:1024"),
            ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
            ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
            ("-newkey", "ed25519"),
            ("-newkey", "rsa:2048", "-sha1"),
            ("-newkey", "rsa:2048", "-addext", "basicConstraints=critical,CA:TRUE"),
            ("-newkey", "rsa:2048", "-addext", "keyUsage=keyCertSign"),
        ],
    )
    def test_a_weak_or_greedy_request_of_openssl_is_an_invalid_argument(
        self, mesh: Mesh, tmp_path: Path, flags: tuple[str, ...]
    ) -> None:
        assert "InvalidArgument" in mesh.create(csr=openssl_csr(tmp_path, *flags, "-subj", "/"))

    def test_a_request_that_its_key_did_not_sign_is_an_invalid_argument(self, mesh: Mesh) -> None:
        signed = x509.load_pem_x509_csr(new_csr().encode()).public_bytes(Encoding.DER)
        body = base64.encodebytes(signed[:-1] + bytes([signed[-1] ^ 1])).decode()
        told = mesh.create(
            csr=f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
        )
        assert "InvalidArgument" in told
        assert "not signed with the private key" in told


class TestWhoIsTurnedAway:
    def refused(self, mesh: Mesh, token: str) -> str:
        told = mesh.create(token=token)
        assert "Unauthenticated" in told
        assert token not in told
        return str(told)

    def copy(self, folder: Path, old: str, new: str) -> Path:
        """Copy the ztunnels' manifest with another text in it."""
        manifest = folder / "ztunnel.yaml"
        manifest.write_text((EXAMPLE / "mesh" / "ztunnel.yaml").read_text().replace(old, new))
        return manifest

    def test_a_pod_that_the_server_does_not_know(self, mesh: Mesh, tmp_path: Path) -> None:
        manifest = self.copy(tmp_path, "ztunnel-b4n8k", "ztunnel-zzzzz")
        token = mesh.offmesh.token("istio-system/ztunnel-zzzzz", manifest)
        assert "pod istio-system/ztunnel-zzzzz: not there" in self.refused(mesh, token)

    def test_a_pod_that_was_made_again_under_its_name(self, mesh: Mesh, tmp_path: Path) -> None:
        manifest = self.copy(tmp_path, "    uid: ", "    uid: a")
        token = mesh.offmesh.token("istio-system/ztunnel-b4n8k", manifest)
        assert "another pod of the same name" in self.refused(mesh, token)

    def test_a_pod_of_another_service_account(self, mesh: Mesh, tmp_path: Path) -> None:
        manifest = self.copy(tmp_path, "serviceAccountName: ztunnel", "serviceAccountName: admin")
        token = mesh.offmesh.token("istio-system/ztunnel-b4n8k", manifest)
        assert "of another service account" in self.refused(mesh, token)

    def test_a_token_made_with_the_key_of_another_folder(self, mesh: Mesh, tmp_path: Path) -> None:
        elsewhere = Offmesh(mesh.offmesh.process, {"http": ""}, tmp_path)
        self.refused(mesh, elsewhere.token("istio-system/ztunnel-b4n8k", EXAMPLE / "mesh"))

    def test_a_token_that_has_expired(self, mesh: Mesh) -> None:
        short = "--hours=0.0002"
        token = mesh.offmesh.token("istio-system/ztunnel-b4n8k", EXAMPLE / "mesh", short)
        for _ in range(1_000):
            if isinstance(told := mesh.create(token=token), str):
                assert "Unauthenticated" in told
                return
        raise AssertionError("a token of a second does not expire")

    def test_a_token_that_is_not_a_bearers(self, mesh: Mesh) -> None:
        proof = ["-H", f"authorization: Basic {mesh.tokens['dpu-a']}"]
        asked = json.dumps({"csr": new_csr()})
        command = ["-cacert", str(mesh.offmesh.root), *proof, "-d", "@", mesh.offmesh.secure, CREATE]
        assert "Unauthenticated" in grpcurl(*command, stdin=asked, check=False).stderr


class TestClientCertificates:
    def call(self, mesh: Mesh, folder: Path, texts: tuple[str, str], **fields: Any) -> str:
        """Ask with a key and a chain, and no token; return what went wrong."""
        pair = [folder / "client-key.pem", folder / "client.pem"]
        for path, text in zip(pair, texts, strict=True):
            path.write_text(text)
        client = ["-cacert", str(mesh.offmesh.root), "-key", str(pair[0]), "-cert", str(pair[1])]
        asked = json.dumps({"csr": new_csr(), **fields})
        answer = grpcurl(*client, "-d", "@", mesh.offmesh.secure, CREATE, stdin=asked, check=False)
        return answer.stderr

    @pytest.fixture
    def issued(self, mesh: Mesh) -> tuple[str, str]:
        """A key and its chain, as the ztunnel of dpu-a was given them."""
        key = new_key()
        return key_pem(key), "".join(mesh.create(csr=new_csr(key))[:-1])

    def test_one_of_the_mesh_renews_itself(self, mesh: Mesh, tmp_path: Path, issued: tuple[str, str]) -> None:
        assert self.call(mesh, tmp_path, issued) == ""

    def test_but_speaks_for_no_node(self, mesh: Mesh, tmp_path: Path, issued: tuple[str, str]) -> None:
        told = self.call(mesh, tmp_path, issued, **impersonating(PRODUCTPAGE))
        assert "PermissionDenied" in told

    def test_one_of_another_authority_ends_the_handshake(
        self, mesh: Mesh, tmp_path: Path, issued: tuple[str, str]
    ) -> None:
        issuer, now = FixedAuthority().signing, int(time.time())
        validity = (now - 60, now + 3_600)
        done = perform(Work(1, NODE_ACCOUNT, "", *validity, issuer.certificate_pem, issuer.key_pem))
        strangers = (done.key, done.leaf + "".join(issuer.chain))
        assert self.shake_hands(mesh, tmp_path, issued).returncode == 0
        assert self.shake_hands(mesh, tmp_path, strangers).returncode != 0

    def shake_hands(
        self, mesh: Mesh, folder: Path, texts: tuple[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Show a certificate by TLS 1.2, in which a client knows at the end whether it was taken."""
        (folder / "shown.pem").write_text("".join(texts))
        command = ["openssl", "s_client", "-connect", mesh.offmesh.secure, "-CAfile", str(mesh.offmesh.root)]
        command += ["-tls1_2", "-alpn", "h2", "-cert", str(folder / "shown.pem")]
        command += ["-cert_chain", str(folder / "shown.pem"), "-key", str(folder / "shown.pem")]
        return subprocess.run(
            command, input="", capture_output=True, text=True, errors="replace", timeout=30, check=False
        )


@pytest.mark.parametrize(
    ("node", "identity"),
    list(itertools.product(ZTUNNELS, [PRODUCTPAGE, REVIEWS, DETAILS, RATINGS, NODE_ACCOUNT, *STRANGE])),
)
def test_what_is_given_is_the_rule_and_what_the_debug_page_tells(
    mesh: Mesh, node: str, identity: str
) -> None:
    answer = mesh.create(node, **impersonating(identity))
    given = identity in MAY_HAVE[node]
    assert isinstance(answer, list) is given
    assert given or "PermissionDenied" in answer
    assert mesh.offmesh.get(f"/debug/explain?node={node}&identity={identity}")["allowed"] is given


@pytest.mark.parametrize("identity", [PRODUCTPAGE, DETAILS, *STRANGE])
def test_the_explain_command_tells_what_would_be_given(mesh: Mesh, identity: str) -> None:
    given = isinstance(mesh.create("dpu-a", **impersonating(identity)), list)
    assert mesh.offmesh.explains("dpu-a", identity) is given


def test_a_folder_of_certificates_is_kept_over_a_restart(tmp_path: Path) -> None:
    conf = shutil.copy(EXAMPLE / "cluster-conf.yaml", tmp_path)
    chains, token = [], ""
    for _ in range(2):
        with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=Path(conf)) as offmesh:
            token = token or offmesh.token("istio-system/ztunnel-b4n8k", EXAMPLE / "mesh")
            chains.append(Mesh(offmesh, {"dpu-a": token}).create()[1:])
            offmesh.stop()
    assert chains[0] == chains[1]
