"""The cluster's signing keys: asked for when a token needs them, but not because it says so."""

import asyncio

import pytest

from tests.helpers.checked_tokens import DOWN, REFUSED, Checked, settle, tokens
from tests.helpers.tokens import (
    AUDIENCE,
    NOW,
    bound_payload,
    ec_key,
    published,
    sign,
)
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.limits import TokenLimits


async def test_keys_are_asked_for_at_the_first_token_and_spare_the_review() -> None:
    checked = Checked(DOWN)
    checked.cluster.published = published(first=ec_key())
    await asyncio.gather(*(checked.accept(token) for token in tokens(9)))
    assert (checked.cluster.keys_asked, checked.reviews) == (1, 0)


async def test_invented_key_ids_do_not_hammer_the_api_server() -> None:
    checked = Checked(REFUSED)
    checked.cluster.published = published(first=ec_key())
    for number in range(100):
        await checked.refuse(sign(bound_payload(), kid=f"invented-{number}"))
        checked.clock.now += 0.2
    assert checked.cluster.keys_asked == 2


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 10.0), (0.5, 11.25), (0.999, 12.4975)])
async def test_the_pause_between_two_questions_for_keys_is_ten_seconds_and_up_to_a_quarter(
    jitter: float, pause: float
) -> None:
    checked = Checked(REFUSED)
    limits = TokenLimits(jitter=lambda: jitter, refused_seconds=0.0)
    checked.authenticator = TokenAuthenticator(
        AUDIENCE, clusters={"": checked.cluster}, clock=checked.clock, limits=limits
    )
    await checked.refuse()
    checked.clock.now += pause - 0.001
    await checked.refuse()
    assert checked.cluster.keys_asked == 1
    checked.clock.now += 0.001
    await checked.refuse()
    assert checked.cluster.keys_asked == 2


async def test_a_new_signing_key_of_the_cluster_is_found_by_its_first_token() -> None:
    checked = Checked(DOWN)
    checked.cluster.published = published(first=ec_key())
    await checked.accept()
    checked.cluster.published = published(first=ec_key(), second=ec_key("second"))
    checked.clock.now += 10
    await checked.accept(sign(bound_payload(), ec_key("second"), "second"))


async def test_a_signing_key_withdrawn_is_asked_about_when_the_keys_have_grown_old() -> None:
    checked = Checked(REFUSED)
    checked.cluster.published = published(first=ec_key())
    await checked.accept()
    checked.cluster.published = published(second=ec_key("second"))
    checked.clock.now += 299
    await checked.accept()
    assert checked.cluster.keys_asked == 1
    checked.clock.now += 60
    await checked.accept()
    await settle()
    assert checked.cluster.keys_asked == 2
    checked.clock.now += 60
    await checked.refuse()


async def test_old_keys_stay_in_use_while_the_new_ones_cannot_be_had_and_nobody_waits() -> None:
    checked = Checked(DOWN)
    checked.cluster.published = published(first=ec_key())
    token = sign(bound_payload(exp=int(NOW) + 9_000))
    await checked.accept(token)
    checked.cluster.open.clear()
    checked.clock.now += 8_000
    await checked.accept(token)
    await settle()
    assert checked.cluster.keys_asked == 2
    checked.authenticator.close()


async def test_keys_that_nobody_can_use_are_passed_over_for_a_review(
    caplog: pytest.LogCaptureFixture,
) -> None:
    checked = Checked()
    checked.cluster.published = published(first=ec_key())._replace(jwks={"keys": "none"})
    await checked.accept()
    assert checked.reviews == 1
    assert "it publishes no issuer or no usable key" in caplog.text
