"""
Reading the mappings of a node file, and telling which value is not what was expected.

A ``Kind`` is what a value may be: how people call it, and how it is read.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any, Generic, TypeVar

from xds_server.datapath.program import Address, Mark, Network
from xds_server.exceptions import InputError, Problem

T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """``read`` raises ValueError or TypeError for a value that is not ``expected``."""

    expected: str
    read: Callable[[Any], T]


class Section:
    """A mapping of a file; ``path`` is where in the file it is, empty for the whole."""

    def __init__(self, value: object, where: str, path: str, known: Collection[str]) -> None:
        """
        Take a mapping whose keys are all known; a key without a value is as one that is not stated.

        Raises:
            InputError: it is no mapping, or has another key.

        """
        self._where, self._path = where, path
        if not isinstance(value, Mapping):
            raise self._problem("", shown(value), f"a mapping with {', '.join(known)}")
        for key in value:
            if key not in known:
                raise self._problem(str(key), "an unknown key", f"one of {', '.join(known)}")
        self._values = {key: each for key, each in value.items() if each is not None}

    def need(self, key: str, kind: Kind[T]) -> T:
        if key not in self._values:
            raise self._problem(key, "missing", kind.expected)
        return self._read(key, kind)

    def get(self, key: str, kind: Kind[T], default: D) -> T | D:
        return self._read(key, kind) if key in self._values else default

    def section(self, key: str, known: Collection[str]) -> "Section | None":
        if key not in self._values:
            return None
        return Section(self._values[key], self._where, self._name(key), known)

    def sections(self, key: str, known: Collection[str]) -> "list[Section]":
        found = self._values.get(key, [])
        if not isinstance(found, list):
            raise self._problem(key, shown(found), "a list")
        name = self._name(key)
        return [Section(each, self._where, f"{name}[{place}]", known) for place, each in enumerate(found)]

    def _read(self, key: str, kind: Kind[T]) -> T:
        value = self._values[key]
        try:
            return kind.read(value)
        except (ValueError, TypeError, InputError):
            raise self._problem(key, shown(value), kind.expected) from None

    def _name(self, key: str) -> str:
        return ".".join(filter(None, (self._path, key)))

    def _problem(self, key: str, found: str, expected: str) -> InputError:
        return InputError(str(Problem(self._where, self._name(key) or "node file", found, expected)))


def shown(value: object) -> str:
    """Return a value as messages tell it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_of(kind: type[E]) -> Kind[E]:
    return Kind(f"one of {', '.join(kind)}", lambda value: kind(_text(value)))


def _text(value: object) -> str:
    # A number is no text: ``ipaddress`` would take it for an address.
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(each) for each in value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _mark(value: object) -> Mark:
    number, _, mask = _text(value).partition("/")
    return Mark(int(number, 0), int(mask, 0))


TEXT: Kind[str] = Kind("text", _text)
TEXTS: Kind[tuple[str, ...]] = Kind("a list of texts", _texts)
FLAG: Kind[bool] = Kind("true or false", _flag)
NUMBER: Kind[int] = Kind("a whole number", _number)
MARK: Kind[Mark] = Kind("a mark with its mask, such as 0x100/0x100", _mark)
ADDRESS: Kind[Address] = Kind("an IP address", lambda value: ip_address(_text(value)))
ADDRESS_V4 = Kind("an IPv4 address", lambda value: IPv4Address(_text(value)))
ADDRESS_V6 = Kind("an IPv6 address", lambda value: IPv6Address(_text(value)))
RANGE: Kind[Network] = Kind("a range such as 10.244.0.0/24", lambda value: ip_network(_text(value)))
RANGE_V4 = Kind("an IPv4 range such as 10.244.0.0/24", lambda value: IPv4Network(_text(value)))
INTERFACE_V4 = Kind("an address such as 192.168.126.1/30", lambda value: IPv4Interface(_text(value)))
