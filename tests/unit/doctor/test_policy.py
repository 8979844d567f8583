"""A policy that is valid and hardly meant so: every doubt names the key, what was got, what to do, and the line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.doctor.policy import policy_warnings
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.ranges import range_of
from tests.builders import EXAMPLE

SUPERIOR = {"metric": "brier_score", "is": "superior"}
REGRESSION = {"task": "regression", "metrics": []}


def doubts(tmp_path: Path, *rules: dict[str, Any], policy: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    content = yaml.safe_load(EXAMPLE) | changes
    content["policy"] |= {"rules": list(rules) or [SUPERIOR], **(policy or {})}
    file = tmp_path / "flight_delay.yaml"
    file.write_text(yaml.safe_dump(content))
    return policy_warnings(load_deployment(file), file)


def about(tmp_path: Path, rule: dict[str, Any], **changes: Any) -> list[str]:
    """Return the doubts about a rule beside one that compares."""
    first = {"metric": "absolute_error", "is": "superior"} if "task" in changes else SUPERIOR
    return doubts(tmp_path, first, rule, **changes)


def test_a_usual_policy_raises_no_doubt(tmp_path: Path) -> None:
    file = tmp_path / "flight_delay.yaml"
    file.write_text(EXAMPLE)
    assert policy_warnings(load_deployment(file), file) == []
    assert doubts(tmp_path, policy={"alpha": 0.1, "burn_in": 14}) == []


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"alpha": 0.2}, "policy.alpha == 0.2, above 0.1: so many years promote"),
        ({"burn_in": 13}, "policy.burn_in == 13, below 14: the error rate does not hold on so few days; raise it"),
        ({"burn_in": 366}, "policy.burn_in == 366: the first verdict comes on day 366; lower it"),
        ({"burn_in": 365, "unit": "week"}, "policy.burn_in == 365: the first verdict comes on day 371"),
    ],
)
def test_error_rates_and_burn_ins_that_are_unusual_are_doubted(
    tmp_path: Path, policy: dict[str, Any], said: str
) -> None:
    (found,) = doubts(tmp_path, policy=policy)
    assert said in found
    ((key, value), *_) = policy.items()
    line = (tmp_path / "flight_delay.yaml").read_text().splitlines().index(f"  {key}: {value}") + 1
    assert found.endswith(f"flight_delay.yaml:{line})")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([SUPERIOR | {"role": "advisory"}], "nothing can pass"),
        ([{"metric": "brier_score", "is": "guardrail"}], "a challenger that is worse can pass"),
        ([{"metric": "brier_score", "is": "at_most", "value": 0.3}], "a challenger that is worse can pass"),
        (
            [{"metric": "latency_p95", "is": "at_most", "of": "change", "value": 5}],
            "a challenger that is worse can pass",
        ),
    ],
)
def test_a_policy_that_compares_nothing_is_doubted(tmp_path: Path, rules: list[dict[str, Any]], said: str) -> None:
    (found,) = doubts(tmp_path, *rules)
    assert "policy.rules has no blocking rule that compares with the champion" in found
    assert said in found


@pytest.mark.parametrize("rule", [
    SUPERIOR, {"metric": "brier_score", "is": "non_inferior", "margin": 0.01},
    {"metric": "roc_auc", "is": "at_least", "of": "change", "value": -0.01},
])  # fmt: skip
def test_a_rule_that_compares_is_enough(tmp_path: Path, rule: dict[str, Any]) -> None:
    assert doubts(tmp_path, rule, {"metric": "log_loss", "is": "guardrail"}) == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"is": "non_inferior", "margin": 1.0}, "margin == 1, holds whatever a challenger predicts: brier_score is"),
        ({"metric": "log_loss", "is": "non_inferior", "margin": 40.0}, "log_loss is from 0 to 36.05"),
        ({"metric": "accuracy", "is": "non_inferior", "relative_margin": 1.0}, "tolerates a accuracy of 0"),
        ({"metric": "error_rate", "is": "at_most", "value": 1.0}, "value == 1, always holds: error_rate is from 0 to"),
        ({"metric": "roc_auc", "is": "at_least", "value": 0.0}, "value == 0, always holds: roc_auc is from 0 to 1"),
        ({"metric": "roc_auc", "is": "at_least", "value": 1.5}, "value == 1.5, never holds"),
        ({"metric": "latency_p95", "is": "at_most", "value": -1.0}, "never holds: latency_p95 is from 0 to inf"),
        ({"is": "at_most", "of": "change", "value": 1.0}, "always holds: the change of brier_score is from -1 to 1"),
        ({"is": "at_least", "of": "relative_change", "value": -1.0}, "the relative change of brier_score is from -1"),
    ],
)  # fmt: skip
def test_bounds_beyond_what_a_metric_can_be_are_doubted(tmp_path: Path, rule: dict[str, Any], said: str) -> None:
    (found,) = about(tmp_path, {"metric": "brier_score", **rule})
    assert found.startswith("policy.rules[1].")
    assert said in found


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "brier_score", "is": "non_inferior", "margin": 0.99},
        {"metric": "brier_score", "is": "non_inferior", "relative_margin": 1.5},
        {"metric": "accuracy", "is": "non_inferior", "relative_margin": 0.99},
        {"metric": "error_rate", "is": "at_most", "value": 0.0},
        {"metric": "roc_auc", "is": "at_least", "value": 1.0},
        {"metric": "latency_p95", "is": "at_most", "value": 1e9},
        {"metric": "brier_score", "is": "at_most", "of": "relative_change", "value": 5.0},
    ],
)
def test_bounds_within_what_a_metric_can_be_are_not(tmp_path: Path, rule: dict[str, Any]) -> None:
    assert about(tmp_path, rule) == []


def test_a_regression_has_no_largest_error(tmp_path: Path) -> None:
    rule = {"metric": "squared_error", "is": "non_inferior", "margin": 1e9}
    assert about(tmp_path, rule, **REGRESSION) == []


@pytest.mark.parametrize("needed", [36_501, {"all": 36_501}])
def test_more_requests_than_a_year_has_are_doubted(tmp_path: Path, needed: Any) -> None:
    sample = yaml.safe_load(EXAMPLE)["sample"] | {"max_rows": 100}
    (found,) = doubts(tmp_path, SUPERIOR | {"minimum_requests": needed}, sample=sample)
    assert (
        "policy.rules[0].minimum_requests == 36501: a year of 100 requests a day (sample.max_rows) has fewer" in found
    )
    assert doubts(tmp_path, SUPERIOR | {"minimum_requests": 36_500}, sample=sample) == []


def test_a_rule_on_skew_without_two_sources_of_a_feature_is_doubted(tmp_path: Path) -> None:
    (found,) = about(tmp_path, {"metric": "feature_skew", "is": "at_most", "value": 0.01})
    assert "policy.rules[1].metric == 'feature_skew', is 0 whatever is served" in found


def test_every_metric_has_a_range() -> None:
    for metric in METRICS.values():
        for task in metric.tasks:
            lowest, highest = range_of(metric, task)
            assert lowest < highest
    assert range_of(METRICS["brier_score"], "multiclass") == (0, 2)
    assert range_of(METRICS["bias"], "regression") == (-float("inf"), float("inf"))
