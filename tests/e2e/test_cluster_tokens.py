"""Tokens of a cluster: with a kubeconfig they prove callers, and those made here do not."""

import asyncio
import time
from pathlib import Path

import pytest
from aiohttp import web

from tests.helpers.authorities import new_csr
from tests.helpers.fake_api_server import FakeApiServer, api_server
from tests.helpers.offmesh import EXAMPLE, Offmesh, serve
from tests.helpers.tokens import bound_payload, sign

CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"
CARRIED = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"


def create(offmesh: Offmesh, token: str) -> str:
    """Return nothing if a certificate was given, else the error."""
    asked = {"csr": new_csr(), "metadata": {"ImpersonatedIdentity": CARRIED}}
    answer = offmesh.secure_grpcurl(CREATE, asked, token, check=False)
    return answer.stderr if answer.returncode else ""


@pytest.mark.xdist_group("cluster tokens")
async def test_the_published_keys_of_the_cluster_prove_its_tokens(tmp_path: Path) -> None:
    now = int(time.time())
    ours = sign(bound_payload(exp=now + 600, iat=now - 5, nbf=now - 5))
    strangers = sign(bound_payload(issuer="https://other.example.com", exp=now + 600, iat=now, nbf=now))
    async with api_server(tmp_path) as cluster:

        async def answer(request: web.Request) -> web.StreamResponse:
            """Accept no token that is reviewed; all else is answered as ever."""
            if request.method == "POST":
                refused = {"authenticated": False, "error": "invalid bearer token"}
                return web.json_response({**await request.json(), "status": refused}, status=201)
            return await FakeApiServer(cluster.kubeconfig).serve(request)

        cluster.answer = answer

        def ask() -> list[str]:
            flags = (f"--kubeconfig={cluster.kubeconfig}",)
            conf = EXAMPLE / "cluster-conf.yaml"
            with serve(tmp_path, *flags, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
                made_here = offmesh.token("istio-system/ztunnel-b4n8k", EXAMPLE / "mesh")
                return [create(offmesh, token) for token in (ours, made_here, strangers)]

        granted, made_here, unknown = await asyncio.to_thread(ask)
    assert granted == ""
    assert "Unauthenticated" in made_here
    assert "Unauthenticated" in unknown
    asked = [(method, path) for method, path, _ in cluster.requests]
    assert ("GET", "/openid/v1/jwks") in asked
    assert asked.count(("POST", "/apis/authentication.k8s.io/v1/tokenreviews")) == 2
