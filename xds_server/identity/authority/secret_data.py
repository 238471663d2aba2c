"""
What a Secret holds of a certificate authority, as files.

istiod writes ``istio-ca-secret`` with a self-signed issuer in ``ca-cert.pem`` and ``ca-key.pem``; the
other names are there and empty, or, in later versions, ``root-cert.pem`` holds the issuer again.
Operators make ``cacerts`` with all four, or in the names of a ``kubernetes.io/tls`` Secret.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from xds_server.identity.authority.material import MATERIAL_FILES
from xds_server.identity.authority.pem import refuse
from xds_server.identity.authority.self_made import ROOT_KEY

MATERIAL = frozenset({*MATERIAL_FILES, ROOT_KEY})
_ISTIO = ("ca-cert.pem", "ca-key.pem", "root-cert.pem")
_KUBERNETES = ("tls.crt", "tls.key", "ca.crt")


def read_material(where: str, secret: Mapping[str, Any]) -> dict[str, bytes]:
    """
    Return the files in a Secret, those that are empty left out; none at all when it holds no authority.

    Raises:
        InputError: some are missing or unreadable; it names the Secret and the key, never what is there.

    """
    files = {name: read_key(where, secret, name) for name in MATERIAL}
    found = {name: content for name, content in files.items() if content}
    if not found:
        return {}
    # Of an issuer that comes alone, the issuer is the root: so istiod writes and reads its own.
    if "ca-cert.pem" in found and not {"root-cert.pem", "cert-chain.pem"} & found.keys():
        found["root-cert.pem"] = found["ca-cert.pem"]
    needed = _KUBERNETES if set(_KUBERNETES) & found.keys() else _ISTIO
    for name in needed:
        if name not in found:
            refuse(where, name, "missing or empty", f"{', '.join(needed)} together")
    return found


def read_key(where: str, secret: Mapping[str, Any], name: str) -> bytes | None:
    """
    Return what is under one key of a Secret, if it has it.

    Raises:
        InputError: that is no base64.

    """
    data = secret.get("data")
    text = data.get(name) if isinstance(data, dict) else None
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        refuse(where, name, "unreadable", "base64")


def encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return files as the data of a Secret."""
    return {name: base64.b64encode(content).decode() for name, content in files.items()}
