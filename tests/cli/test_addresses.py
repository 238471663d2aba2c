"""Addresses to listen on."""

import pytest

from xds_server.cli.addresses import check_address, is_loopback
from xds_server.exceptions import InputError


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1:15010", "127.0.0.1"),
        ("[::1]:15012", "::1"),
        (":8080", ""),
        ("localhost:0", "localhost"),
        ("0.0.0.0:65535", "0.0.0.0"),
    ],
)
def test_an_address_is_host_and_port(address: str, host: str) -> None:
    assert check_address("--flag", address) == host


@pytest.mark.parametrize(
    "address", ["", "nonsense", "::1:80", "host:", "host:x", "host:65536", "host:-1", "host:٣"]
)
def test_anything_else_is_refused_by_the_name_of_its_flag(address: str) -> None:
    with pytest.raises(InputError, match=r"--flag is .*: expected HOST:PORT"):
        check_address("--flag", address)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("example.com", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
