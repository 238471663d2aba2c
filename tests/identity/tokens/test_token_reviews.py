"""Tokens whose key is not known here: the cluster's word, asked for sparingly and remembered briefly."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.helpers.checked_tokens import DOWN, REFUSED, TOKEN, Checked, settle, tokens
from tests.helpers.tokens import (
    AUDIENCE,
    CLAIMS,
    NOW,
    UID,
    accepted,
    bound,
    bound_payload,
    ec_key,
    published,
    sign,
)

POD_NAME, POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"


async def test_the_cluster_confirms_a_token_and_is_asked_for_our_audience() -> None:
    checked = Checked()
    assert await checked.authenticator.authenticate(TOKEN) == CLAIMS
    assert checked.cluster.reviewed == [TOKEN]
    assert checked.cluster.audiences == {(AUDIENCE,)}


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("not authenticated", REFUSED, "the cluster does not accept the token"),
    ("no word on it", {}, "the cluster does not accept the token"),
    ("a text for a truth", {**accepted(), "authenticated": "true"}, "does not accept"),
    ("authenticated with an error", {**accepted(), "error": "but"}, "does not accept"),
    ("another audience", accepted("api"), "for another audience: expected 'istio-ca'"),
    ("no audience, as of a cluster that knows none", {**accepted(), "audiences": []}, "another audience"),
    ("an audience as a text", {**accepted(), "audiences": AUDIENCE}, "another audience"),
    ("no user", {**accepted(), "user": None}, "no service account's"),
    ("a person", accepted(username="admin"), "no service account's"),
    ("a node", accepted(username="system:node:dpu-a"), "no service account's"),
    ("too many parts", accepted(username="system:serviceaccount:a:b:c"), "no service account's"),
    ("another prefix", accepted(username="system:user:istio-system:ztunnel"), "no service account's"),
    ("no name", accepted(username=None), "no service account's"),
    ("no group", accepted(groups=None), "no service account's"),
    ("another group", accepted(groups=["system:authenticated"]), "no service account's"),
    ("nothing extra", accepted(extra=None), "not bound to a pod"),
    ("no pod", accepted(extra={POD_UID: [UID]}), "not bound to a pod"),
    ("no UID", accepted(extra={POD_NAME: ["p"]}), "not bound to a pod"),
    ("two pods", accepted(extra={POD_NAME: ["p", "q"], POD_UID: [UID]}), "not bound to a pod"),
    ("an odd pod", accepted(extra={POD_NAME: ["p/q"], POD_UID: [UID]}), "no valid pod"),
    ("another pod", accepted(extra={POD_NAME: ["p"], POD_UID: [UID]}), "contradicts the cluster"),
    ("a UID used again", accepted(extra={POD_NAME: ["ztunnel-b4n8k"], POD_UID: ["u"]}), "contradicts"),
    ("another account", accepted(username="system:serviceaccount:default:ztunnel"), "contradicts"),
]


@pytest.mark.parametrize(
    ("status", "reason"), [pytest.param(status, reason, id=name) for name, status, reason in REFUSALS]
)
async def test_what_the_cluster_does_not_confirm_in_full_is_refused_with_the_reason(
    status: dict[str, Any], reason: str
) -> None:
    assert reason in await Checked(status).refuse()


@pytest.mark.parametrize(
    "changes",
    [{"exp": int(NOW)}, {"aud": ["api"]}, {"kubernetes.io": bound(pod=None)}, {"nbf": int(NOW) + 60}],
    ids=["expired", "another audience", "no pod", "not yet"],
)
async def test_what_the_token_itself_rules_out_does_not_trouble_the_cluster(changes: dict[str, Any]) -> None:
    checked = Checked()
    await checked.refuse(sign(bound_payload(**changes)))
    assert checked.reviews == 0


async def test_a_confirmed_token_is_not_reviewed_again_within_a_minute() -> None:
    checked = Checked()
    await checked.accept()
    checked.clock.now += 59.9
    await checked.accept()
    assert checked.reviews == 1
    checked.clock.now += 0.1
    await checked.accept()
    assert checked.reviews == 2


async def test_a_token_withdrawn_meanwhile_is_refused_at_its_next_review_and_from_then_on() -> None:
    checked = Checked()
    await checked.accept()
    checked.cluster.status = REFUSED
    checked.clock.now += 60
    await checked.refuse()
    checked.cluster.status = DOWN
    checked.clock.now += 10
    assert "cannot be checked now" in await checked.refuse()


async def test_a_refused_token_is_not_reviewed_again_within_ten_seconds() -> None:
    checked = Checked(REFUSED)
    first = await checked.refuse()
    checked.cluster.status = accepted()
    checked.clock.now += 9.9
    assert await checked.refuse() == first
    assert checked.reviews == 1
    checked.clock.now += 0.1
    await checked.accept()


async def test_all_who_ask_about_one_token_at_once_share_one_review() -> None:
    checked = Checked()
    await checked.hang()
    asking = [asyncio.create_task(checked.accept()) for _ in range(50)]
    await settle()
    checked.cluster.open.set()
    await asyncio.gather(*asking)
    assert checked.reviews == 1


async def test_whoever_stops_waiting_does_not_fail_the_others() -> None:
    checked = Checked()
    await checked.hang()
    first, *others = [asyncio.create_task(checked.accept()) for _ in range(5)]
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled()
    checked.cluster.open.set()
    await asyncio.gather(*others)
    assert checked.reviews == 1


async def test_a_review_nobody_waits_for_any_more_still_serves_the_next_who_asks() -> None:
    checked = Checked(REFUSED)
    await checked.hang()
    only = asyncio.create_task(checked.accept())
    await settle()
    only.cancel()
    await settle()
    checked.cluster.open.set()
    await settle()
    await checked.refuse()
    assert checked.reviews == 1


async def test_at_most_so_many_reviews_are_in_flight_and_no_token_is_lost() -> None:
    checked = Checked()
    await checked.hang()
    asking = [asyncio.create_task(checked.accept(token)) for token in tokens(100)]
    await settle()
    assert checked.cluster.in_flight == 16
    checked.cluster.open.set()
    await asyncio.gather(*asking)
    assert checked.reviews == 100
    assert checked.cluster.most_in_flight == 16


async def test_more_tokens_than_may_wait_are_refused_at_once() -> None:
    checked = Checked(reviews_in_flight=2, reviews_waiting=3)
    await checked.hang()
    *asking, late = tokens(6)
    waiting = [asyncio.create_task(checked.accept(token)) for token in asking]
    await settle()
    assert "too many others are being checked" in await checked.refuse(late)
    checked.cluster.open.set()
    await asyncio.gather(*waiting)
    await checked.accept(late)


async def test_what_is_remembered_is_bounded_and_the_least_used_goes_first() -> None:
    checked = Checked(proved_held=3)
    oldest, second, third, fourth = tokens(4)
    for token in (oldest, second, third):
        await checked.accept(token)
    await checked.accept(oldest)
    await checked.accept(fourth)
    assert checked.reviews == 4
    await checked.accept(oldest)
    assert checked.reviews == 4
    await checked.accept(second)
    assert checked.reviews == 5


async def test_refusals_remembered_are_bounded_too() -> None:
    checked = Checked(REFUSED, refused_held=2)
    first, *others = tokens(3)
    for token in (first, *others, first):
        await checked.refuse(token)
    assert checked.reviews == 4


async def test_a_clock_set_back_lets_no_old_word_count_for_longer() -> None:
    checked = Checked()
    await checked.accept()
    checked.clock.now -= 5
    await checked.accept()
    assert checked.reviews == 2


async def test_closing_gives_up_what_is_asked_of_the_cluster() -> None:
    checked = Checked()
    checked.cluster.open.clear()
    asking = [asyncio.create_task(checked.accept(token)) for token in tokens(3)]
    await settle()
    checked.authenticator.close()
    await asyncio.wait(asking)
    assert all(task.cancelled() for task in asking)
    assert checked.cluster.in_flight == 0


async def test_a_known_good_tokens_claims_stay_its_own() -> None:
    """Two tokens of two pods, whichever was cached: the digest of all of a token is the key."""
    checked = Checked(DOWN)
    checked.cluster.published = published(first=ec_key())
    pod = bound(pod={"name": "ztunnel-x9c5d", "uid": "other"})
    other = sign({**bound_payload(), "kubernetes.io": pod})
    await checked.accept()
    for _ in range(2):
        claims = await checked.authenticator.authenticate(other)
        assert claims == replace(CLAIMS, pod=claims.pod)
        assert (claims.pod.key, claims.pod.uid) == ("istio-system/ztunnel-x9c5d", "other")
        assert await checked.authenticator.authenticate(TOKEN) == CLAIMS
