"""
The Lease that says who leads, as the lock of the ``kubernetes`` package's leader election.

The package's own lock is not used: its calls wait without a bound and go on with credentials that
were renewed long ago, it writes local time as if it were UTC, and it cannot release.
"""

import asyncio
import logging
import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.outage import Outage
from xds_server.cluster.request import ApiError, Request
from xds_server.exceptions import ClusterError
from xds_server.leadership.timing import ElectionTiming

_NOT_FOUND = 404
_CONFLICT = 409
_LABELS = {"app.kubernetes.io/managed-by": "offmesh"}

log = logging.getLogger(__name__)


class LeaseLock:
    """
    What the package asks of a lock, and what a leader must know beyond it.

    ``package`` is ``kubernetes.aio.leaderelection.leaderelection``, which is heavy to import.
    """

    def __init__(
        self, connection: ApiConnection, place: tuple[str, str], identity: str, timing: ElectionTiming
    ) -> None:
        """Make the lock of the Lease at ``place``: its namespace and name."""
        self.namespace, self.name = place
        self.identity = identity
        self.package: Any = None
        self.holder = ""
        """Who led when last heard; empty when nobody did."""
        self.transitions = 0
        """How often the Lease has changed hands, as it says itself."""
        self.renewed_at = -math.inf
        """When the last renewal that succeeded was sent, by the loop's clock."""
        self.lost = asyncio.Event()
        """Set when somebody else was seen to hold what was ours."""
        self._connection = connection
        self._timing = timing
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        self._outage = Outage(log, f"the election on Lease {self.namespace}/{self.name}")
        self._seen: dict[str, Any] = {}
        self._may_be_ours = False

    async def get(self, _name: str, _namespace: str) -> tuple[bool, Any]:
        """Return the record of the Lease, or False and why there is none."""
        try:
            self._seen = await self._read()
        except ClusterError as error:
            if isinstance(error, ApiError) and error.code == _NOT_FOUND:
                return False, self._refusal(_NOT_FOUND)
            self._outage.begin(str(error))
            return False, self._refusal(0)
        self._outage.end()
        spec = _spec(self._seen)
        self._observe(spec)
        # None means to the package that nobody holds it: a time that is missing must not mean that.
        times = (str(spec.get("acquireTime", "")), str(spec.get("renewTime", "")))
        duration = str(spec.get("leaseDurationSeconds", ""))
        return True, self.package.LeaderElectionRecord(self.holder or None, duration, *times)

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """Make the Lease, ours; return whether that was done."""
        del name, namespace, election_record
        metadata = {"name": self.name, "namespace": self.namespace, "labels": _LABELS}
        return await self._put("POST", {"metadata": metadata})

    async def update(self, _name: str, _namespace: str, _record: Any) -> bool:
        """Take or renew the Lease, unless it changed since ``get``; return whether that was done."""
        return await self._put("PUT", self._seen)

    async def release(self) -> None:
        """
        Let the next one have the Lease at once, if it is ours.

        Raises:
            ClusterError: that could not be done.

        """
        if not self._may_be_ours:
            return
        lease = await self._read()
        if _spec(lease).get("holderIdentity") != self.identity:
            return
        now = _now()
        free = {"holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now}
        await self._ask("PUT", "update", lease | {"spec": _spec(lease) | free})
        self._may_be_ours, self.holder = False, ""

    async def _put(self, method: str, lease: dict[str, Any]) -> bool:
        sent_at = asyncio.get_running_loop().time()
        # An answer that does not come does not mean that it was not done.
        self._may_be_ours = True
        held = self._held(_spec(lease))
        try:
            await self._ask(
                method, "create" if method == "POST" else "update", {**_HEAD, **lease, "spec": held}
            )
        except ClusterError as error:
            if not (isinstance(error, ApiError) and error.code == _CONFLICT):
                self._outage.begin(str(error))
            return False
        self._outage.end()
        self.lost.clear()
        self.renewed_at = sent_at
        self.holder, self.transitions = self.identity, held["leaseTransitions"]
        return True

    def _held(self, spec: dict[str, Any]) -> dict[str, Any]:
        now, transitions = _now(), int(spec.get("leaseTransitions") or 0)
        held: dict[str, Any] = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._timing.lease_seconds),
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        if spec.get("holderIdentity") != self.identity:
            held |= {"acquireTime": now, "leaseTransitions": transitions + 1 if spec else 0}
        return held

    def _observe(self, spec: dict[str, Any]) -> None:
        self.holder = str(spec.get("holderIdentity") or "")
        self.transitions = int(spec.get("leaseTransitions") or 0)
        if self._may_be_ours and self.holder != self.identity:
            self._may_be_ours = False
            self.lost.set()

    async def _read(self) -> dict[str, Any]:
        return await self._ask("GET", "get", None)

    async def _ask(self, method: str, verb: str, body: dict[str, Any] | None) -> dict[str, Any]:
        path = self._path if method == "POST" else f"{self._path}/{self.name}"
        right = f"{verb} of leases.coordination.k8s.io in namespace {self.namespace}"
        request = Request(method, path, body, right=right)
        seconds = self._timing.call_seconds
        try:
            async with asyncio.timeout(seconds):
                content = await self._connection.ask(request)
        except TimeoutError:
            raise ClusterError(f"{request}: no answer within {seconds:g} s") from None
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ClusterError(f"{request}: the answer is no JSON object") from None

    def _refusal(self, code: int) -> Any:
        """Return what the package looks at: the code in the body, if it is one to act on."""
        body = msgspec.json.encode({"code": code}).decode() if code else None
        return self.package.ApiException(status=code, reason="told already", body=body)


_HEAD = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}


def _spec(lease: dict[str, Any]) -> dict[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
