"""What the flags leave to Istio's ConfigMap."""

import click
import pytest
from click.testing import CliRunner

from xds_server.cli.mesh_flags import mesh_flags, mesh_settings
from xds_server.settings import MeshSettings


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, MeshSettings(unsaid=("trust_domain", "root_namespace"))),
        (
            ["--trust-domain="],
            {"OFFMESH_ROOT_NAMESPACE": "r"},
            MeshSettings(root_namespace="r", unsaid=("trust_domain",)),
        ),
        (["--trust-domain=a"], {}, MeshSettings(trust_domain="a", unsaid=("root_namespace",))),
        ([], {"OFFMESH_TRUST_DOMAIN": "a"}, MeshSettings(trust_domain="a", unsaid=("root_namespace",))),
        ([], {"OFFMESH_TRUST_DOMAIN": ""}, MeshSettings(unsaid=("trust_domain", "root_namespace"))),
        (["--trust-domain=cluster.local", "--root-namespace=istio-system"], {}, MeshSettings()),
    ],
)
def test_a_name_is_left_unsaid_without_its_flag_and_its_variable(
    arguments: list[str], environment: dict[str, str], expected: MeshSettings
) -> None:
    made: list[MeshSettings] = []

    @click.command()
    @mesh_flags
    def command(**flags: object) -> None:
        made.append(mesh_settings(flags))

    assert CliRunner().invoke(command, arguments, env=environment).exit_code == 0
    assert made == [expected]
