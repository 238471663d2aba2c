"""The parts of identity, joined: what a change of the mesh and of the files does to what is served."""

import logging
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from tests.helpers.objects import put, remove
from tests.helpers.served_mesh import ServedMesh, pod, shop
from xds_server.exceptions import InputError
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Pod

ZTUNNEL = """
kind: Pod
metadata: {name: z, namespace: istio-system}
spec: {nodeName: dpu-a, serviceAccountName: ztunnel}
"""


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedMesh:
    """A mesh whose followers of secrets are told to ``received``."""
    mesh = shop()
    parts = mesh.give_identity(tmp_path)
    monkeypatch.setattr(parts.secrets, "receive_rights", Mock())
    return mesh


def received(mesh: ServedMesh) -> list[object]:
    assert mesh.served.identity is not None
    receive = cast("Mock", mesh.served.identity.secrets.receive_rights)
    return [call.args[0] for call in receive.call_args_list]


def test_a_pods_change_concerns_the_followers_of_its_account(mesh: ServedMesh) -> None:
    put(mesh.registry, pod("web-3", "10.0.0.9"))
    remove(mesh.registry, Pod, "shop/web-3")
    assert received(mesh) == [{"shop/web"}, {"shop/web"}]


def test_a_node_accounts_pod_concerns_everybody(mesh: ServedMesh) -> None:
    put(mesh.registry, ZTUNNEL)
    assert received(mesh) == [None]


def test_the_map_concerns_everybody(mesh: ServedMesh) -> None:
    with mesh.registry.graph.transaction():
        mesh.registry.of(Pair).set("new", Pair("192.0.2.50", "192.0.2.51", "cpu-z", "dpu-z"))
    assert received(mesh) == [None]


async def test_a_change_of_the_authority_reaches_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Mock()
    monkeypatch.setattr("xds_server.identity.secrets.Secrets.receive_authority", receive)
    parts = shop().give_identity(tmp_path)
    await parts.load()
    receive.assert_called_once()


def test_without_a_way_to_keep_its_key_no_token_is_made_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        shop().give_identity(tmp_path / "file" / "certs")
    assert "are not believed" in caplog.text


def test_a_key_of_tokens_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "token-key.pem").write_text("junk")
    with pytest.raises(InputError, match=r"token-key\.pem"):
        shop().give_identity(tmp_path)
