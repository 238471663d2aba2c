"""Who may have which certificate, and what is issued (section 7)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.conformance.served_replay import ServedReplay
from tests.conformance.tables import Manifest
from tests.helpers.authorities import FixedAuthority, certificate, key_pem, new_csr
from xds_server.exceptions import OffmeshError
from xds_server.identity.authority.material import Generation, read_generation
from xds_server.identity.authorization import Authorizer
from xds_server.identity.caller import BoundPod
from xds_server.identity.signing.signer import Signer
from xds_server.identity.spiffe import parse_identity
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.settings import IdentitySettings
from xds_server.transport.failures import code_of

TRUSTED = frozenset({"istio-system/ztunnel"})
WEB = "spiffe://cluster.local/ns/shop/sa/web"
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
INVALID, UNAVAILABLE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE


def pod(namespace: str, name: str, account: str, node: str, phase: str = "Running") -> Manifest:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": f"{name}-uid"},
        "spec": {"nodeName": node, "serviceAccountName": account},
        "status": {"phase": phase},
    }


def mesh() -> ServedReplay:
    made = ServedReplay(
        pod("istio-system", "zdpu", "ztunnel", "dpu"),
        pod("istio-system", "zplain", "ztunnel", "plain"),
        pod("shop", "web", "web", "cpu", "Pending"),
        pod("shop", "local", "local", "dpu"),
        pod("shop", "other", "other", "plain"),
        pod("shop", "done", "done", "cpu", "Succeeded"),
    )
    names = {"cpuNodeName": "cpu", "dpuNodeName": "dpu"}
    made.world.place({"pairs": [{"cpuNodeIP": "192.0.2.1", "dpuNodeIP": "192.0.2.2", **names}]})
    return made


def claims(name: str = "zdpu", account: str = "ztunnel", uid: str = "") -> TokenClaims:
    bound = BoundPod(f"istio-system/{name}", uid or f"{name}-uid")
    return TokenClaims("istio-system", account, bound, 9e9)


def answer(caller: TokenClaims, wanted: str, trusted: frozenset[str] = TRUSTED) -> str | grpc.StatusCode:
    """Ask for an identity; return it, or the status of the refusal."""
    rule = Authorizer(mesh().world.replay.mesh.identities, "cluster.local", trusted)
    try:
        return str(rule.authorize(rule.authenticate_pod(caller), wanted))
    except OffmeshError as error:
        return code_of(error)


def of(account: str, domain: str = "cluster.local") -> str:
    return f"spiffe://{domain}/ns/shop/sa/{account}"


@pytest.mark.parametrize("account", ["web", "local"])
def test_k2_a_trusted_ztunnel_has_the_identities_its_node_carries(account: str) -> None:
    assert answer(claims(), of(account)) == of(account)


def test_k2_the_ztunnel_of_a_node_without_a_pair_has_those_of_its_own() -> None:
    assert answer(claims("zplain"), of("other")) == of("other")
    assert answer(claims("zplain"), of("web")) is DENIED


def test_k1_without_trusted_accounts_nobody_has_anothers() -> None:
    assert answer(claims(), of("web"), frozenset()) is DENIED


@pytest.mark.parametrize("account", ["other", "done", "nobody"])
def test_k1_what_is_only_on_another_node_finished_or_nowhere_is_refused(account: str) -> None:
    assert answer(claims(), of(account)) is DENIED


@pytest.mark.parametrize(
    "wanted",
    ["", "web", "spiffe://cluster.local/ns/shop", of("web") + "/x", "https://cluster.local/ns/a/sa/b"],
)
def test_k5_what_is_no_identity_of_a_workload_is_refused(wanted: str) -> None:
    assert answer(claims(), wanted) is DENIED


def test_k5_the_trust_domain_must_be_the_meshs() -> None:
    """Differs from istiod (Q15), which looks at namespace and account alone."""
    assert answer(claims(), of("web", "other.example")) is DENIED


@pytest.mark.parametrize(
    "caller", [claims(uid="another"), claims(account="other"), claims("gone")], ids=["uid", "account", "pod"]
)
def test_k5_a_caller_whose_pod_is_another_or_gone_is_nobody(caller: TokenClaims) -> None:
    assert answer(caller, of("web")) is UNAUTHENTICATED


@asynccontextmanager
async def signer(authority: FixedAuthority) -> AsyncIterator[Signer]:
    made = Signer(authority, IdentitySettings())
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize(
    ("csr", "seconds", "age", "code"),
    [
        ("", 0, 0.0, None),
        ("nonsense", 0, 0.0, INVALID),
        ("", 86_401, 0.0, INVALID),
        ("", -1, 0.0, INVALID),
        ("", 0, 1e6, UNAVAILABLE),
    ],
    ids=["good", "request", "too long", "negative", "expired issuer"],
)
async def test_k3_what_cannot_be_signed_is_refused_by_its_fault(
    csr: str, seconds: int, age: float, code: grpc.StatusCode | None
) -> None:
    async with signer(FixedAuthority(time.time() - age)) as signs:
        try:
            await signs.sign("caller", parse_identity(WEB), csr or new_csr(), seconds)
            found = None
        except OffmeshError as error:
            found = code_of(error)
    assert found is code


class TwoIntermediates(FixedAuthority):
    """An authority whose issuer is two steps below its root."""

    def __init__(self) -> None:
        self.signing: Generation = read_generation(_files(), time.time())


def _files() -> dict[str, bytes]:
    now = time.time()
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = certificate("root", keys[0], "root", keys[0], now)
    upper = certificate("upper", keys[1], "root", keys[0], now)
    issuer = certificate("issuer", keys[2], "upper", keys[1], now)
    root_pem, upper_pem, issuer_pem = (one.public_bytes(Encoding.PEM) for one in (root, upper, issuer))
    return {
        "ca-cert.pem": issuer_pem,
        "ca-key.pem": key_pem(keys[2]).encode(),
        "cert-chain.pem": issuer_pem + upper_pem,
        "root-cert.pem": root_pem,
    }


async def test_k4_the_chain_is_the_leaf_each_intermediate_and_the_roots() -> None:
    async with signer(TwoIntermediates()) as signs:
        issued = await signs.sign("caller", parse_identity(WEB), new_csr())
    leaf, issuer, upper, root = (x509.load_pem_x509_certificate(one.encode()) for one in issued.chain)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(upper)
    upper.verify_directly_issued_by(root)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [WEB]
