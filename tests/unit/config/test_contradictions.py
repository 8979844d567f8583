"""What contradicts itself in a deployment file is refused."""

import pytest

from shadow_deployment.metrics.catalog import metrics_of
from tests.builders import FILE
from tests.unit.config.mistakes import changed, line_of, problems_of

BINARY = ", ".join(metrics_of("binary"))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "metric: brier_score",
            "metric: brier",
            f"policy.rules[0].metric == 'brier', must be one of {BINARY}, did you mean brier_score?",
        ),
        (
            "metric: brier_score",
            "metric: squared_error",
            f"policy.rules[0].metric == 'squared_error', must be one of {BINARY}",
        ),
        (
            "is: superior",
            "is: superior, margin: 0.1",
            "policy.rules[0].margin == 0.1, belongs to non_inferior and equivalent only",
        ),
        (
            "is: superior",
            "is: superior, value: 1",
            "policy.rules[0].value == 1.0, belongs to at_most and at_least only",
        ),
        ("non_inferior, margin: 0.005", "non_inferior", "policy.rules[1].margin is missing"),
        ("at_most, value: 0.001", "at_most", "policy.rules[2].value is missing"),
        (
            "is: at_least, value: 0.8",
            "is: superior",
            "policy.rules[3].is == 'superior', must be at_most or at_least: the champion has no agreement of its own",
        ),
        (
            "slices: [origin]",
            "slices: [dest]",
            "policy.rules[1].slices == 'dest', must be one of the deployment's slices: origin, carrier",
        ),
        (
            "slices:   [origin, carrier]",
            "slices: [origin, origin]",
            "slices[1] == 'origin', duplicates slices[0]; remove one of them",
        ),
        (
            "name: a_a_check",
            "name: logged_elsewhere",
            "challengers[2].name == 'logged_elsewhere', duplicates challengers[1].name; remove one of them",
        ),
        (
            "slices:   [origin, carrier]",
            "slices: [origin, stratum]",
            "slices[1] == 'stratum', is a name that snapshots use; rename the column",
        ),
        (
            "slices:   [origin, carrier]",
            "slices: [origin, carrier, all]",
            "slices[2] == 'all', is a name that snapshots use; rename the column",
        ),
        (
            "strata: [origin]",
            "strata: [champion]",
            "sample.strata[0] == 'champion', is a name that snapshots use; rename the column",
        ),
        (
            "strata: [origin]",
            "rates: {JFK: 1.0}",
            "sample.rates needs sample.strata: it names a rate for each of their values",
        ),
        (
            "start: 2013-03-01",
            "end: 2013-02-28\nstart: 2013-03-01",
            "end == 2013-02-28, must not be before start == 2013-03-01",
        ),
        (
            "snapshots: file:///var/lib/shadow/snapshots}",
            "snapshots: snapshots, keep_days: 4}",
            "store.keep_days == 4, must be at least 5, 2 days more than labels.maturity_days",
        ),
        (
            "alpha: 0.05",
            "too_good: {auc: 0.97}",
            "policy.too_good.champion_auc == 0.98, must be below policy.too_good.auc == 0.97",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(old: str, new: str, problem: str) -> None:
    (line,) = problems_of(changed((old, new)))
    assert line == f"deployment flight_delay: {problem} ({FILE}:{line_of(old)})"
