"""One piece of work, and the process that does it."""

import io

import msgspec
import pytest

from tests.helpers.authorities import new_csr, new_generation
from xds_server.identity.signing import work as work_module
from xds_server.identity.signing.work import Done, Work, perform
from xds_server.identity.signing.worker import frame, run

GENERATION = new_generation()


def new_work(number: int = 1, csr: str = "") -> Work:
    return Work(
        number,
        "spiffe://cluster.local/ns/a/sa/b",
        csr,
        1_900_000_000,
        1_900_003_600,
        GENERATION.certificate_pem,
        GENERATION.key_pem,
    )


def test_a_csr_is_signed_and_no_key_made() -> None:
    done = perform(new_work(csr=new_csr()))
    assert done.leaf.startswith("-----BEGIN CERTIFICATE-----")
    assert (done.key, done.fault) == ("", "")


def test_without_a_csr_a_key_is_made() -> None:
    assert "PRIVATE KEY" in perform(new_work()).key


def test_a_fault_of_the_csr_is_a_result() -> None:
    assert perform(new_work(csr="hello")) == Done(
        1, fault="the CSR is not one PEM block of a CERTIFICATE REQUEST and nothing else"
    )


def test_a_fault_of_the_reader_is_a_result_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_pem: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(work_module, "public_key_of", fail)
    assert perform(new_work(csr=new_csr())).fault == "the CSR cannot be read"


def test_the_process_answers_each_piece_in_order_and_ends_with_its_input() -> None:
    pieces = [new_work(1, new_csr()), new_work(2, "hello"), new_work(3)]
    target = io.BytesIO()
    run(io.BytesIO(b"".join(frame(msgspec.msgpack.encode(piece)) for piece in pieces)), target)
    written, answers = target.getvalue(), []
    while written:
        length = int.from_bytes(written[:4], "big")
        answers.append(msgspec.msgpack.decode(written[4 : 4 + length], type=Done))
        written = written[4 + length :]
    assert [(done.number, bool(done.leaf), bool(done.key)) for done in answers] == [
        (1, True, False),
        (2, False, False),
        (3, True, True),
    ]
