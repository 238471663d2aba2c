"""The parts of identity, by the settings: where the authority is, and who vouches for tokens."""

from xds_server.app.inputs import Inputs
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
    tokens = KubernetesTokens(inputs.connection) if inputs.connection is not None else None
    return IdentityParts(settings, mesh, cluster=tokens)
