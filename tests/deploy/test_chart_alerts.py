"""The alerts of the chart judge what the server measures."""

import re
from typing import Any

import pytest

from tests.helpers.helm import EVERYTHING, one, rendered
from tests.helpers.offmesh import ROOT
from xds_server.sessions.acknowledgement import Verdict

SUFFIXES = ("_total", "_bucket")


def alerts() -> list[dict[str, Any]]:
    (group,) = one(rendered(EVERYTHING), "PrometheusRule")["spec"]["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def measured() -> set[str]:
    """Return the names of metrics in the source."""
    source = "".join(path.read_text() for path in (ROOT / "xds_server" / "debug").glob("metrics*.py"))
    return set(re.findall(r'"(offmesh_[a-z_]+)"', source))


def test_every_alert_judges_metrics_that_there_are() -> None:
    judged = {name for alert in alerts() for name in re.findall(r"offmesh_[a-z_]+", alert["expr"])}
    assert {_family(name) for name in judged} <= measured()


def _family(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def test_every_metric_is_that_of_this_release() -> None:
    for alert in alerts():
        for labels in re.findall(r"offmesh_[a-z_]+(\{[^}]*\})?", alert["expr"]):
            assert 'namespace="istio-system",service="offmesh"' in labels, alert["alert"]


@pytest.mark.parametrize("alert", ["OffmeshRejectedByClients"])
def test_a_verdict_that_is_judged_is_one_of_the_server(alert: str) -> None:
    (rule,) = [rule for rule in alerts() if rule["alert"] == alert]
    assert f'verdict="{Verdict.REJECTED.value}"' in rule["expr"]


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")


def test_no_two_alerts_have_one_name() -> None:
    named = [rule["alert"] for rule in alerts()]
    assert len(named) == len(set(named))


def test_the_time_to_replace_an_issuer_is_a_value() -> None:
    (rule,) = [rule for rule in alerts() if rule["alert"] == "OffmeshIssuerExpires"]
    assert rule["expr"].endswith(f"< {3 * 86_400}")
    assert "3 days" in rule["annotations"]["summary"]
