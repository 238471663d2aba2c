"""
Values of conditions: text to what a ztunnel compares with (facts wds, 5.4).

Each reader takes the text and the namespace of the policy, and raises ValueError for text that says
nothing. The result must be whole: a ztunnel leaves out what it cannot read itself, and that may widen a rule.
"""

import re
from ipaddress import ip_address

from google.protobuf.empty_pb2 import Empty

from xds_server.protobuf.workloadapi.security import authorization_pb2 as security

# No sign, no blank and no leading zero in a prefix length; a port may have zeros before it.
_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")
_PORT = re.compile(r"0*([0-9]{1,5})")
_SERVICE_ACCOUNT = re.compile(r"(?:([^/*]+)/)?([^/*]+)")


def string_match(text: str, _namespace: str) -> security.StringMatch:
    """Read ``*`` (any that is there), ``*suffix``, ``prefix*`` or the text itself."""
    if not text:
        # As text it would match those who have no identity at all.
        raise ValueError
    text.encode()
    if text == "*":
        return security.StringMatch(presence=Empty())
    if text.startswith("*"):
        return security.StringMatch(suffix=text[1:])
    if text.endswith("*"):
        return security.StringMatch(prefix=text[:-1])
    return security.StringMatch(exact=text)


def service_account(text: str, namespace: str) -> security.ServiceAccountMatch:
    """Read ``namespace/account``, or ``account`` of the policy's own namespace."""
    text.encode()
    read = _SERVICE_ACCOUNT.fullmatch(text)
    if read is None:
        raise ValueError
    return security.ServiceAccountMatch(namespace=read[1] or namespace, serviceAccount=read[2])


def ip_block(text: str, _namespace: str) -> security.Address:
    """Read an address or ``address/length``; the address is kept as it was written."""
    host, slash, length = text.partition("/")
    if "%" in host:
        raise ValueError
    ip = ip_address(host)
    if not slash:
        return security.Address(address=ip.packed, length=ip.max_prefixlen)
    if not _PREFIX_LENGTH.fullmatch(length) or int(length) > ip.max_prefixlen:
        raise ValueError
    return security.Address(address=ip.packed, length=int(length))


def port(text: str, _namespace: str) -> int:
    read = _PORT.fullmatch(text)
    if read is None or int(read[1]) > 65535:
        raise ValueError
    return int(read[1])
