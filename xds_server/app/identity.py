"""The parts of identity, by the settings: where the authority is, and who vouches for tokens."""

from xds_server.app.inputs import Inputs
from xds_server.identity.authority.secret import AuthoritySecret
from xds_server.identity.parts import IdentityParts
from xds_server.identity.tokens.cluster import KubernetesTokens
from xds_server.mesh.graph import Mesh
from xds_server.settings import ServeSettings


def identity_parts(settings: ServeSettings, mesh: Mesh, inputs: Inputs) -> IdentityParts | None:
    """
    Return the parts of identity; None where the secure port is off.

    Raises:
        InputError: the key of the token issuer cannot be used or made.

    """
    if not settings.secure_grpc_address:
        return None
    cluster, connection = settings.cluster, inputs.connection
    if cluster is None or connection is None:
        return IdentityParts(settings, mesh)
    secrets = (
        AuthoritySecret(connection, cluster.namespace, cluster.ca_secrets) if cluster.ca_secrets else None
    )
    dpus = KubernetesTokens(inputs.dpu_connection) if inputs.dpu_connection is not None else None
    return IdentityParts(settings, mesh, secrets, KubernetesTokens(connection), dpus)
