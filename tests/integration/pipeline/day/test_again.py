"""Days that are run again, in another order or after labels came late end with the same evidence."""

import datetime as dt
import shutil
from collections.abc import Callable

import pytest

from shadow_deployment.pipeline import steps
from tests.integration.pipeline.day.worked_out import LENIENT, OTHER, RUN, SALT, log_of, run, settings, verdict_of
from tests.production import MATURITY, World, day, moment


def test_running_all_days_again_changes_no_row_and_no_file(whole: World) -> None:
    """Not even a time of writing."""
    written = {path: path.stat().st_mtime_ns for path in whole.snapshots.rglob("*")}
    before = whole.dump()
    run(whole, range(RUN))
    assert whole.dump() == before
    assert {path: path.stat().st_mtime_ns for path in whole.snapshots.rglob("*")} == written


def test_drawing_twice_gives_the_same_snapshot_whatever_the_order_of_the_rows(
    worlds: Callable[..., World], whole: World
) -> None:
    reordered = worlds(whole, own=True)
    shutil.rmtree(reordered.snapshots)
    reordered.change_production(
        "CREATE TABLE flights.again AS TABLE flights.prediction_log; TRUNCATE flights.prediction_log;"
        "INSERT INTO flights.prediction_log SELECT * FROM flights.again ORDER BY distance DESC"
    )
    shadow = reordered.shadow(**settings(reordered))
    with pytest.raises(Exception, match="is missing: it was registered"):
        steps.sample(shadow, day(0))
    fresh = worlds(production=reordered.production)
    shadow = fresh.shadow(**settings(fresh))
    first = steps.sample(shadow, day(0))
    before = fresh.dump()
    assert steps.sample(shadow, day(0)) == first
    assert fresh.dump() == before
    select = "SELECT digest, rows, population FROM shadow.snapshot WHERE day = %s"
    assert fresh.query(select, [day(0)]) == whole.query(select, [day(0)])


def test_a_smaller_rate_draws_a_part_of_what_a_larger_one_draws(worlds: Callable[..., World], whole: World) -> None:
    drawn_ids = []
    for rate in (0.3, 0.6):
        world = worlds()
        steps.sample(world.shadow(sample={"rate": rate, "salt": SALT}), day(0))
        drawn_ids.append({key for (key,) in world.query("SELECT request_id FROM shadow.request")})
    assert drawn_ids[0] < drawn_ids[1]


def test_a_late_label_changes_the_day_that_it_belongs_to_and_no_other(changed: World) -> None:
    run(changed, [RUN])
    target = changed.query(
        "SELECT request_id FROM shadow.request LEFT JOIN shadow.label USING (day, snapshot_id, ordinal) "
        "WHERE day = %s AND value IS NULL ORDER BY 1 LIMIT 2",
        [day(3)],
    )
    changed.change_production("DELETE FROM flights.outcome WHERE known_at > %s", [moment(RUN + 1)])
    for (key,) in target:
        changed.change_production(
            "INSERT INTO flights.outcome VALUES (%s, 1, %s)", [key, moment(RUN + 1) + dt.timedelta(hours=1)]
        )
    select = "SELECT day, e::text FROM shadow.evidence AS e ORDER BY 1, 2"
    before, labels = changed.query(select), changed.content()["label"]
    changed.change_production("DELETE FROM flights.prediction_log WHERE predicted_at >= %s", [moment(RUN + 1)])
    shadow = changed.shadow(**settings(changed))
    steps.sample(shadow, day(RUN + 1))
    assert steps.collect_labels(shadow, day(RUN + 1)) == [day(3)]
    assert changed.query(select) == before, "evidence changes in compare, not before"
    steps.compare(shadow, day(3))
    after = changed.query(select)
    assert [row for row in after if row[0] != day(3)] == [row for row in before if row[0] != day(3)]
    assert not {row for row in after if row[0] == day(3)} & {
        row for row in before if row[0] == day(3) and ",all,," in row[1]
    }
    assert len(changed.content()["label"]) == len(labels) + len(target)
    assert set(labels) < set(changed.content()["label"])
    assert steps.collect_labels(shadow, day(RUN + 1)) == []


def test_a_label_after_maturity_never_counts(changed: World) -> None:
    before = changed.query("SELECT * FROM shadow.label WHERE day = %s", [day(0)])
    changed.change_production(
        "INSERT INTO flights.outcome SELECT request_id, 1, %s FROM flights.prediction_log AS l "
        "WHERE NOT EXISTS (SELECT FROM flights.outcome AS o WHERE o.request_id = l.request_id)",
        [moment(1 + MATURITY) + dt.timedelta(seconds=1)],
    )
    run(changed, [RUN])
    assert changed.query("SELECT * FROM shadow.label WHERE day = %s", [day(0)]) == before


