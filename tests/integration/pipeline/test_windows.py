"""A day is the same whether one run samples it or a run an hour does: in order, late, twice, or killed in between."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.config.window import Window, days_between, window_at, windows_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.errors import DeploymentError, GateFailed, LedgerError
from shadow_deployment.ledger import snapshots
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import missing_days, run_day
from shadow_deployment.report.queries.pages import read_page
from tests.conftest import Invoke, declare
from tests.parquet import by_day, encoded, on_disk
from tests.production import OWNER, TRAINED_UNTIL, World, day, moment

DAYS = 2
NAMES = ("other", "a_a_check")
QUARTERS = "0 */6 * * *"
MISSING = "1 of 4 windows not sampled (2024-03-01 06:00 to 2024-03-01 12:00 UTC)"
REQUESTS = (
    "SELECT r.day, request_id, requested_at, inclusion_probability, champion, champion_version, champion_latency_ms, "
    "slices FROM shadow.request AS r JOIN shadow.cell USING (snapshot_id, cell) ORDER BY 1, 2"
)
TOTALS = (
    "SELECT day, window_start, window_end, population, rows, labelled, labels_until, champion_versions "
    "FROM shadow.labelled_snapshot ORDER BY 1"
)
VERDICTS = (
    "SELECT day, name, revision, outcome, reasons, warnings, days FROM shadow.verdict "
    "JOIN shadow.model_version AS m ON m.id = challenger_id ORDER BY 1, 2, 3"
)
DRAWN = (
    "SELECT request_id, requested_at, champion, inclusion_probability FROM shadow.request "
    "JOIN shadow.snapshot AS s ON s.id = snapshot_id WHERE s.design = %s ORDER BY 1"
)


@pytest.fixture(scope="module")
def daily(worlds: Callable[..., World]) -> World:
    """Some days, each as one window."""
    world = worlds()
    for number in range(DAYS):
        assert run_day(world.shadow(), day(number)) == []
    return world


@pytest.fixture(scope="module")
def hourly(worlds: Callable[..., World]) -> World:
    """The same days by the hour: the first by a run for each window, some late and some twice, then day by day."""
    world = worlds()
    shadow = world.shadow(schedule="@hourly")
    windows = windows_of(shadow.deployment, day(0))
    for window in [*windows[:5], windows[3], *windows[9:], *windows[5:9], windows[3]]:
        run_window(shadow, window)
    for number in range(1, DAYS):
        assert run_day(shadow, day(number)) == []
    return world


def run_window(shadow: DeploymentContext, window: Window) -> None:
    """Do what a run of the DAG does for one window."""
    sampled = steps.sample(shadow, window.day, [window])
    if sampled.is_complete:
        steps.validate_inputs(shadow, window.day)
    for task in steps.scoring_plan(shadow, window.day, sampled.own):
        steps.score(shadow, window.day, task["challenger"], task["shard"])
    if sampled.is_complete:
        for name in NAMES:
            steps.validate_predictions(shadow, window.day, name)
        for changed in steps.collect_labels(shadow, window.day):
            steps.compare(shadow, changed)
        for name in NAMES:
            steps.judge(shadow, window.day, name)


@pytest.mark.parametrize("statement", [REQUESTS, TOTALS, VERDICTS])
def test_24_windows_give_the_requests_totals_and_verdicts_of_one(statement: str, daily: World, hourly: World) -> None:
    assert hourly.query(statement) == daily.query(statement)


def test_24_windows_give_the_evidence_of_one(daily: World, hourly: World) -> None:
    pd.testing.assert_frame_equal(hourly.evidence(), daily.evidence(), rtol=1e-9)


def test_a_request_at_the_edge_of_two_windows_belongs_to_the_later_one(world: World) -> None:
    noon = moment(0.5)
    world.change_production("UPDATE flights.prediction_log SET predicted_at = %s WHERE request_id = 'f0003'", [noon])
    shadow = world.shadow(schedule="0 */12 * * *")
    for window in windows_of(shadow.deployment, day(0)):
        steps.sample(shadow, day(0), [window])
        ids = {name for (name,) in world.query("SELECT request_id FROM shadow.request")}
        assert ("f0003" in ids) == (window.start >= noon)
    assert len(ids) == 60


def test_versions_are_in_the_order_of_time_in_whichever_order_windows_come(world: World) -> None:
    later = "UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s AND predicted_at < %s"
    world.change_production(later, [moment(0.5), moment(1)])
    shadow = world.shadow(schedule="0 */12 * * *")
    for window in reversed(windows_of(shadow.deployment, day(0))):
        steps.sample(shadow, day(0), [window])
    assert world.query("SELECT champion_versions, numbered_versions FROM shadow.snapshot") == [(["7", "8"], ["8", "7"])]
    served = "SELECT champion_version, min(requested_at) >= %s, max(requested_at) < %s FROM shadow.request GROUP BY 1"
    assert sorted(world.query(served, [moment(0.5), moment(0.5)])) == [("7", False, True), ("8", True, False)]


@pytest.mark.parametrize("source", ["postgres", "parquet"])
def test_the_first_row_of_an_id_counts_once_a_day_though_the_others_are_in_later_windows(
    source: str, world: World
) -> None:
    world.change_production("ALTER TABLE flights.prediction_log DROP CONSTRAINT prediction_log_pkey")
    world.change_production(
        "INSERT INTO flights.prediction_log SELECT request_id, predicted_at + interval '7 hours', dep_hour, distance, "
        "origin, carrier, 0.5, 0.5, model_version, latency_ms FROM flights.prediction_log WHERE predicted_at < %s",
        [moment(1.5)],
    )
    logged = read_log(world)
    requests: dict[str, Any] = {"duplicates": "first"}
    if source == "parquet":
        for of_day, rows in by_day(logged, "predicted_at").items():
            on_disk(world.folder)(f"log/{of_day}.parquet", encoded(rows))
        requests |= {"conn_id": None, "table": f"parquet:{world.folder}/log/{{day}}.parquet"}
    drawn = []
    for schedule in ("@daily", QUARTERS):
        challengers = [{"name": "a_a_check", "model": "champion"}]
        shadow = world.shadow(requests=requests, challengers=challengers, schedule=schedule)
        for window in windows_of(shadow.deployment, day(1)):
            steps.sample(shadow, day(1), [window])
        drawn.append(world.query(DRAWN, [digest(design(shadow.deployment))]))
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == len({name for name, *_ in drawn[0]}) < by_day(logged, "predicted_at")[day(1)].num_rows


def read_log(world: World) -> pa.Table:
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        cursor = session.execute("SELECT * FROM flights.prediction_log")
        names = [column.name for column in cursor.description or ()]
        return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in cursor])


@pytest.fixture(scope="module")
def two_days(worlds: Callable[..., World]) -> World:
    """Two days by the quarter: the first lacks its second window, the second is complete."""
    world = worlds()
    shadow = world.shadow(schedule=QUARTERS)
    first, _, *later = windows_of(shadow.deployment, day(0))
    for window in [first, *later, *windows_of(shadow.deployment, day(1))]:
        run_window(shadow, window)
    return world


@pytest.fixture
def begun(two_days: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(two_days), monkeypatch)


def test_a_missing_window_keeps_its_day_out_of_evidence_until_it_is_run(begun: World, invoke: Invoke) -> None:
    shadow = begun.shadow(schedule=QUARTERS)
    assert begun.query("SELECT DISTINCT day FROM shadow.evidence") == [(day(1),)]
    left_out = (
        "SELECT days #> '{left_out,0}' FROM shadow.verdict JOIN shadow.model_version AS m ON m.id = challenger_id"
    )
    assert begun.query(f"{left_out} WHERE name = 'other'") == [({"day": str(day(0)), "why": "not complete"},)]
    with pytest.raises(LedgerError, match=re.escape(f"{day(0)} is not complete: {MISSING}")):
        steps.validate_inputs(shadow, day(0))
    assert missing_days(shadow) == ([day(0)], day(1))
    for command in (("status", "late"), ("status", "--all", "--json")):
        assert f"{day(0)} is not complete: {MISSING}" in " ".join(invoke(*command)[1].split())
    with shadow.ledger() as session:
        page = read_page(session, shadow.deployment)
        assert [item.detail for item in page.health if item.name == "Windows"] == [
            f"{day(0)} is not complete: {MISSING}; shadow run late --missing runs them"
        ]
    code, out, err = invoke("run", "late", "--missing")
    assert code == 0, err
    assert begun.query("SELECT DISTINCT day FROM shadow.evidence ORDER BY 1") == [(day(0),), (day(1),)]
    assert "missing" not in invoke("status", "late")[1]
    assert "left out" not in out


def test_the_gate_asks_of_each_run_for_its_windows_and_of_the_last_for_the_day(begun: World) -> None:
    shadow = begun.shadow(schedule=QUARTERS)
    windows = windows_of(shadow.deployment, day(0))
    assert steps.gate(shadow, day(0), windows=windows[:1]) == {}
    with pytest.raises(GateFailed, match=r"2024-03-01 06:00 to 2024-03-01 12:00 UTC was not sampled"):
        steps.gate(shadow, day(0), windows=windows[1:2])
    with pytest.raises(GateFailed, match=re.escape(f"{day(0)} is not complete: {MISSING}")):
        steps.gate(shadow, day(0), windows=windows[-1:])
    sampled = steps.sample(shadow, day(2), windows_of(shadow.deployment, day(2))[:1])
    assert not sampled.is_complete
    with pytest.raises(GateFailed, match="are not all scored by other, a_a_check: see the task score"):
        steps.gate(shadow, day(2), windows=windows_of(shadow.deployment, day(2))[:1])
    run_window(shadow, windows[1])
    assert set(steps.gate(shadow, day(0), windows=windows[1:2])) == set(NAMES)


def test_what_an_earlier_run_has_left_unscored_is_scored_by_the_next(begun: World) -> None:
    shadow = begun.shadow(schedule=QUARTERS)
    first, second, *_ = windows_of(shadow.deployment, day(2))
    left = steps.sample(shadow, day(2), [first])
    after = steps.sample(shadow, day(2), [second])
    assert not set(left.own) & set(after.own)
    planned = {task["shard"] for task in steps.scoring_plan(shadow, day(2), after.own)}
    assert planned == {*left.own, *after.own}
    for name in NAMES:
        for shard in left.own:
            steps.score(shadow, day(2), name, shard)
    assert {task["shard"] for task in steps.scoring_plan(shadow, day(2), after.own)} == set(after.own)


def test_killed_between_the_files_and_the_ledger_a_window_is_registered_by_the_next_try(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds()
    shadow = world.shadow(schedule=QUARTERS)
    first, second, *rest = windows_of(shadow.deployment, day(0))
    steps.sample(shadow, day(0), [first])
    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "register", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            steps.sample(shadow, day(0), [second])
    steps.sample(shadow, day(0), rest)
    assert steps.sample(shadow, day(0), [second]).is_complete
    assert world.query("SELECT rows, population FROM shadow.snapshot") == [(60, 60)]


def test_a_window_that_is_not_over_is_not_run_though_its_day_has_begun(worlds: Callable[..., World]) -> None:
    world = worlds()
    shadow = world.shadow(schedule="@hourly")
    next_hour = window_at(shadow.deployment, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    with pytest.raises(DeploymentError, match="must be over"):
        steps.sample(shadow, next_hour.day, [next_hour])
    assert world.query("SELECT FROM shadow.sampled_day") == []


WEEKLY = "0 0 * * 5"
STRETCHED = """
-- Eight days of requests are sixteen, and their labels as late as before.
UPDATE flights.outcome AS o SET known_at = o.known_at + (l.predicted_at - timestamptz '2024-03-01 00:00Z')
    FROM flights.prediction_log AS l WHERE l.request_id = o.request_id;
