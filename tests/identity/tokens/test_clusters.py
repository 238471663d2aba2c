"""
Tokens of two clusters: a token is of the one that signed it, or of the one that confirms it.

Both have the default issuer, so nothing but the proof tells them apart.
"""

import asyncio
import itertools
import logging
from typing import Any

import pytest

from tests.helpers.checked_tokens import DOWN, REFUSED, settle
from tests.helpers.tokens import (
    AUDIENCE,
    CLAIMS,
    NOW,
    Clock,
    ScriptedCluster,
    accepted,
    bound_payload,
    ec_key,
    published,
    sign,
)
from xds_server.exceptions import ClusterError, UnauthenticatedError
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.cluster_keys import PublishedKeys
from xds_server.identity.tokens.limits import TokenLimits
from xds_server.identity.tokens.reviews import UndecidedError

FIRST, DPU = "", "dpu"
YES, NO, AWAY = accepted(), REFUSED, DOWN
UNKNOWN_KEY = sign(bound_payload(), ec_key("unpublished"), "unpublished")


class TwoClusters:
    """Two scripted clusters; neither publishes keys at first."""

    def __init__(self, first: Any = NO, dpu: Any = NO, **limits: Any) -> None:
        self.clock = Clock()
        self.first, self.dpu = ScriptedCluster(first), ScriptedCluster(dpu)
        self.authenticator = TokenAuthenticator(
            AUDIENCE,
            clusters={FIRST: self.first, DPU: self.dpu},
            clock=self.clock,
            limits=TokenLimits(jitter=lambda: 0.0, **limits),
        )

    def publish(self, first: PublishedKeys | None = None, dpu: PublishedKeys | None = None) -> None:
        away = ClusterError("GET /openid/v1/jwks: away")
        self.first.published, self.dpu.published = first or away, dpu or away

    @property
    def reviews(self) -> tuple[int, int]:
        return len(self.first.reviewed), len(self.dpu.reviewed)

    async def cluster_of(self, token: str = UNKNOWN_KEY) -> str:
        claims = await self.authenticator.authenticate(token)
        assert (claims.pod.key, claims.pod.uid) == (CLAIMS.pod.key, CLAIMS.pod.uid)
        return claims.pod.cluster

    async def refuse(self, token: str = UNKNOWN_KEY) -> UnauthenticatedError:
        with pytest.raises(UnauthenticatedError) as caught:
            await self.authenticator.authenticate(token)
        return caught.value


