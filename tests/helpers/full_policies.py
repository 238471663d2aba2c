"""
What AuthorizationPolicies mean in full, to whoever can judge all of them: a model to judge conversions by.

Conditions that a ztunnel cannot judge are judged by a guess, as are values that cannot be read: a
conversion is right if it is safe whatever the guess.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from tests.helpers.ztunnel_policies import Connection

Guess = Callable[[str, str], bool]
"""Tells of an attribute and a value whether the connection has it."""
Rule = Mapping[str, Any]

POSITIVE = {
    "principals": "principal",
    "namespaces": "namespace",
    "ipBlocks": "source ip",
    "serviceAccounts": "account",
    "ports": "port",
    "source.ip": "source ip",
    "source.namespace": "namespace",
    "source.principal": "principal",
    "destination.ip": "destination ip",
    "destination.port": "port",
}
UNREADABLE = re.compile(r"\?.*|")


def applies(rules: Sequence[Rule], connection: Connection, guess: Guess) -> bool:
    return any(_rule(rule, connection, guess) for rule in rules)


def _rule(rule: Rule, connection: Connection, guess: Guess) -> bool:
    sources = [item["source"] for item in rule.get("from", ())]
    operations = [item["operation"] for item in rule.get("to", ())]
    return (
        _any(sources, connection, guess)
        and _any(operations, connection, guess)
        and all(_when(item, connection, guess) for item in rule.get("when", ()))
    )


def _any(entries: list[Mapping[str, list[str]]], connection: Connection, guess: Guess) -> bool:
    return not entries or any(_entry(entry, connection, guess) for entry in entries)


def _entry(entry: Mapping[str, list[str]], connection: Connection, guess: Guess) -> bool:
    return all(_list(name, values, connection, guess) for name, values in entry.items() if values)


def _when(item: Mapping[str, Any], connection: Connection, guess: Guess) -> bool:
    key = item["key"]
    return all(
        any(_has(key, value, connection, guess) for value in item[name]) is wanted
        for name, wanted in (("values", True), ("notValues", False))
        if item.get(name)
    )


def _list(name: str, values: list[str], connection: Connection, guess: Guess) -> bool:
    negative = name.startswith("not")
    attribute = name[3].lower() + name[4:] if negative else name
    return any(_has(attribute, value, connection, guess) for value in values) is not negative


def _has(attribute: str, value: str, connection: Connection, guess: Guess) -> bool:
    what = POSITIVE.get(attribute)
    if what is None or UNREADABLE.fullmatch(value):
        return guess(attribute, value)
    identity = connection.identity
    if what == "port":
        return int(value) == connection.port
    if what.endswith("ip"):
        ip = connection.source_ip if what == "source ip" else connection.destination_ip
        return ip_address(ip) in ip_network(value, strict=False)
    if identity is None:
        return False
    if what == "account":
        return value in (f"{identity.namespace}/{identity.account}", *_own(connection))
    return _glob(value, identity.principal if what == "principal" else identity.namespace)


def _own(connection: Connection) -> tuple[str, ...]:
    """An account without namespace is of the policy's own, which is ns1 in these tests."""
    identity = connection.identity
    return (identity.account,) if identity and identity.namespace == "ns1" else ()


def _glob(pattern: str, text: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return re.fullmatch(".*" + re.escape(pattern[1:]), text) is not None
    if pattern.endswith("*"):
        return re.fullmatch(re.escape(pattern[:-1]) + ".*", text) is not None
    return pattern == text
