"""placeholder"""

from xds_server.exceptions import DeniedError, InputError, UnauthenticatedError
from xds_server.identity.caller import Caller, Proof
from xds_server.identity.spiffe import Identity, parse_identity
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.mesh.identities import Identities, account_of


class Authorizer:
    def __init__(self, identities: Identities, trust_domain: str, trusted: frozenset[str]) -> None:
        self._i = identities
        self._td = trust_domain
        self._t = trusted

    def authenticate_pod(self, claims: TokenClaims) -> Caller:
        pod = self._i.pod(claims.pod.key)
        if (
            pod is None
            or pod.metadata.uid != claims.pod.uid
            or account_of(pod) != f"{claims.namespace}/{claims.service_account}"
        ):
            raise UnauthenticatedError("no such pod")
        return Caller(
            identity=Identity(self._td, claims.namespace, claims.service_account),
            proof=Proof.TOKEN,
            expires_at=claims.expires_at,
            pod=claims.pod,
            node=pod.spec.node_name or "",
        )

    def authorize(self, caller: Caller, wanted: str) -> Identity:
        try:
            i = parse_identity(wanted)
        except InputError as e:
            raise DeniedError(str(e)) from None
        if i == caller.identity:
            return i
        if (
            i.trust_domain == self._td
            and caller.identity.account in self._t
            and self._i.carries_account(caller.node, i.account)
        ):
            return i
        raise DeniedError(f"{i} is not carried by {caller.node}")
