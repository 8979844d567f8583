"""A day is the same whether one run samples it or a run an hour does: in order, late, twice, or killed in between."""

from collections.abc import Callable

import pandas as pd
import pytest

from shadow_deployment.config.window import Window, windows_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from tests.production import World, day

DAYS = 3


@pytest.fixture(scope="module")
def daily(worlds: Callable[..., World]) -> World:
    """Some days, each as one window."""
    world = worlds()
    for number in range(DAYS):
        assert run_day(world.shadow(), day(number)) == []
    return world


@pytest.fixture(scope="module")
def hourly(worlds: Callable[..., World]) -> World:
    """The same days by the hour, as the scheduler runs them: one window after the other, and late ones at the end."""
    world = worlds()
    shadow = world.shadow(schedule="@hourly")
    for number in range(DAYS):
        windows = windows_of(shadow.deployment, day(number))
        for window in [*windows[:5], *windows[9:], *windows[5:9]]:
            run_window(shadow, window)
    return world


def run_window(shadow: DeploymentContext, window: Window) -> None:
    """Do what a run of the DAG does for one window."""
    sampled = steps.sample(shadow, window.day, [window])
    if sampled.is_complete:
        steps.validate_inputs(shadow, window.day)
    for task in steps.scoring_plan(shadow, window.day, sampled.own):
        steps.score(shadow, window.day, task["challenger"], task["shard"])
    if not sampled.is_complete:
        return
    for challenger in shadow.deployment.challengers:
        steps.validate_predictions(shadow, window.day, challenger.name)
    for changed in steps.collect_labels(shadow, window.day):
        steps.compare(shadow, changed)
    for challenger in shadow.deployment.challengers:
        steps.judge(shadow, window.day, challenger.name)


def requests_of(world: World) -> list[tuple[object, ...]]:
    return world.query(
        "SELECT r.day, request_id, requested_at, inclusion_probability, champion, champion_version, slices "
        "FROM shadow.request AS r JOIN shadow.cell USING (snapshot_id, cell) ORDER BY 1, 2"
    )


def test_24_windows_give_the_evidence_of_one(daily: World, hourly: World) -> None:
    assert requests_of(hourly) == requests_of(daily)
    pd.testing.assert_frame_equal(hourly.evidence(), daily.evidence(), rtol=1e-9)
    totals = "SELECT day, window_start, window_end, population, rows, labelled, labels_until, champion_versions FROM shadow.labelled_snapshot ORDER BY day"
    assert hourly.query(totals) == daily.query(totals)


def test_24_windows_give_the_verdicts_of_one(daily: World, hourly: World) -> None:
    outcomes = "SELECT day, name, revision, outcome, reasons, days FROM shadow.verdict JOIN shadow.model_version AS m ON m.id = challenger_id ORDER BY 1, 2, 3"
    assert hourly.query(outcomes) == daily.query(outcomes)
