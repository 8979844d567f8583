"""Names that metrics have elsewhere lead to the metric that there is."""

import pytest

from shadow_deployment.errors import DeploymentError
from shadow_deployment.metrics.aliases import _NAMES, _WITHOUT, metric_instead, metric_meant
from shadow_deployment.metrics.catalog import METRICS
from tests.builders import a_deployment


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("mae", "absolute_error"), ("RMSE", "squared_error"), ("mean-squared-error", "squared_error"),
        ("AUC", "roc_auc"), ("logloss", "log_loss"), ("cross entropy", "log_loss"), ("brier", "brier_score"),
        ("acc", "accuracy"), ("ece", "calibration_error"), ("pr_auc", "average_precision"),
        ("psi", "population_stability_index"), ("r2_score", "r2"), ("mape", None), ("brier_score", None),
    ],
)  # fmt: skip
def test_an_alias_is_known_however_it_is_written(alias: str, name: str | None) -> None:
    assert metric_meant(alias) == name


def test_every_alias_names_a_metric_and_is_none() -> None:
    assert {*_NAMES.values(), *_WITHOUT.values()} <= set(METRICS)
    assert not (set(_NAMES) | set(_WITHOUT)) & set(METRICS)
    assert not set(_NAMES) & set(_WITHOUT)
    assert metric_instead("MAPE") == "absolute_error"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy": {"rules": [{"metric": "auc", "is": "superior"}]}}, "policy.rules[0].metric == 'auc', must be"),
        ({"metrics": ["auc"]}, "metrics[0] == 'auc', must be one of"),
    ],
)  # fmt: skip
def test_a_file_with_an_alias_says_which_metric_is_meant(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DeploymentError) as refused:
        a_deployment(**changes)
    assert said in str(refused.value)
    assert "did you mean roc_auc?" in str(refused.value)


def test_an_alias_of_another_tasks_metric_is_not_suggested_and_one_that_is_missing_names_another() -> None:
    rules = [{"metric": "mae", "is": "superior"}, {"metric": "mcc", "is": "superior"}]
    with pytest.raises(DeploymentError) as refused:
        a_deployment(policy={"rules": rules})
    text = str(refused.value)
    assert "did you mean absolute_error" not in text
    assert "; use accuracy in its place" in text
