"""What is asked of a real API server about tokens, and what becomes of every way in which it can fail."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.aio.config import incluster_config, kube_config

from tests.helpers.fake_api_server import (
    CREDENTIAL,
    Answer,
    FakeApiServer,
    answering,
    api_server,
    breaking_off,
    hanging,
)
from tests.helpers.tokens import AUDIENCE, CLAIMS, CLUSTER_ISSUER, Clock, accepted, bound_payload, sign
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import ApiError
from xds_server.exceptions import ClusterError, UnauthenticatedError
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.cluster import KubernetesTokens

TOKEN = sign(bound_payload(), kid="not published")
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeApiServer]:
    async with api_server(tmp_path) as fake:
        yield fake


@pytest.fixture
async def cluster(server: FakeApiServer) -> AsyncIterator[KubernetesTokens]:
    connection = ApiConnection(str(server.kubeconfig), timeout_seconds=20.0)
    yield KubernetesTokens(connection)
    await connection.close()


async def failure(cluster: KubernetesTokens) -> str:
    with pytest.raises(ClusterError) as caught:
        await cluster.review(TOKEN, (AUDIENCE,))
    assert TOKEN[:20] not in str(caught.value)
    return str(caught.value)


async def test_the_published_keys_and_their_issuer_are_read(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    jwks, issuer = await cluster.keys()
    assert issuer == CLUSTER_ISSUER
    assert [key["kid"] for key in jwks["keys"]] == ["first"]
    paths = [(method, path) for method, path, _ in server.requests]
    assert paths == [("GET", "/.well-known/openid-configuration"), ("GET", "/openid/v1/jwks")]
    assert server.credentials == {f"Bearer {CREDENTIAL}"}


async def test_a_review_asks_for_the_audience_and_returns_the_status(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    assert await cluster.review(TOKEN, (AUDIENCE,)) == accepted()
    ((method, path, body),) = server.requests
    assert (method, path) == ("POST", REVIEWS)
    assert (body["apiVersion"], body["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
    assert body["spec"] == {"token": TOKEN, "audiences": [AUDIENCE]}


async def test_an_authenticator_proves_tokens_by_its_keys_and_by_its_word(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    checked = TokenAuthenticator(AUDIENCE, clusters={"": cluster}, clock=Clock())
    assert await checked.authenticate(sign(bound_payload())) == CLAIMS
    assert len(server.requests) == 2
    assert await checked.authenticate(TOKEN) == CLAIMS
    assert [path for _, path, _ in server.requests].count(REVIEWS) == 1


LONG = json.dumps({"status": {"filler": "x" * (1 << 20)}})
FAILURES: list[tuple[str, Answer, str]] = [
    ("401", answering(401, "{}"), "does not know this server (401): expected valid credentials"),
    ("403", answering(403, "{}"), "lacks the right (403): expected ClusterRole system:auth-delegator"),
    ("404", answering(404, "not found", "text/plain"), "the Kubernetes API failed (404)"),
    ("429", answering(429, "{}"), "the Kubernetes API has too much to do (429)"),
    ("500", answering(500, "oops", "text/plain"), "the Kubernetes API failed (500)"),
    ("304", answering(304, ""), "the Kubernetes API failed (304)"),
    ("JSON cut short", answering(201, '{"status": {"authenticated": tr'), "the answer is no JSON object"),
    ("a list", answering(201, "[]"), "the answer is no JSON object"),
    ("nothing", answering(201, ""), "the answer is no JSON object"),
    ("not UTF-8", answering(201, b'{"status": {"error": "\xff"}}'), "the answer is no JSON object"),
    ("nested too deep", answering(201, '{"a":' * 100_000), "the answer is no JSON object"),
    ("no status", answering(201, '{"status": null}'), "the answer has no status"),
    ("more than is read", answering(201, LONG), "the answer is too long: expected at most 1048576 bytes"),
    ("broken off", breaking_off(b'{"status": {'), "ClientPayloadError"),
]


@pytest.mark.parametrize(
    ("answer", "reason"), [pytest.param(answer, reason, id=name) for name, answer, reason in FAILURES]
)
async def test_a_failure_says_what_was_asked_and_what_came_of_it(
    server: FakeApiServer, cluster: KubernetesTokens, answer: Answer, reason: str
) -> None:
    server.answer = answer
    said = await failure(cluster)
    assert said.startswith(f"POST {REVIEWS}: ")
    assert reason in said
    server.answer = None
    assert await cluster.review(TOKEN, (AUDIENCE,)) == accepted()


async def test_a_missing_right_to_read_the_keys_names_the_role_that_has_it(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    server.answer = answering(403, "{}")
    with pytest.raises(ClusterError, match="ClusterRole system:service-account-issuer-discovery"):
        await cluster.keys()


@pytest.mark.parametrize("issuer", [{}, {"issuer": 5}])
async def test_keys_of_no_issuer_are_a_failure(
    server: FakeApiServer, cluster: KubernetesTokens, issuer: dict[str, Any]
) -> None:
    server.answer = answering(200, json.dumps(issuer))
    with pytest.raises(ClusterError, match=r"openid-configuration: the answer names no issuer"):
        await cluster.keys()


async def test_a_server_that_hangs_is_given_up(server: FakeApiServer) -> None:
    release = asyncio.Event()
    server.answer = hanging(release)
    connection = ApiConnection(str(server.kubeconfig), timeout_seconds=0.2)
    assert "no answer within 0.2 s" in await failure(KubernetesTokens(connection))
    release.set()
    await connection.close()


async def test_a_server_that_is_down_is_a_failure_and_one_that_is_not_believed_too(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    doubted = ApiConnection(str(server.kubeconfig), "doubted")
    assert "certificate verify failed" in await failure(KubernetesTokens(doubted))
    await doubted.close()
    assert server.stop is not None
    await server.stop()
    assert "ClientConnectorError" in await failure(cluster)


@pytest.mark.parametrize(
    ("content", "context"), [(None, ""), ("", ""), ("[]", ""), ("a: [", ""), (None, "absent")]
)
async def test_a_kubeconfig_that_cannot_be_used_is_named(
    server: FakeApiServer, tmp_path: Path, content: str | None, context: str
) -> None:
    path = server.kubeconfig if context else tmp_path / "other"
    if content is not None:
        path.write_text(content)
    said = await failure(KubernetesTokens(ApiConnection(str(path), context)))
    assert said.startswith(f"kubeconfig {path} cannot be used: ")


async def test_outside_a_cluster_and_without_a_kubeconfig_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "/nowhere/config")
    said = await failure(KubernetesTokens(ApiConnection()))
    assert said.startswith("the kubeconfig in ~/.kube/config or KUBECONFIG cannot be used: ")


async def test_in_a_cluster_the_account_of_the_pod_is_used_as_it_is_on_disk_now(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = yaml.safe_load(server.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", address.rpartition(":")[2])
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    at_once = SimpleNamespace(datetime=datetime, timedelta=lambda minutes: 0 * timedelta(minutes=minutes))
    monkeypatch.setattr(incluster_config, "datetime", at_once)
    connection = ApiConnection()
    cluster = KubernetesTokens(connection)
    for credential in ("first", "renewed"):
        (tmp_path / "token").write_text(credential)
        await cluster.review(TOKEN, (AUDIENCE,))
    assert server.credentials == {"bearer first", "bearer renewed"}
    (tmp_path / "token").write_text("")
    assert "Token file exists but empty" in await failure(cluster)
    (tmp_path / "token").unlink()
    assert "No such file or directory" in await failure(cluster)
    await connection.close()


async def test_after_a_401_the_credentials_are_read_again(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    server.answer = answering(401, "{}")
    await failure(cluster)
    conf = yaml.safe_load(server.kubeconfig.read_text())
    conf["users"][0]["user"]["token"] = "renewed"  # noqa: S105 - no secret
    server.kubeconfig.write_text(yaml.safe_dump(conf))
    server.answer = None
    await cluster.review(TOKEN, (AUDIENCE,))
    assert server.credentials == {f"Bearer {CREDENTIAL}", "Bearer renewed"}


async def test_reviews_at_once_that_all_get_a_401_all_fail_as_the_clusters_fault(
    server: FakeApiServer, cluster: KubernetesTokens
) -> None:
    server.answer = answering(401, "{}")
    made = await asyncio.gather(
        *(cluster.review(TOKEN, (AUDIENCE,)) for _ in range(20)), return_exceptions=True
    )
    assert {type(result) for result in made} == {ApiError}


async def test_neither_logs_nor_errors_hold_token_or_credential(
    server: FakeApiServer, cluster: KubernetesTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    checked = TokenAuthenticator(AUDIENCE, clusters={"": cluster}, clock=Clock())
    said: list[str] = []
    for _, answer, _ in FAILURES:
        server.answer = answer
        try:
            await checked.authenticate(sign(bound_payload(jti=str(len(said))), kid="not published"))
        except UnauthenticatedError as error:
            said.append(str(error))
    assert len(said) == len(FAILURES)
    text = "\n".join([*said, caplog.text])
    assert "tokens cannot be reviewed by the cluster" in text
    assert CREDENTIAL not in text
    assert TOKEN[:20] not in text


def test_the_kubernetes_client_is_not_even_imported_before_it_is_needed() -> None:
    code = "import sys, xds_server.identity.tokens.cluster; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
