"""What a client said of the responses of one type, and what is remembered of it."""

import pytest

from xds_server.sessions.acknowledgement import Acknowledgements, SyncState, Verdict

Step = tuple[str, ...]


def played(*steps: Step) -> tuple[Acknowledgements, list[Verdict]]:
    """
    Play ``("sent", nonce)``, ``("ack", nonce)`` and ``("nack", nonce, reason)``; the clock starts at 1.

    Return the record and the verdicts on the answers.
    """
    record = Acknowledgements()
    verdicts = []
    for now, (step, nonce, *reason) in enumerate(steps, 1):
        if step == "sent":
            record.record_sent(nonce, 10, now)
        else:
            verdicts.append(record.receive(nonce, reason[0] if reason else None, now))
    return record, verdicts


SENT_1, SENT_2 = ("sent", "1"), ("sent", "2")


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([SENT_1, ("ack", "1")], Verdict.ACKNOWLEDGED),
        ([SENT_1, ("nack", "1", "no")], Verdict.REJECTED),
        ([SENT_1, ("nack", "1", "")], Verdict.REJECTED),
        ([("ack", "")], Verdict.NONE),
        ([("nack", "", "no")], Verdict.NONE),
        ([SENT_1, ("ack", "")], Verdict.NONE),
        ([("ack", "1")], Verdict.STALE),
        ([SENT_1, ("ack", "2")], Verdict.STALE),
        ([SENT_1, ("nack", "2", "no")], Verdict.STALE),
        ([SENT_1, ("ack", "1"), ("ack", "1")], Verdict.STALE),
        ([SENT_1, ("ack", "1"), ("nack", "1", "no")], Verdict.STALE),
        ([SENT_1, SENT_2, ("ack", "2"), ("ack", "1")], Verdict.STALE),
        ([SENT_1, SENT_2, ("ack", "1"), ("ack", "2")], Verdict.ACKNOWLEDGED),
        ([SENT_1, ("ack", "1" * 1_000_000)], Verdict.STALE),
        ([SENT_1, ("ack", "1\x00")], Verdict.STALE),
    ],
)
def test_a_nonce_is_judged_by_what_was_sent(steps: list[Step], verdict: Verdict) -> None:
    assert played(*steps)[1][-1] is verdict


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([], SyncState.NOT_SENT),
        ([("ack", "1")], SyncState.NOT_SENT),
        ([SENT_1], SyncState.SENT),
        ([SENT_1, ("ack", "1")], SyncState.SYNCED),
        ([SENT_1, SENT_2, ("ack", "2")], SyncState.SYNCED),
        ([SENT_1, SENT_2, ("ack", "1")], SyncState.SENT),
        ([SENT_1, ("ack", "1"), SENT_2], SyncState.SENT),
        ([SENT_1, ("ack", "never sent")], SyncState.SENT),
        ([SENT_1, ("nack", "1", "no")], SyncState.REJECTED),
        ([SENT_1, ("nack", "1", "")], SyncState.REJECTED),
        ([SENT_1, ("nack", "1", "no"), SENT_2], SyncState.REJECTED),
        ([SENT_1, ("nack", "1", "no"), SENT_2, ("ack", "2")], SyncState.SYNCED),
        ([SENT_1, ("nack", "1", "no"), ("ack", "1")], SyncState.REJECTED),
        ([SENT_1, ("ack", "1"), SENT_2, ("nack", "2", "")], SyncState.REJECTED),
    ],
)
def test_a_client_is_synced_when_all_it_was_sent_is_accepted(steps: list[Step], state: SyncState) -> None:
    assert played(*steps)[0].state is state


def test_every_answer_is_counted() -> None:
    sent, answers = (SENT_1, SENT_2, ("sent", "3")), (("ack", "1"), ("nack", "2", "no"))
    record, _ = played(*sent, *answers, ("ack", "2"), ("ack", "9"), ("ack", ""))
    assert (record.sent, record.sent_bytes) == (3, 30)
    assert (record.acknowledged, record.rejected, record.stale) == (1, 1, 2)
    assert (record.sent_nonce, record.acknowledged_nonce) == ("3", "1")
    assert (record.sent_at, record.acknowledged_at, record.rejected_at) == (3, 4, 5)


def test_a_reason_is_kept_until_a_later_response_is_accepted() -> None:
    assert played(SENT_1, ("nack", "1", "bad"), SENT_2)[0].rejection == "bad"
    assert played(SENT_1, ("nack", "1", "bad"), SENT_2, ("nack", "2", "worse"))[0].rejection == "worse"
    assert played(SENT_1, ("nack", "1", "bad"), SENT_2, ("ack", "2"))[0].rejection == ""


def test_a_rejection_without_a_reason_says_so() -> None:
    assert played(SENT_1, ("nack", "1", ""))[0].rejection == "no reason given"


def test_a_long_reason_is_cut() -> None:
    assert len(played(SENT_1, ("nack", "1", "x" * 1_000_000))[0].rejection) == 2_000


def test_a_clock_that_steps_back_changes_no_state() -> None:
    record = Acknowledgements()
    record.record_sent("1", 1, 100.0)
    record.receive("1", None, 100.0)
    record.record_sent("2", 1, 50.0)
    record.receive("2", "", 50.0)
    assert record.state is SyncState.REJECTED


def test_the_oldest_unanswered_response_is_known_by_its_time() -> None:
    assert played()[0].oldest_unanswered_at is None
    assert played(SENT_1, SENT_2)[0].oldest_unanswered_at == 1
    assert played(SENT_1, SENT_2, ("ack", "1"))[0].oldest_unanswered_at == 2
    assert played(SENT_1, SENT_2, ("ack", "2"))[0].oldest_unanswered_at is None


def test_a_client_that_never_answers_grows_no_list() -> None:
    record, _ = played(*(("sent", str(number)) for number in range(10_000)))
    assert len(record._open) == 256
    assert record.receive("0", None, 1.0) is Verdict.STALE
    assert record.receive("9999", None, 1.0) is Verdict.ACKNOWLEDGED
    assert record.state is SyncState.SYNCED
