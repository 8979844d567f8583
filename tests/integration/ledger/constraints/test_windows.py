"""The database refuses windows, shards, evidence and verdicts that cannot be, and that history is changed."""

import datetime as dt
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from shadow_deployment.decision.series import MISSING
from shadow_deployment.metrics.sums import FIELDS
from tests.integration.ledger.constraints.inserting import ROWS, again, answer, ask


def check_as_at_commit(session: "psycopg.Connection[Any]") -> None:
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")


def another_window(session: "psycopg.Connection[Any]", **changes: Any) -> int | None:
    """Insert the window of another day; return the day's key."""
    snapshot = again(session, "sampled_day", design="another")
    again(session, "sampled_window", snapshot_id=snapshot, **changes)
    return snapshot


@pytest.mark.parametrize(("found", "firsts"), [(0, []), (1, [0]), (1, [0, 2])])
def test_a_window_with_fewer_requests_than_its_rows_is_refused_at_commit(
    session: "psycopg.Connection[Any]", found: int, firsts: list[int]
) -> None:
    snapshot = another_window(session, rows=2)
    for first in firsts:
        ask(session, first, [0.5], snapshot_id=snapshot)
    with pytest.raises(errors.IntegrityConstraintViolation, match=f"has {found} requests, must have 2"):
        session.commit()


def test_a_window_with_all_its_requests_is_accepted(session: "psycopg.Connection[Any]") -> None:
    snapshot = another_window(session, rows=2)
    for ordinal in range(2):
        ask(session, ordinal, [0.5], snapshot_id=snapshot)
    check_as_at_commit(session)


def test_a_shard_with_fewer_predictions_than_its_rows_is_refused_at_commit(session: "psycopg.Connection[Any]") -> None:
    again(session, "scoring", shard=1, first_ordinal=ROWS, rows=2, errors=0)
    answer(session, ROWS, [0.5])
    with pytest.raises(errors.IntegrityConstraintViolation, match="has 1 predictions, must have 2"):
        session.commit()


def test_a_shard_with_all_its_predictions_is_accepted(session: "psycopg.Connection[Any]") -> None:
    again(session, "scoring", shard=1, first_ordinal=ROWS, rows=2, errors=0)
    for ordinal in (ROWS, ROWS + 1):
        answer(session, ordinal, [0.5])
    check_as_at_commit(session)


def test_predictions_beside_a_shard_do_not_make_it_whole(session: "psycopg.Connection[Any]") -> None:
    again(session, "scoring", shard=1, first_ordinal=ROWS, rows=2, errors=0)
    for ordinal in (ROWS - 1, ROWS + 1):
        answer(session, ordinal, [0.5, 0.5])
    with pytest.raises(errors.IntegrityConstraintViolation, match="has 0 predictions, must have 2"):
        check_as_at_commit(session)


@pytest.mark.parametrize("changes", [{"rows": 0}, {"errors": ROWS + 1}, {"errors": -1}])
def test_a_shard_has_rows_and_no_more_errors_than_rows(
    session: "psycopg.Connection[Any]", changes: dict[str, int]
) -> None:
    with pytest.raises(errors.CheckViolation):
        again(session, "scoring", shard=1, **changes)


@pytest.mark.parametrize("name", ["labelled", "contradicted", "invalid", "early", "arrival"])
def test_no_collection_counts_less_than_nothing(session: "psycopg.Connection[Any]", name: str) -> None:
    with pytest.raises(errors.CheckViolation):
        again(session, "label_collection", collection=2, **{name: -1})


@pytest.mark.parametrize("changes", [{"rows": ROWS + 1}, {"rows": -1}])
def test_a_window_has_no_more_rows_than_there_were_requests(
    session: "psycopg.Connection[Any]", changes: dict[str, int]
) -> None:
    with pytest.raises(errors.CheckViolation):
        another_window(session, **changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"first_ordinal": ROWS, "first_shard": 1}, "lies outside 2024-03-01 or overlaps another"),
        ({"window_start": "2024-03-02", "window_end": "2024-03-03"}, "lies outside 2024-03-01 or overlaps another"),
        ({"window_start": "2024-02-29 23:00", "window_end": "2024-03-01"}, "lies outside 2024-03-01"),
    ],
)
def test_windows_of_a_day_lie_in_it_and_do_not_overlap(
    session: "psycopg.Connection[Any]", changes: dict[str, Any], error: str
) -> None:
    times = {"window_start": "2024-03-01 12:00", "window_end": "2024-03-01 13:00"} | changes
    again(session, "sampled_window", number=2, rows=0, shards=0, **times)
    with pytest.raises(errors.IntegrityConstraintViolation, match=error):
        check_as_at_commit(session)


