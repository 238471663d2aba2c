"""When the cluster cannot be asked: what was proved stays proved, all else is refused, nothing leaks."""

import asyncio
import logging
from typing import Any

import pytest

from tests.helpers.checked_tokens import DOWN, REFUSED, TOKEN, Checked, settle, tokens
from tests.helpers.tokens import (
    NOW,
    accepted,
    bound_payload,
    ec_key,
    published,
    sign,
)
from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.reviews import UndecidedError


async def test_while_the_api_server_is_down_a_known_good_token_works_until_it_expires() -> None:
    checked = Checked()
    token = sign(bound_payload(exp=int(NOW) + 300))
    await checked.accept(token)
    checked.cluster.status = DOWN
    while checked.clock.now < NOW + 299:
        checked.clock.now += 1
        await checked.accept(token)
    # One review a token every ten seconds is what trying costs.
    assert 20 <= checked.reviews <= 26
    checked.clock.now += 1
    assert "expired" in await checked.refuse(token)


async def test_an_unknown_token_is_refused_while_the_api_server_is_down_and_accepted_when_it_is_back() -> (
    None
):
    checked = Checked(DOWN)
    reason = await checked.refuse()
    assert (
        reason == "the token cannot be checked now: the Kubernetes API failed, and the server's log says how"
    )
    await checked.refuse()
    assert checked.reviews == 1
    checked.cluster.status = accepted()
    checked.clock.now += 1
    await checked.accept()


async def test_an_error_of_the_check_itself_can_be_told_from_a_bad_token() -> None:
    with pytest.raises(UndecidedError):
        await Checked(DOWN).authenticator.authenticate(TOKEN)


async def test_an_api_server_that_hangs_is_given_up_and_the_token_refused() -> None:
    checked = Checked(timeout_seconds=0.01)
    checked.cluster.open.clear()
    assert "did not answer within 0.01 s" in await checked.refuse()
    assert checked.cluster.in_flight == 0


async def test_a_known_good_token_outlives_an_api_server_that_hangs() -> None:
    checked = Checked(timeout_seconds=0.01)
    await checked.accept()
    checked.cluster.open.clear()
    checked.clock.now += 60
    await checked.accept()


async def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    checked = Checked(DOWN)
    checked.cluster.published = published(other=ec_key("other"))
    for token in tokens(20):
        await checked.refuse(token)
    checked.cluster.status = accepted()
    checked.clock.now += 1
    await checked.accept()
    await checked.accept(tokens(1)[0])
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [
        ("WARNING", f"tokens cannot be reviewed by the cluster: {DOWN}"),
        ("INFO", "tokens cannot be reviewed by the cluster: works again"),
    ]


async def test_neither_errors_nor_logs_nor_tracebacks_hold_a_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canaries: list[Any] = [accepted(), REFUSED, {"error": TOKEN}, accepted(username=TOKEN), DOWN]
    texts = [TOKEN, TOKEN + "\n", TOKEN + "é", TOKEN[:-4], f"{TOKEN}.{TOKEN}", sign(TOKEN), TOKEN * 20]
    texts += [
        sign(bound_payload(sub=TOKEN)),
        sign(bound_payload(iss=TOKEN)),
        sign(bound_payload(), kid=TOKEN),
    ]
    said: list[str] = []
    for status in canaries:
        for text in texts:
            checked = Checked(status)
            checked.cluster.published = published(other=ec_key("other"))
            try:
                await checked.authenticator.authenticate(text)
            except UnauthenticatedError as error:
                said.append(logging.Formatter().formatException((type(error), error, error.__traceback__)))
    assert len(said) > 40
    for part in TOKEN.split("."):
        assert part[:16] not in "\n".join([*said, caplog.text])


async def test_a_known_good_token_that_expires_while_the_cluster_is_asked_is_refused() -> None:
    checked = Checked()
    token = sign(bound_payload(exp=int(NOW) + 61))
    await checked.accept(token)
    checked.clock.now += 60
    checked.cluster.status = DOWN
    await checked.hang()
    asking = asyncio.create_task(checked.refuse(token))
    await settle()
    checked.clock.now += 1
    checked.cluster.open.set()
    assert "cannot be checked now" in await asking
