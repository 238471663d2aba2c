"""
Who may have whose identity. The one place that decides.

Rule
1. A caller whose pod has a trusted node account may have the identities its node carries: those of
   pods that are bound and not finished, on the node itself or on a CPU node that the placement map
   in force pairs with it. Nothing a client says of itself counts, only what its token proved.
2. Anybody else may have its own identity, while a pod of it is there.
3. The trust domain is always the mesh's.
4. Where DPU nodes are in a second cluster, a caller is looked for among the pods of the cluster that
   proved it and nowhere else, and so is its node. Only one of the DPU cluster has rights by the map.
   There, an account that is not trusted has no identity at all: its namesake in the mesh is another.
Every check is made against the present state at every call, so a change acts at once. Granting and
explaining run the same checks; granting stops at the first that fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from xds_server.exceptions import DeniedError, InputError, UnauthenticatedError
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.spiffe import EXPECTED, Identity, parse_identity
from xds_server.mesh.identities import Identities, account_of, is_finished, uid_of
from xds_server.mesh.placement import DPU_CLUSTER, name_in


class Claims(Protocol):
    """What a token has proved."""

    @property
    def namespace(self) -> str: ...
    @property
    def service_account(self) -> str: ...
    @property
    def pod(self) -> BoundPod: ...
    @property
    def expires_at(self) -> float: ...


class Rights(Protocol):
    """What decides who may have what."""

    def authorize(self, caller: Caller, wanted: str) -> Identity: ...


@dataclass(frozen=True, slots=True)
class Check:
    """One question the rule asks, and the answer."""

    name: str
    passed: bool
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.name}: {self.found}, expected {self.expected}"


class Authorizer:
    """Decides by the pods and the placement map of this moment."""

    def __init__(
        self, identities: Identities, trust_domain: str, trusted_node_accounts: frozenset[str]
    ) -> None:
        self.identities = identities
        self.trust_domain = trust_domain
        self.trusted_node_accounts = trusted_node_accounts

    def authenticate_pod(self, claims: Claims) -> Caller:
        """
        Return the caller a token makes, if its pod is what the token says.

        Raises:
            UnauthenticatedError: the pod is not there, is another or is not bound, or is finished.

        """
        account = f"{claims.namespace}/{claims.service_account}"
        check = self._pod_is_there(claims.pod, account)
        pod = self.identities.within(claims.pod.cluster).pod(claims.pod.key)
        if not check.passed or pod is None:
            raise UnauthenticatedError(str(check))
        return Caller(
            identity=Identity(self.trust_domain, claims.namespace, claims.service_account),
            proof=Proof.TOKEN,
            expires_at=claims.expires_at,
            pod=claims.pod,
            node=pod.spec.node_name or "",
        )

    def authenticate_certificate(self, identity: Identity, expires_at: float) -> Caller:
        """
        Return the caller a verified client certificate makes, if it is somebody of this mesh.

        Raises:
            UnauthenticatedError: it is of another trust domain, or no pod of it is there.

        """
        for check in (self.trust_domain_of(identity), self._some_pod(identity)):
            if not check.passed:
                raise UnauthenticatedError(f"the client certificate: {check}")
        return Caller(identity=identity, proof=Proof.CERTIFICATE, expires_at=expires_at)

    def authorize(self, caller: Caller, wanted: str) -> Identity:
        """
        Return the identity ``wanted`` names, if the caller may have it.

        Raises:
            DeniedError: it may not; the message is the first check that fails.

        """
        try:
            identity = parse_identity(wanted)
        except InputError as error:
            raise DeniedError(str(error)) from None
        for check in self.checks(caller, identity):
            if not check.passed:
                raise DeniedError(str(check))
        return identity

    def checks(self, caller: Caller, identity: Identity) -> Iterator[Check]:
        """Yield what the rule asks of this caller and identity; all must pass."""
        yield self.trust_domain_of(identity)
        if caller.pod is not None:
            yield self._pod_is_there(caller.pod, caller.identity.account, caller.node)
        own = identity == caller.identity
        if own and caller.pod is None:
            yield self._some_pod(identity)
        if not own or caller.cluster:
            yield self._node_account(caller)
        if not own:
            yield self.carried(caller.node, identity, caller.cluster)

    def trust_domain_of(self, identity: Identity) -> Check:
        """Ask whether an identity is of this mesh."""
        found, wanted = identity.trust_domain, self.trust_domain
        return Check("trust domain", found == wanted, repr(found), repr(wanted))

    def _pod_is_there(self, bound: BoundPod, account: str, node: str | None = None) -> Check:
        """Ask for the very pod of a token: a name and an account may be given again, a UID is not."""
        pod = self.identities.within(bound.cluster).pod(bound.key)
        name, expected = f"pod {bound}", "the pod the token was made for, bound to a node and running"
        if pod is None:
            return Check(name, False, "not there", expected)
        if uid_of(pod) != bound.uid:
            return Check(name, False, "another pod of the same name", expected)
        if account_of(pod) != account:
            return Check(name, False, f"of another service account than {account}", expected)
        if is_finished(pod):
            return Check(name, False, f"finished ({pod.status.phase})", expected)
        if not pod.spec.node_name or node not in (None, pod.spec.node_name):
            return Check(name, False, f"bound to {pod.spec.node_name or 'no node'}", expected)
        return Check(name, True, f"running on node {pod.spec.node_name}", expected)

    def _some_pod(self, identity: Identity) -> Check:
        """A certificate names no pod, so any will do; without one the identity is nobody's."""
        account = identity.account
        there = self.identities.runs(account)
        if account in self.trusted_node_accounts:
            there = there or self.identities.within(DPU_CLUSTER).runs(account)
        found = f"{'a' if there else 'no'} pod of {account}"
        return Check("pods of the identity", there, found, "a pod that is bound and not finished")

    def _node_account(self, caller: Caller) -> Check:
        account = caller.identity.account
        proved = caller.proof is Proof.TOKEN
        expected = "its own identity, or to be asked by a trusted node account with its token"
        if caller.cluster:
            expected = "a trusted node account: no other of the DPU cluster has an identity in this mesh"
        found = name_in(caller.cluster, account)
        if not proved:
            found = f"{account} by certificate, which names no node"
        return Check("caller", proved and account in self.trusted_node_accounts, found, expected)

    def carried(self, node: str, identity: Identity, cluster: str = "") -> Check:
        """Ask whether the ztunnel on a node of a cluster carries a pod of the identity."""
        passed = self.identities.carries(node, identity.account, cluster)
        nodes = " or ".join(self.identities.carried_nodes(node, cluster)) or "a CPU node paired with it"
        found = f"{'a' if passed else 'no'} pod of {identity.account} there"
        name = f"pods {name_in(cluster, node)} carries"
        return Check(name, passed, found, f"one bound to {nodes} and not finished")


def form_of(text: str) -> tuple[Identity | None, Check]:
    """Return the identity a text is, if it is one, and the check that tells."""
    try:
        identity = parse_identity(text)
    except InputError:
        return None, Check("identity", False, repr(text[:200]), EXPECTED)
    return identity, Check("identity", True, str(identity), EXPECTED)