class TestSignatures:
    async def test_a_token_is_of_the_cluster_whose_key_verifies_it(self) -> None:
        checked = TwoClusters()
        checked.publish(published(a=ec_key("a")), published(b=ec_key("b")))
        assert await checked.cluster_of(sign(bound_payload(), ec_key("a"), "a")) == FIRST
        assert await checked.cluster_of(sign(bound_payload(), ec_key("b"), "b")) == DPU
        assert checked.reviews == (0, 0)

    async def test_a_key_id_alone_proves_nothing(self) -> None:
        """Both publish a key of the same name: it is the signature that counts."""
        checked = TwoClusters()
        checked.publish(published(same=ec_key("a")), published(same=ec_key("b")))
        assert await checked.cluster_of(sign(bound_payload(), ec_key("a"), "same")) == FIRST
        assert await checked.cluster_of(sign(bound_payload(), ec_key("b"), "same")) == DPU
        refusal = await checked.refuse(sign(bound_payload(), ec_key("c"), "same"))
        assert "signature is not its signing key's" in str(refusal)
        assert checked.reviews == (0, 0)

    @pytest.mark.parametrize("forger", ["a", "b"])
    async def test_a_name_of_the_other_issuer_does_not_help_a_forger(self, forger: str) -> None:
        """Each cluster signs with its key what claims to be of the other's issuer."""
        checked = TwoClusters(NO, NO)
        checked.publish(
            PublishedKeys(published(a=ec_key("a")).jwks, "https://first.example"),
            PublishedKeys(published(b=ec_key("b")).jwks, "https://dpu.example"),
        )
        issuer = {"a": "https://dpu.example", "b": "https://first.example"}[forger]
        await checked.refuse(sign(bound_payload(issuer), ec_key(forger), forger))

    async def test_what_no_key_at_hand_verifies_is_asked_of_the_cluster_that_may_have_others(self) -> None:
        """The first publishes a key of that name that did not sign; the other's keys are not known."""
        checked = TwoClusters(YES, YES)
        checked.publish(published(same=ec_key("a")))
        assert await checked.cluster_of(sign(bound_payload(), ec_key("b"), "same")) == DPU
        assert checked.reviews == (0, 1)

    async def test_where_two_clusters_sign_with_one_key_they_are_asked(self) -> None:
        checked = TwoClusters(NO, YES)
        checked.publish(published(shared=ec_key("s")), published(shared=ec_key("s")))
        assert await checked.cluster_of(sign(bound_payload(), ec_key("s"), "shared")) == DPU
        assert checked.reviews == (1, 1)

    async def test_keys_at_hand_are_enough_though_the_other_cluster_hangs(self) -> None:
        checked = TwoClusters()
        checked.publish(published(a=ec_key("a")), published(b=ec_key("b")))
        await checked.cluster_of(sign(bound_payload(), ec_key("a"), "a"))
        checked.dpu.open.clear()
        checked.clock.now += 3_000
        async with asyncio.timeout(30):
            assert await checked.cluster_of(sign(bound_payload(jti="b"), ec_key("b"), "b")) == DPU
            assert await checked.cluster_of(sign(bound_payload(jti="a"), ec_key("a"), "a")) == FIRST
        checked.authenticator.close()

    async def test_claims_are_checked_whichever_key_signed(self) -> None:
        checked = TwoClusters(YES, YES)
        checked.publish(published(a=ec_key("a")), published(b=ec_key("b")))
        for key in ("a", "b"):
            late = sign(bound_payload(exp=int(NOW)), ec_key(key), key)
            assert "expired" in str(await checked.refuse(late))
        assert checked.reviews == (0, 0)


ANSWERS: dict[str, Any] = {"yes": YES, "no": NO, "away": AWAY}
DECISIONS: dict[tuple[str, str], str] = {
    ("yes", "no"): FIRST,
    ("no", "yes"): DPU,
    ("yes", "away"): FIRST,
    ("away", "yes"): DPU,
    ("yes", "yes"): "two clusters accept the token",
    ("no", "no"): "the cluster does not accept the token",
    ("no", "away"): "the token cannot be checked now",
    ("away", "no"): "the token cannot be checked now",
    ("away", "away"): "the token cannot be checked now",
}


