"""Rules can be read as words and as their file spells them, and contradictions are named."""

from typing import Any

import pytest

from shadow_deployment.config.policy import Rule
from shadow_deployment.config.validators import rule_problems
from tests.builders import a_deployment
from tests.unit.decision.paired import BOUNDED, DAILY, GUARDRAIL, NON_INFERIOR, RELATIVELY, SUPERIOR, WITH_MARGIN_ONLY


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RELATIVELY, "Brier score is not worse by 0.1 of its value or more"),
        (GUARDRAIL, "Brier score is not shown to be worse"),
        (BOUNDED[1], "change of Brier score is at most 0.02"),
        (BOUNDED[5], "relative change of Brier score is at least -0.1"),
        (
            DAILY[0] | {"slices": ["origin"]},
            "Brier score is at most 0.3, on 2 of the last 3 days, overall and in every origin",
        ),
    ],
)
def test_each_kind_of_rule_can_be_read_as_words(rule: dict[str, Any], words: str) -> None:
    assert str(Rule.model_validate(rule)) == words


@pytest.mark.parametrize(
    ("rule", "key", "problem"),
    [
        ({"is": "non_inferior"}, "margin", "is missing"),
        ({"is": "equivalent"}, "margin", "is missing"),
        (
            {"is": "guardrail", "worst_day": 1.0},
            "worst_day",
            "== 1.0, belongs to superior, non_inferior, equivalent only",
        ),
        ({"is": "non_inferior", "margin": 0.1, "relative_margin": 0.1}, "margin", "== 0.1, excludes relative_margin"),
        (
            {"is": "superior", "relative_margin": 0.1},
            "relative_margin",
            f"== 0.1, {WITH_MARGIN_ONLY}",
        ),
        ({"is": "guardrail", "margin": 0.1}, "margin", f"== 0.1, {WITH_MARGIN_ONLY}"),
        ({"is": "guardrail", "value": 0.1}, "value", "== 0.1, belongs to at_most and at_least only"),
        ({"is": "superior", "of": "change"}, "of", "== 'change', belongs to at_most and at_least only"),
        ({"is": "superior", "last": {"hold": 1, "of": 2}}, "last", "belongs to at_most and at_least only"),
        (
            {"is": "at_most", "value": 1.0, "last": {"hold": 3, "of": 2}},
            "last",
            "== hold 3 of 2: hold must not exceed of",
        ),
        ({"is": "at_most", "of": "change"}, "value", "is missing"),
        ({"metric": "agreement", "is": "guardrail"}, "is", "== 'guardrail', must be at_most or at_least"),
        (
            {"metric": "agreement", "is": "at_least", "of": "change", "value": 0.0},
            "of",
            "== 'change', must be value: the champion has no agreement of its own",
        ),
        ({"is": "superior", "slices": ["dest"]}, "slices", "== 'dest', must be one of the deployment's slices: origin"),
    ],
)
def test_a_rule_that_contradicts_itself_is_named_with_what_is_wrong(
    rule: dict[str, Any], key: str, problem: str
) -> None:
    (found,) = rule_problems(Rule.model_validate({"metric": "brier_score"} | rule), a_deployment())
    assert found[0] == key
    assert found[1].startswith(problem)


@pytest.mark.parametrize(
    ("rule", "unit", "method", "problem"),
    [
        (SUPERIOR, "request", "robust", None),
        (NON_INFERIOR, "request", "robust", None),
        (DAILY[0], "request", "robust", None),
        (RELATIVELY, "request", "robust", "is"),
        (BOUNDED[0], "request", "robust", "is"),
        ({"metric": "roc_auc", "is": "superior"}, "request", "robust", "is"),
        (SUPERIOR, "day", "betting", None),
        ({"metric": "log_loss", "is": "superior"}, "day", "betting", "metric"),
        ({"metric": "log_loss", "is": "at_most", "value": 1.0, "last": {"hold": 1, "of": 1}}, "day", "betting", None),
    ],
)
def test_a_unit_or_method_that_cannot_judge_a_rule_is_refused(
    rule: dict[str, Any], unit: str, method: str, problem: str | None
) -> None:
    usable = {"rules": [{"metric": "brier_score", "is": "superior"}], "unit": unit, "method": method}
    usable |= {"weighting": "day"} if method == "betting" else {}
    found = list(rule_problems(Rule.model_validate(rule), a_deployment(policy=usable)))
    assert [key for key, _ in found] == ([] if problem is None else [problem])