UPDATE flights.prediction_log SET predicted_at = predicted_at + (predicted_at - timestamptz '2024-03-01 00:00Z')
"""
JUDGING = {
    "unit": "week",
    "max_unanswered": 1.0,
    "max_champion_missing": 1.0,
    "replay": "count",
    "rules": [{"metric": "brier_score", "is": "superior"}, {"metric": "agreement", "is": "at_least", "value": 0.5}],
}


@pytest.fixture(scope="module")
def weekly(worlds: Callable[..., World]) -> World:
    """Two weeks as two windows, run from and to days inside them, with a production of its own."""
    world = worlds(own=True)
    world.change_production(STRETCHED)
    shadow = world.shadow(schedule=WEEKLY, policy=JUDGING, challengers=weekly_challengers(), start=day(-3))
    assert [run_day(shadow, one) for one in days_between(shadow.deployment, day(3), day(8))] == [[], []]
    return world


def weekly_challengers() -> list[dict[str, Any]]:
    other = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
    return [{**other, "trained_until": TRAINED_UNTIL}, {"name": "a_a_check", "model": "champion"}]


def test_a_week_is_one_day_of_the_ledger(weekly: World) -> None:
    rows = weekly.query("SELECT day, window_start, window_end FROM shadow.snapshot ORDER BY 1")
    assert rows == [(day(number), moment(number), moment(number + 7)) for number in (0, 7)]


def test_a_weekly_run_gives_the_evidence_and_the_verdict_of_seven_daily_ones(
    weekly: World, worlds: Callable[..., World]
) -> None:
    world = worlds(production=weekly.production)
    shadow = world.shadow(policy=JUDGING, challengers=weekly_challengers())
    for number in range(10):  # by then all labels of the first seven are there
        assert run_day(shadow, day(number)) == []
    sums = ["requests", "labelled", "pairs", "weight", "champion_sum", "challenger_sum", "difference_sum"]
    keys = ["challenger", "metric", "slice_column", "slice_value"]
    of_weeks, of_days = weekly.evidence(), world.evidence()
    summed = ["brier_score", "error_rate"]  # not log_loss, of which a missing prediction is charged the day's worst
    found = [
        each[each.metric.isin(summed) & (each.day < day(7))].groupby(keys)[sums].sum() for each in (of_weeks, of_days)
    ]
    assert len(found[0]) > 20
    pd.testing.assert_frame_equal(*found, rtol=1e-9)
    statement = "SELECT DISTINCT ON (challenger_id) findings, days FROM shadow.verdict ORDER BY challenger_id, day DESC"
    for (weeks, counted), (days, _) in zip(weekly.query(statement), world.query(statement), strict=True):
        assert (counted["counted"], counted["waiting"], counted["period"]) == (1, 1, "week")
        means = ("estimate", "champion", "challenger")
        assert [weeks[0][name] for name in means] == pytest.approx([days[0][name] for name in means], rel=1e-9)
        rest = dict.fromkeys(means)
        assert weeks[0] | rest == days[0] | rest  # of the sequence: the other rule is about the newest day or week


def test_commands_and_the_page_of_a_weekly_deployment_count_weeks(
    weekly: World, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    declare(weekly, monkeypatch)
    shown = {
        "run": ("run", "late", "--from", day(9)),  # inside the second week, which was run
        "inside": ("withdraw", "late", "--day", day(9), "--reason", "none"),
        "plan": ("plan", "late", "--effect", "0.01"),
        "preview": ("preview", "late"),
        "verify": ("verify", "late"),
        "report": ("report", "late", "--out", weekly.folder / "page.html"),
    }
    texts = {name: " ".join(" ".join(invoke(*command)[1:]).split()) for name, command in shown.items()}
    assert "late as of 2024-03-08 INCONCLUSIVE other 1 Collecting: week 1 of 8" in texts["run"]
    assert "rule slice outcome estimate interval weeks" in texts["run"]
    assert "warning 1 week of the evidence began before other was registered" in texts["run"]
    assert "day == 2024-03-10, must be the first day of a week, such as 2024-03-08" in texts["inside"]
    assert "1 week of evidence is too few, 2 are needed" in texts["plan"]
    assert "209 in the week from 2024-03-01" in texts["preview"]
    page = (weekly.folder / "page.html").read_text()
    assert "other 1 has 1 of the 8 weeks before the first interval against champion 7; 1 week more waits" in page
    assert "<dt>Weeks of evidence</dt><dd>1</dd>" in page
    assert "late: as it was written: chain, trials, 2 weeks, " in texts["verify"]
    of_days = r">day</|>Day|by day\b|\bone day\b|first days|\bday's (?:evidence|inputs)|\b[Nn]o day\b|\bevery day\b"
    assert set(re.findall(of_days, re.sub("<script>.*?</script>|<pre.*?</pre>", "", page, flags=re.DOTALL))) == set()
    assert "Labels by week" in page