class TestReviews:
    @pytest.mark.parametrize(("answers", "decision"), DECISIONS.items())
    async def test_one_yes_and_only_one_decides(self, answers: tuple[str, str], decision: str) -> None:
        checked = TwoClusters(*(ANSWERS[answer] for answer in answers))
        if decision in (FIRST, DPU):
            assert await checked.cluster_of() == decision
        else:
            refusal = await checked.refuse()
            assert str(refusal).startswith(decision)
            assert isinstance(refusal, UndecidedError) is ("now" in decision)
        assert checked.reviews == (1, 1)

    @pytest.mark.parametrize("answers", DECISIONS)
    async def test_no_answer_makes_a_token_trouble_a_cluster_again_at_once(
        self, answers: tuple[str, str]
    ) -> None:
        checked = TwoClusters(*(ANSWERS[answer] for answer in answers))
        for _ in range(5):
            await asyncio.gather(
                *(checked.authenticator.authenticate(UNKNOWN_KEY) for _ in range(5)), return_exceptions=True
            )
        assert checked.reviews == (1, 1)

    async def test_what_two_have_accepted_is_decided_anew_after_a_while(self) -> None:
        checked = TwoClusters(YES, YES)
        await checked.refuse()
        checked.first.status = NO
        checked.clock.now += 9.9
        assert "two clusters" in str(await checked.refuse())
        checked.clock.now += 0.1
        assert await checked.cluster_of() == DPU

    async def test_a_yes_for_another_pod_is_none(self) -> None:
        other = accepted(username="system:serviceaccount:istio-system:other")
        checked = TwoClusters(other, YES)
        assert await checked.cluster_of() == DPU
        refusal = await TwoClusters(other, NO).refuse()
        assert "contradicts the cluster" in str(refusal)
        assert "does not accept" in str(refusal)

    async def test_a_cluster_that_names_another_issuer_is_not_shown_the_token(self) -> None:
        """Whoever sees a token could use it."""
        checked = TwoClusters(YES, YES)
        foreign = PublishedKeys(published(a=ec_key("a")).jwks, "https://first.example")
        checked.publish(foreign)
        assert await checked.cluster_of() == DPU
        assert checked.reviews == (0, 1)
        checked.publish(foreign, PublishedKeys(published(b=ec_key("b")).jwks, "https://dpu.example"))
        checked.clock.now += 60
        assert await checked.cluster_of() == DPU
        assert "two clusters" in str(await checked.refuse(sign(bound_payload(jti="2"), kid="gone")))

    async def test_one_that_hangs_makes_the_other_wait_no_longer_than_a_review_may_take(self) -> None:
        checked = TwoClusters(YES, YES, timeout_seconds=0.01)
        await checked.refuse(sign(bound_payload(aud="api")))
        checked.first.open.clear()
        assert await checked.cluster_of() == DPU
        assert checked.first.in_flight == 0

    async def test_nothing_is_left_when_all_is_given_up(self) -> None:
        checked = TwoClusters()
        await checked.refuse(sign(bound_payload(aud="api")))
        checked.first.open.clear()
        checked.dpu.open.clear()
        asking = [asyncio.create_task(checked.cluster_of()) for _ in range(3)]
        await settle()
        assert (checked.first.in_flight, checked.dpu.in_flight) == (1, 1)
        checked.authenticator.close()
        await asyncio.wait(asking)
        await settle()
        assert all(task.cancelled() for task in asking)
        assert (checked.first.in_flight, checked.dpu.in_flight) == (0, 0)


class TestProvedBefore:
    async def test_only_the_cluster_it_is_of_is_asked_again(self) -> None:
        checked = TwoClusters(NO, YES)
        await checked.cluster_of()
        checked.clock.now += 60
        assert await checked.cluster_of() == DPU
        assert checked.reviews == (1, 2)

    async def test_while_that_is_away_it_stays_proved_whatever_the_other_would_say(self) -> None:
        checked = TwoClusters(NO, YES)
        await checked.cluster_of()
        checked.first.status, checked.dpu.status = YES, AWAY
        checked.clock.now += 60
        assert await checked.cluster_of() == DPU
        assert checked.reviews == (1, 2)

    async def test_its_no_ends_the_proof_though_the_other_is_away(self) -> None:
        checked = TwoClusters(NO, YES)
        await checked.cluster_of()
        checked.first.status, checked.dpu.status = AWAY, NO
        checked.clock.now += 60
        assert not isinstance(await checked.refuse(), UndecidedError)
        checked.dpu.status = AWAY
        checked.clock.now += 10
        assert isinstance(await checked.refuse(), UndecidedError)

    async def test_a_token_never_passes_from_one_cluster_to_the_other_while_it_is_proved(self) -> None:
        """Whatever the clusters say from minute to minute, a change of sides needs a refusal between."""
        for script in itertools.product(DECISIONS, repeat=3):
            checked = TwoClusters()
            last: str | None = None
            for first, dpu in script:
                checked.first.status, checked.dpu.status = ANSWERS[first], ANSWERS[dpu]
                checked.clock.now += 61
                try:
                    cluster = await checked.cluster_of()
                except UnauthenticatedError:
                    last = None
                    continue
                assert last in (None, cluster)
                if last is None:
                    assert DECISIONS[first, dpu] == cluster
                last = cluster


async def test_an_outage_names_its_cluster(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await TwoClusters(AWAY, AWAY).refuse()
    said = {record.getMessage().partition(":")[0] for record in caplog.records}
    assert said == {
        f"{what} {where}"
        for what in ("signing keys cannot be read from", "tokens cannot be reviewed by")
        for where in ("the cluster", "the DPU cluster")
    }
