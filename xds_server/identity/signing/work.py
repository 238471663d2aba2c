"""One piece of work for a signing process, what comes of it, and the work itself."""

import logging

import msgspec
from cryptography import x509

from xds_server.exceptions import InputError
from xds_server.identity.authority.pem import certificate_text, key_text
from xds_server.identity.signing.csr import public_key_of
from xds_server.identity.signing.template import (
    Validity,
    new_key,
    read_issuer,
    sign_leaf,
)

log = logging.getLogger(__name__)


class Work(msgspec.Struct, frozen=True, array_like=True):
    """
    Sign for ``identity``: the public key of ``csr``, or of a key made for it when there is none.

    Each piece says whom to sign as, so a change of issuer is one of the next piece: nothing is in between.
    """

    number: int
    identity: str
    csr: str
    not_before: int
    not_after: int
    issuer_certificate: str
    issuer_key: str


class Done(msgspec.Struct, frozen=True, array_like=True):
    """The leaf, or the fault of the CSR; ``key`` only where it was made here. All texts are PEM."""

    number: int
    leaf: str = ""
    serial: str = ""
    key: str = ""
    fault: str = ""


def perform(work: Work) -> Done:
    """Sign; a fault of the CSR is a result, not an error."""
    issuer = read_issuer(work.issuer_certificate, work.issuer_key)
    names = [x509.UniformResourceIdentifier(work.identity)]
    validity = Validity(work.not_before, work.not_after)
    if work.csr:
        try:
            public_key = public_key_of(work.csr)
        except InputError as error:
            return Done(work.number, fault=str(error))
        except Exception:
            # A fault of the reader must cost this request, not those that wait behind it.
            log.exception("a CSR could not be read")
            return Done(work.number, fault="the CSR cannot be read")
        made = ""
    else:
        key = new_key()
        public_key, made = key.public_key(), key_text(key)
    leaf = sign_leaf(issuer, public_key, names, validity)
    return Done(work.number, certificate_text(leaf), f"{leaf.serial_number:x}", made)
