"""Tokens for meshes without a cluster: like Kubernetes' own, from a key made once."""

import asyncio
import base64
import json
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.helpers.tokens import AUDIENCE, CLAIMS, NOW, UID, Clock, bound_payload, ec_key, rsa_key
from xds_server.exceptions import InputError, UnauthenticatedError
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.embedded import EmbeddedIssuer, TokenSubject, load_or_make, mint
from xds_server.identity.tokens.key_file import KEY_FILE, TokenKey, load_key, load_or_make_key

SUBJECT = TokenSubject(
    namespace="istio-system", service_account="ztunnel", pod="ztunnel-b4n8k", pod_uid=UID, node="dpu-a"
)


def minted(key: TokenKey, audience: str = AUDIENCE) -> str:
    return mint(key, SUBJECT, audience, NOW, 3_600)


def pem(key: Any, password: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    made: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return made


def part(token: str, place: int) -> dict[str, Any]:
    text = token.split(".")[place]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=="))
    return decoded


def shape(value: Any) -> Any:
    """Return the keys and types of a payload."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(member) for member in value] if isinstance(value, list) else type(value)


async def test_a_minted_token_proves_its_pod_to_a_server_that_shares_the_folder(tmp_path: Path) -> None:
    token = minted(load_or_make(tmp_path).signing_key)
    checked = TokenAuthenticator(AUDIENCE, (load_or_make(tmp_path),), clock=Clock())
    assert await checked.authenticate(token) == CLAIMS


def test_a_minted_token_has_exactly_the_claims_of_a_bound_token_of_kubernetes(tmp_path: Path) -> None:
    key = load_or_make(tmp_path).signing_key
    token = minted(key)
    payload = part(token, 1)
    assert shape(payload) == shape(bound_payload())
    assert payload["iss"] == "https://offmesh.local"
    assert payload["aud"] == [AUDIENCE]
    assert (payload["iat"], payload["nbf"], payload["exp"]) == (NOW, NOW, NOW + 3_600)
    assert payload["sub"] == "system:serviceaccount:istio-system:ztunnel"
    assert payload["kubernetes.io"]["pod"] == {"name": "ztunnel-b4n8k", "uid": UID}
    assert payload["kubernetes.io"]["node"]["name"] == "dpu-a"
    assert part(token, 0) == {"alg": "ES256", "kid": key.kid, "typ": "JWT"}
    assert len(token) < 2_000


def test_every_token_has_an_id_of_its_own_and_an_account_always_the_same(tmp_path: Path) -> None:
    key = load_or_make(tmp_path).signing_key
    first, second = part(minted(key), 1), part(minted(key), 1)
    assert first.pop("jti") != second.pop("jti")
    assert first == second


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pod_uid": ""}, "no pod UID"),
        ({"service_account": "A"}, "no valid service account"),
        ({"pod": "a/b"}, "pod"),
    ],
)
def test_a_pod_that_no_token_can_name_is_bad_input(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    names = {"namespace": "a", "service_account": "b", "pod": "c", "pod_uid": "d", "node": "e", **change}
    with pytest.raises(InputError, match=reason):
        mint(load_or_make(tmp_path).signing_key, TokenSubject(**names), AUDIENCE, NOW, 60)


def test_the_key_is_made_once_for_its_owner_only_and_leaves_nothing_else(tmp_path: Path) -> None:
    certs = tmp_path / "new" / "certs"
    first = load_or_make(certs).signing_key
    assert load_or_make(certs).signing_key.kid == first.kid
    assert [(path.name, path.stat().st_mode & 0o777) for path in certs.iterdir()] == [(KEY_FILE, 0o600)]
    assert isinstance(first.private.curve, ec.SECP256R1)


def _make(path: Path, together: Any, made: Any) -> None:
    together.wait()
    made.put(load_or_make_key(path).kid)


def test_processes_that_start_at_once_all_use_the_same_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together, made = context.Barrier(4), context.Queue()
    path = tmp_path / KEY_FILE
    processes = [context.Process(target=_make, args=(path, together, made)) for _ in range(4)]
    for process in processes:
        process.start()
    names = {made.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(60)
    assert names == {load_key(path).kid}
    assert [entry.name for entry in tmp_path.iterdir()] == [KEY_FILE]


def test_a_process_that_loses_the_race_takes_the_winners_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, link = tmp_path / KEY_FILE, os.link

    def late(source: Path, target: Path) -> None:
        path.write_bytes(pem(ec_key("winner")))
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert load_or_make_key(path).private.private_numbers() == ec_key("winner").private_numbers()
    assert [entry.name for entry in tmp_path.iterdir()] == [KEY_FILE]


UNUSABLE = [
    ("nothing", b"", "holds no usable key"),
    ("no PEM", b"secret", "holds no usable key"),
    ("half a key", pem(ec_key())[:100], "holds no usable key"),
    ("an encrypted key", pem(ec_key(), b"password"), "holds no usable key"),
    ("an RSA key", pem(rsa_key()), "holds another kind of key"),
    ("a P-384 key", pem(ec_key("p384", ec.SECP384R1)), "holds another kind of key"),
]


@pytest.mark.parametrize(
    ("content", "reason"), [pytest.param(content, reason, id=name) for name, content, reason in UNUSABLE]
)
def test_a_file_with_no_usable_key_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_or_make(tmp_path)
    assert f"{path}: {reason}: expected an EC P-256 private key" in str(caught.value)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_and_a_key_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/certs/token-key\.pem: cannot be"):
        load_or_make(tmp_path / "file" / "certs")
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(InputError, match=r"token-key\.pem: cannot be read: Is a directory"):
        load_or_make(tmp_path)


def test_a_key_that_everybody_can_read_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(pem(ec_key()))
    path.chmod(0o644)
    assert load_or_make(tmp_path).signing_key.kid
    assert "everybody on this machine can use it" in caplog.text


def test_a_key_changed_on_disk_is_in_force_within_a_second_and_the_old_one_no_more(tmp_path: Path) -> None:
    clock = Clock(0.0)
    path = tmp_path / KEY_FILE
    issuer = EmbeddedIssuer(path, clock)
    old = issuer.signing_key.kid
    replace_key(path)
    new = load_key(path).kid
    clock.now = 0.9
    assert issuer.key(old) is not None
    clock.now = 1.0
    assert issuer.key(old) is None
    assert issuer.key(new) is not None


@pytest.mark.parametrize("broken", [None, b"", b"half"], ids=["gone", "empty", "no key"])
def test_a_key_gone_or_broken_on_disk_stays_in_force_with_one_warning(
    tmp_path: Path, broken: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(0.0)
    path = tmp_path / KEY_FILE
    issuer = EmbeddedIssuer(path, clock)
    kid = issuer.signing_key.kid
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    for _ in range(5):
        clock.now += 1
        assert issuer.key(kid) is not None
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["stays in force" in record.getMessage() for record in warnings] == [True]
    path.unlink(missing_ok=True)
    new = load_or_make_key(path).kid
    clock.now += 1
    assert issuer.key(new) is not None


async def test_after_a_change_of_the_key_old_tokens_are_refused_once_their_proof_is_old(
    tmp_path: Path,
) -> None:
    clock = Clock()
    issuer = EmbeddedIssuer(tmp_path / KEY_FILE, clock)
    checked = TokenAuthenticator(AUDIENCE, (issuer,), clock=clock)
    old = minted(issuer.signing_key)
    assert await checked.authenticate(old) == CLAIMS
    replace_key(tmp_path / KEY_FILE)
    clock.now += 60
    with pytest.raises(UnauthenticatedError, match="signing key is not known here"):
        await checked.authenticate(old)
    assert await checked.authenticate(minted(issuer.signing_key)) == CLAIMS


def test_a_key_shows_nothing_of_itself(tmp_path: Path) -> None:
    issuer = load_or_make(tmp_path)
    assert "private" not in repr(issuer.signing_key)
    assert "PRIVATE" not in repr(vars(issuer))


async def test_concurrent_proofs_of_one_minted_token_agree(tmp_path: Path) -> None:
    issuer = load_or_make(tmp_path)
    checked = TokenAuthenticator(AUDIENCE, (issuer,), clock=Clock())
    token = minted(issuer.signing_key)
    assert set(await asyncio.gather(*(checked.authenticate(token) for _ in range(20)))) == {CLAIMS}


def replace_key(path: Path) -> None:
    """Put another key in place, as an operator does who wants the old tokens to end."""
    scratch = path.with_suffix(".new")
    scratch.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    scratch.chmod(0o600)
    scratch.replace(path)
