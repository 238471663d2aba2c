"""The issuer of tokens for meshes without a cluster: the same tokens, made by a key on disk."""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jwt

from xds_server.exceptions import InputError, UnauthenticatedError
from xds_server.identity.tokens.claims import USER_PREFIX, make_claims
from xds_server.identity.tokens.key_file import KEY_FILE, TokenKey, load_key, load_or_make_key
from xds_server.identity.tokens.keys import VerifyKey

ISSUER = "https://offmesh.local"
_LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSubject:
    """The pod a token is made for."""

    namespace: str
    service_account: str
    pod: str
    pod_uid: str
    node: str


class EmbeddedIssuer:
    """The key in force: a file that was changed is read again within a second; one gone or broken is not."""

    name = ISSUER

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Make the key if there is none.

        Raises:
            InputError: the file cannot be used or made.

        """
        self._path = path
        self._clock = clock
        # Taken before the key, so that no change falls between; a key just made is read once more.
        self._mark = _mark(path) or None
        self._key = load_or_make_key(path)
        self._looked_at = clock()

    def key(self, kid: str) -> VerifyKey | None:
        """Return the key in force if it goes by that name."""
        return self.signing_key.verify if self.signing_key.kid == kid else None

    @property
    def signing_key(self) -> TokenKey:
        """The key in force."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return self._key

    def _look(self) -> None:
        mark = _mark(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            key = load_key(self._path)
        except (InputError, FileNotFoundError) as error:
            log.warning("the key that signs tokens stays in force: %s", error)
            return
        if key.kid != self._key.kid:
            log.info("%s: the key that signs tokens is %s now", self._path, key.kid)
        self._key = key


def load_or_make(certs: Path) -> EmbeddedIssuer:
    """
    Return the issuer whose key is ``token-key.pem`` in ``certs``, made if there is none.

    Raises:
        InputError: the file cannot be used or made.

    """
    return EmbeddedIssuer(certs / KEY_FILE)


def mint(key: TokenKey, subject: TokenSubject, audience: str, now: float, seconds: float) -> str:
    """
    Make a token with the claims Kubernetes puts into one that is bound to a pod.

    Raises:
        InputError: the pod cannot be named in a token.

    """
    account, pod = (subject.namespace, subject.service_account), (subject.pod, subject.pod_uid)
    try:
        make_claims(account, pod, now + seconds)
    except UnauthenticatedError as error:
        raise InputError(f"pod {subject.namespace}/{subject.pod}: {error}") from None
    payload = {
        "aud": [audience],
        "exp": int(now + seconds),
        "iat": int(now),
        "iss": ISSUER,
        "jti": str(uuid.uuid4()),
        "kubernetes.io": {
            "namespace": subject.namespace,
            "node": {"name": subject.node, "uid": _uid("node", subject.node)},
            "pod": {"name": subject.pod, "uid": subject.pod_uid},
            "serviceaccount": {"name": subject.service_account, "uid": _uid("serviceaccount", *account)},
        },
        "nbf": int(now),
        "sub": f"{USER_PREFIX}{subject.namespace}:{subject.service_account}",
    }
    return jwt.encode(payload, key.private, algorithm="ES256", headers={"kid": key.kid})


def _uid(*names: str) -> str:
    """Return the same UID for the same object on every run: manifests need not hold these objects."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join((ISSUER, *names))))


def _mark(path: Path) -> tuple[int, ...]:
    """Return what changes whenever the file does."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size