def test_a_contradicting_label_is_marked_and_shown_and_never_overwrites(changed: World) -> None:
    ((key, ordinal, value, known_at),) = changed.query(
        "SELECT request_id, ordinal, value, known_at FROM shadow.label "
        "JOIN shadow.request USING (day, snapshot_id, ordinal) WHERE day = %s ORDER BY ordinal LIMIT 1",
        [day(3)],
    )
    select = "SELECT value, known_at, conflict, conflict_at FROM shadow.label WHERE day = %s AND ordinal = %s"
    changed.change_production("DELETE FROM flights.outcome WHERE known_at > %s", [moment(RUN)])
    labelled = "SELECT labelled, contradicted FROM shadow.labelled_snapshot WHERE day = %s"
    ((before, none),) = changed.query(labelled, [day(3)])
    for hours, label in ((1, 1 - value), (2, value)):
        changed.change_production(
            "INSERT INTO flights.outcome VALUES (%s, %s, %s)", [key, label, moment(RUN) + dt.timedelta(hours=hours)]
        )
    run(changed, [RUN])
    assert changed.query(select, [day(3), ordinal]) == [
        (value, known_at, 1 - value, moment(RUN) + dt.timedelta(hours=1))
    ]
    assert none == 0
    assert changed.query(labelled, [day(3)]) == [(before - 1, 1)]
    row = changed.evidence().query("challenger == 'same' and slice_column == 'all' and metric == 'brier_score'")
    assert int(row[row.day == day(3)].labelled.iloc[0]) == before - 1
    lenient = verdict_of(changed, "other", RUN, policy=LENIENT)
    assert lenient.outcome == "INCONCLUSIVE"
    assert any("1 requests have contradictory labels in flights.outcome" in reason for reason in lenient.reasons)
    assert verdict_of(changed, "other", RUN - 1, policy=LENIENT).outcome == "PASS", "nobody knew of it then"


def test_two_labels_at_once_that_contradict_each_other_count_for_nothing(world: World) -> None:
    rows = log_of(world).query("predicted_at < @moment(1)").request_id.head(2).tolist()
    world.change_production("DELETE FROM flights.outcome")
    for key, label in ((rows[0], 0), (rows[0], 1), (rows[1], 1), (rows[1], 1)):
        world.change_production("INSERT INTO flights.outcome VALUES (%s, %s, %s)", [key, label, moment(0.9)])
    run(world, [0], challengers=[OTHER], sample={"rate": 1.0})
    labels = world.query(
        "SELECT request_id, value, conflict FROM shadow.label JOIN shadow.request USING (day, snapshot_id, ordinal) "
        "ORDER BY 1"
    )
    assert labels == [(rows[0], 0.0, 1.0), (rows[1], 1.0, None)]
    assert world.query("SELECT labelled, contradicted FROM shadow.labelled_snapshot") == [(1, 1)]
    assert set(world.evidence().query("slice_column == 'all' and metric == 'brier_score'").labelled) == {1}


def test_days_in_any_order_end_with_the_same_evidence_labels_and_verdict(
    worlds: Callable[..., World], whole: World
) -> None:
    shuffled = worlds()
    shutil.copy(whole.folder / "linear.onnx", shuffled.folder)
    run(shuffled, [3, 0, 4, 2, 1, 4])
    assert shuffled.content() == whole.content()
    last = [row[3:] for row in shuffled.verdicts() if row[0] == day(4)]
    newest = {tuple(row[:2]): row[3:] for row in shuffled.verdicts()}
    assert last
    assert {key: newest[key] for key in newest if key[0] == day(4)} == {
        tuple(row[:2]): row[3:] for row in whole.verdicts() if row[0] == day(4)
    }


def test_evidence_waits_for_whole_predictions(continued: World) -> None:
    shadow = continued.shadow(**settings(continued))
    steps.sample(shadow, day(RUN))
    steps.validate_inputs(shadow, day(RUN))
    steps.score(shadow, day(RUN), "linear", 0)
    assert day(RUN) not in steps.collect_labels(shadow, day(RUN))
    assert steps.compare(shadow, day(RUN)) == 0
    assert day(RUN) not in set(continued.evidence().day)
    verdict = steps.judge(shadow, day(RUN), "linear").verdict
    assert f"the predictions of linear for {day(RUN)} are incomplete" in verdict.reasons
