"""How a node is written in the placement map: the text of its address and of its name."""

import re
from ipaddress import IPv6Address

# One pattern instead of ipaddress.ip_address, which takes six times as long. Its first octet leaves out
# what no node can have: 0 (this network), 224 to 239 (multicast), 255 (netmasks and broadcast).
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_FIRST = r"(?:25[0-4]|24[0-9]|22[0-3]|2[01][0-9]|1[0-9][0-9]|[1-9][0-9]?)"
_is_node_ipv4 = re.compile(rf"{_FIRST}\.{_OCTET}\.{_OCTET}\.{_OCTET}").fullmatch

_is_dotted = re.compile(r"[0-9]+(?:\.[0-9]+){3}").fullmatch
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_is_name = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch

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
    if "/" in text:
        raise ValueError("one address, without a prefix length or netmask")
    if "%" in text:
        raise ValueError("an address without a zone")
    if _is_dotted(text):
        raise ValueError(_expected_ipv4(text))
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError(ADDRESS) from None
    if address.ipv4_mapped is not None:
        raise ValueError(f"the IPv4 address itself, {address.ipv4_mapped}")
    if address.is_multicast or address.is_unspecified:
        raise ValueError(_OF_A_NODE)
    return str(address)


def _expected_ipv4(text: str) -> str:
    octets = text.split(".")
    if any(len(octet) > 1 and octet.startswith("0") for octet in octets):
        return "an address without leading zeros"
    if all(len(octet) <= 3 and int(octet) <= 255 for octet in octets):
        return _OF_A_NODE
    return ADDRESS
