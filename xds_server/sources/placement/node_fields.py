"""How a node is written in the placement map: the text of its address and of its name."""

import re
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET6, inet_ntop, inet_pton

# A pattern and the C library, because ipaddress takes six times as long. The first octet leaves out what
# no node can have: 0 (this network), 224 to 239 (multicast), 255 (netmasks and broadcast).
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_FIRST = r"(?:25[0-4]|24[0-9]|22[0-3]|2[01][0-9]|1[0-9][0-9]|[1-9][0-9]?)"
_is_node_ipv4 = re.compile(rf"{_FIRST}\.{_OCTET}\.{_OCTET}\.{_OCTET}").fullmatch

_is_dotted = re.compile(r"[0-9]+(?:\.[0-9]+){3}").fullmatch
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_is_name = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch

_IPV4_MAPPED = bytes(10) + b"\xff\xff"
_MULTICAST = b"\xff"
_UNSPECIFIED = bytes(16)

_OF_A_NODE = "the address of one node"
ADDRESS = "an IP address such as 192.168.50.130 or fd00::130"
NAME = "a node name (lower case letters, digits, - and ., at most 253 characters)"


def is_node_name(text: str) -> bool:
    """Tell whether Kubernetes would take the text as the name of a Node."""
    return len(text) <= 253 and _is_name(text) is not None


def canonical_address(text: str) -> str:
    """
    Return the one text under which a node's address is known.

    Raises:
        ValueError: it is no address a node can have; its argument is what was expected.

    """
    if _is_node_ipv4(text):
        return text
    try:
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        raise ValueError(_expected(text)) from None
    if packed.startswith(_IPV4_MAPPED):
        raise ValueError(f"the IPv4 address itself, {IPv4Address(packed[-4:])}")
    if packed.startswith(_MULTICAST) or packed == _UNSPECIFIED:
        raise ValueError(_OF_A_NODE)
    canonical = inet_ntop(AF_INET6, packed)
    # Where an address ends in zeros and an IPv4 address, systems and Python differ in how they write it.
    return str(IPv6Address(packed)) if "." in canonical else canonical


def _expected(text: str) -> str:
    """Say what would have been right instead of ``text``."""
    if "/" in text:
        return "one address, without a prefix length or netmask"
    if "%" in text:
        return "an address without a zone"
    if not _is_dotted(text):
        return ADDRESS
    octets = text.split(".")
    if any(len(octet) > 1 and octet.startswith("0") for octet in octets):
        return "an address without leading zeros"
    if all(len(octet) <= 3 and int(octet) <= 255 for octet in octets):
        return _OF_A_NODE
    return ADDRESS
