"""The parts of identity a server runs, joined: who changes what is told to whom."""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from xds_server.exceptions import InputError, LocalError
from xds_server.identity.audit import Audit
from xds_server.identity.authenticator import Authenticator
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.authority.folder import AuthorityFolder
from xds_server.identity.authority.store import AuthorityStore
from xds_server.identity.authorization import Authorizer
from xds_server.identity.secrets import Secrets
from xds_server.identity.server_certificate import ServerCertificate, names_of
from xds_server.identity.signing.signer import Signer
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.cluster_keys import ClusterTokens
from xds_server.identity.tokens.embedded import EmbeddedIssuer, load_or_make
from xds_server.identity.tokens.key_file import KEY_FILE
from xds_server.mesh.graph import Mesh
from xds_server.mesh.identities import account_of
from xds_server.mesh.placement import DPU_CLUSTER
from xds_server.objects.kubernetes import Pod
from xds_server.settings import ServeSettings
from xds_server.store.collection import Change

_MOST_PROCESSES = 4

log = logging.getLogger(__name__)


class IdentityParts:
    """Made on a mesh; of use after ``load``."""

    def __init__(
        self,
        settings: ServeSettings,
        mesh: Mesh,
        store: AuthorityStore | None = None,
        cluster: ClusterTokens | None = None,
        dpu_cluster: ClusterTokens | None = None,
    ) -> None:
        """
        Join the parts; without a ``store`` the authority is in the folder of the settings.

        Raises:
            InputError: the key of the token issuer cannot be used or made.
            LocalError: a mesh of two clusters is to believe tokens of one, or the other way round.

        """
        if mesh.two_clusters is not (dpu_cluster is not None):
            raise LocalError("mesh and tokens disagree on whether there are two clusters")
        identity = settings.identity
        self._trusted = identity.trusted_node_accounts
        overlap = float(identity.max_ttl_seconds + identity.clock_skew_seconds)
        self.authority = CertificateAuthority(
            store or AuthorityFolder(identity.certs), settings.mesh.trust_domain, overlap
        )
        self.authorizer = Authorizer(mesh.identities, settings.mesh.trust_domain, self._trusted)
        self.audit = Audit()
        self.signer = Signer(self.authority, identity, _processes())
        self.secrets = Secrets(self.authorizer, self.signer, self.audit)
        # Where a cluster makes the tokens, a key file here must not make others.
        issuers = () if cluster else _embedded_issuers(identity.certs)
        named = {"": cluster, DPU_CLUSTER: dpu_cluster}
        clusters = {name: tokens for name, tokens in named.items() if tokens is not None}
        self._tokens = TokenAuthenticator(identity.token_audience, issuers, clusters)
        self.authenticator = Authenticator(self._tokens, self.authorizer)
        self.server_certificate = ServerCertificate(
            self.authority, names_of(settings), identity.clock_skew_seconds
        )
        self.authority.listen(self.secrets.receive_authority)
        for pods in (mesh.pods, mesh.dpu_pods):
            mesh.graph.listen(pods, self._receive_pods)
        mesh.graph.listen(mesh.placement.placed, lambda _changes: self.secrets.receive_rights(None))

    async def load(self) -> None:
        """
        Read or make the certificate authority.

        Raises:
            InputError: its files cannot be used.

        """
        await self.authority.load()

    async def run(self) -> None:
        """Keep authority and signing processes going, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.authority.follow())
                tasks.create_task(self.signer.run())
        finally:
            self._tokens.close()

    def _receive_pods(self, changes: Mapping[str, Change[Pod]]) -> None:
        pods = [pod for change in changes.values() for pod in change if pod is not None]
        accounts = {account_of(pod) for pod in pods}
        # With the pod of a node account go the rights to everything its node carries.
        self.secrets.receive_rights(None if accounts & self._trusted else accounts)


def _embedded_issuers(certs: Path) -> tuple[EmbeddedIssuer, ...]:
    """
    Return the issuer of ``offmesh token``; none where its key can neither be read nor made.

    Raises:
        InputError: there is a key, and it cannot be used.

    """
    try:
        return (load_or_make(certs),)
    except InputError as error:
        if (certs / KEY_FILE).exists():
            raise
        # A plug-in authority may be mounted read-only: its clients may still have certificates.
        log.warning("tokens of `offmesh token` are not believed: %s", error)
        return ()


def _processes() -> int:
    """One for each two cores: the others serve."""
    return max(1, min(_MOST_PROCESSES, len(os.sched_getaffinity(0)) // 2))
