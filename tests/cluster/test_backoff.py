"""Pauses before the API server is asked again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.request import ApiError, Request, refusal
from xds_server.exceptions import ClusterError

AWAY = ClusterError("away")


def test_pauses_double_up_to_a_bound_and_begin_anew_after_success() -> None:
    backoff = Backoff(lambda: 0.0)
    assert [backoff.after(AWAY) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    backoff.reset()
    assert backoff.after(AWAY) == 0.2


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10_000))
def test_chance_takes_at_most_a_half_off(chance: float, failures: int) -> None:
    pause = Backoff(lambda: chance, failures=failures).after(AWAY)
    whole = Backoff(lambda: 0.0, failures=failures).after(AWAY)
    assert whole / 2 < pause <= whole


@pytest.mark.parametrize(
    ("error", "least"),
    [
        (ApiError("no right", 403), 5.0),
        (ApiError("unknown", 401), 5.0),
        (ApiError("busy", 429, retry_after=30.0), 30.0),
        (ApiError("gone", 410), 0.1),
    ],
)
def test_a_refusal_may_ask_for_a_longer_pause(error: ApiError, least: float) -> None:
    assert Backoff(lambda: 0.999).after(error) >= least


GET = Request("GET", "/api/v1/pods", query={"watch": "true"}, right="list and watch of pods")


def test_a_request_is_told_without_its_query_and_asked_with_it() -> None:
    assert (str(GET), GET.target) == ("GET /api/v1/pods", "/api/v1/pods?watch=true")


@pytest.mark.parametrize(
    ("code", "body", "retry_after", "told"),
    [
        (
            401,
            b"",
            "",
            "GET /api/v1/pods: the Kubernetes API does not know this server (401): expected",
        ),
        (403, b"{}", "", "this server's account lacks the right (403): expected list and watch of pods"),
        (429, b"slow down", "7", "the Kubernetes API has too much to do (429)"),
        (500, b'{"message": "etcd is away"}', "x", "the Kubernetes API failed (500): etcd is away"),
        (502, b"<html>", "", "the Kubernetes API failed (502)"),
        (503, b"\xff", "1e9", "the Kubernetes API failed (503)"),
    ],
)
def test_a_refusal_says_what_it_means(code: int, body: bytes, retry_after: str, told: str) -> None:
    error = refusal(GET, code, body, retry_after)
    assert told in str(error)
    assert error.code == code
    assert error.retry_after == (7.0 if retry_after == "7" else 0.0)