@pytest.mark.parametrize("changes", [{"first_ordinal": 1}, {"first_shard": 1}])
def test_a_window_goes_on_where_the_ones_before_end(
    session: "psycopg.Connection[Any]", changes: dict[str, int]
) -> None:
    another_window(session, rows=0, shards=0, **changes)
    with pytest.raises(errors.IntegrityConstraintViolation, match="does not go on where the ones before end"):
        check_as_at_commit(session)


def test_a_day_is_no_snapshot_before_its_windows_cover_it(session: "psycopg.Connection[Any]") -> None:
    noon, end = "2024-03-01 12:00", "2024-03-02 00:00"
    snapshot = another_window(session, window_end=noon, rows=0, shards=0)
    found = ("SELECT FROM shadow.snapshot WHERE id = %s", [snapshot])
    assert session.execute(*found).fetchall() == []
    where = f"snapshot_id = {snapshot}"
    again(session, "sampled_window", where, number=2, window_start=noon, window_end=end)
    assert len(session.execute(*found).fetchall()) == 1
    check_as_at_commit(session)


def test_evidence_has_a_number_for_every_metric_in_every_slice(session: "psycopg.Connection[Any]") -> None:
    columns: dict[str, list[Any]] = {name: [[2, 1], [2, 0]] for name in FIELDS}
    columns |= {name: [[1, 0], [1, 0]] for name in MISSING}
    whole = {"metrics": ["a", "b"], "slice_columns": ["all", "origin"], "slice_values": ["", "JFK"], **columns}
    again(session, "evidence_batch", champion_version="8", **whole)
    wrong = {
        **{name: ([[1, 1]], [[1], [1]], [[1, 1, 1], [1, 1, 1]], [1, 1], [], [[1, 1], [1, None]]) for name in columns},
        **{name: (["a"], ["a", "b", "c"], ["a", None], []) for name in whole.keys() - columns.keys()},
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(errors.CheckViolation, match="evidence_is_valid"), session.transaction():
                again(session, "evidence_batch", champion_version="9", **whole | {name: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"requests": -1},
        {"labelled": -1},
        {"labelled": 5},
        {"pairs": -1},
        {"pairs": 5},
        {"identical": -1},
        {"identical": 4},
        {"unanswered": -1},
        {"unanswered": 3},
        {"champion_missing": -1},
        {"champion_missing": 4},
        {"requests": None},
    ],
)
def test_evidence_counts_no_more_requests_than_there_are(
    session: "psycopg.Connection[Any]", changes: dict[str, int | None]
) -> None:
    counts = {"requests": 4, "labelled": 3, "pairs": 3, "identical": 3, "unanswered": 1, "champion_missing": 2}
    one = {"metrics": ["a"], "slice_columns": ["all"], "slice_values": [""], **{name: [[0.5]] for name in FIELDS}}

    def add(**values: int | None) -> None:
        again(session, "evidence_batch", champion_version="8", **one | {name: [[n]] for name, n in values.items()})

    with pytest.raises(errors.CheckViolation, match="evidence_is_valid"), session.transaction():
        add(**counts | changes)
    add(**counts)


def test_an_outcome_is_one_of_three(session: "psycopg.Connection[Any]") -> None:
    with pytest.raises(errors.CheckViolation):
        again(session, "verdict", revision=2, outcome="MAYBE")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE shadow.verdict SET outcome = 'PASS'",
        "UPDATE shadow.verdict SET outcome = outcome WHERE false",
        "DELETE FROM shadow.verdict",
        "DELETE FROM shadow.verdict WHERE id = -1",
        "TRUNCATE shadow.verdict CASCADE",
        "TRUNCATE shadow.verdict, shadow.evidence_batch CASCADE",
    ],
)
def test_verdicts_are_history(session: "psycopg.Connection[Any]", statement: str) -> None:
    with pytest.raises(errors.RaiseException, match=r"verdict is append-only: (UPDATE|DELETE|TRUNCATE) is refused"):
        session.execute(statement)


@pytest.mark.parametrize("table", ["model_version", "deployment"])
def test_what_evidence_rests_on_cannot_be_taken_away(session: "psycopg.Connection[Any]", table: str) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        session.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("shadow", table)))


def test_a_day_has_partitions_of_its_own_that_can_be_dropped(session: "psycopg.Connection[Any]") -> None:
    later = dt.date(2031, 1, 1)
    with pytest.raises(errors.CheckViolation, match="no partition of relation"), session.transaction():
        again(session, "label_arrival", day=later)
    for _ in range(2):
        session.execute("SELECT shadow.ensure_partitions(%s)", [later])
    again(session, "label_arrival", day=later)
    again(session, "prediction_batch", day=later)
    again(session, "request_batch", day=later)
    for table in ("label_arrival", "prediction_batch", "request_batch"):
        session.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("shadow", f"{table}_20310101")))
        query = sql.SQL("SELECT count(*) FROM {} WHERE day = %s").format(sql.Identifier("shadow", table))
        assert session.execute(query, [later]).fetchone() == (0,)
