"""The database itself refuses double writes, half writes, values that are no numbers, and changes of history."""

import datetime as dt
import math
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from shadow_deployment.decision.series import MISSING
from shadow_deployment.metrics.sums import FIELDS
from shadow_deployment.pipeline import steps
from tests.production import SHADOW, World, day

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
ROWS = 60
AT_ONCE = 8192
NEVER, KNOWN = "infinity", "2031-01-01"


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World]) -> World:
    """A ledger with one whole day in it: one snapshot, one challenger, one shard."""
    world = worlds()
    shadow = world.shadow(challengers=[OTHER], sample={"shard_rows": ROWS})
    sampled = steps.sample(shadow, day(0))
    assert (sampled.rows, sampled.shards) == (ROWS, 1)
    steps.validate_inputs(shadow, day(0))
    steps.score(shadow, day(0), "other", 0)
    steps.validate_predictions(shadow, day(0), "other")
    for changed in steps.collect_labels(shadow, day(0)):
        steps.compare(shadow, changed)
    steps.judge(shadow, day(0), "other")
    return world


@pytest.fixture
def session(judged: World) -> Iterator["psycopg.Connection[Any]"]:
    """A session as the ledger's owner, whose work is undone."""
    with psycopg.connect(judged.postgres.uri(judged.ledger, SHADOW)) as opened:
        yield opened
        opened.rollback()


def again(session: "psycopg.Connection[Any]", table: str, where: str = "true", **changes: Any) -> int | None:
    """Insert a copy of one row, with some columns changed; return its key where the table makes one."""
    columns = session.execute(
        "SELECT attname, attidentity <> '' FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
        [f"shadow.{table}"],
    ).fetchall()
    names = [name for name, is_identity in columns if not is_identity]
    assert set(changes) <= set(names)
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE {where} LIMIT 1 {key}"
    ).format(
        table=sql.Identifier("shadow", table),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(
            sql.Literal(changes[one]) if one in changes else sql.Identifier(one) for one in names
        ),
        where=sql.SQL(where),
        key=sql.SQL("RETURNING id" if len(names) < len(columns) else ""),
    )
    cursor = session.execute(statement)
    assert cursor.rowcount == 1
    return int(cursor.fetchone()[0]) if cursor.description else None


def check_as_at_commit(session: "psycopg.Connection[Any]") -> None:
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    "table",
    [
        "deployment",
        "model_version",
        "sampled_day",
        "sampled_window",
        "cell",
        "request_batch",
        "prediction_batch",
        "scoring",
        "label_arrival",
        "label_collection",
        "validation",
        "evidence_batch",
        "verdict",
    ],
)
def test_no_row_can_be_there_twice(session: "psycopg.Connection[Any]", table: str) -> None:
    with pytest.raises(errors.UniqueViolation):
        again(session, table)


def test_a_second_prediction_of_a_challenger_for_a_request_is_refused_whatever_it_says(
    session: "psycopg.Connection[Any]",
) -> None:
    with pytest.raises(errors.UniqueViolation):
        again(session, "prediction_batch", rows=1, value=[math.nan], latency_ms=[1.0], error=["it failed"])


def label(session: "psycopg.Connection[Any]", first: int, value: list[Any], **changes: Any) -> None:
    """Insert an arrival of labels of the requests from `first`, NaN where one has none."""
    optional = dict.fromkeys(("conflict", "conflict_at", "invalid", "invalid_at", "early_at"))
    arrival = {
        "arrival": 2,
        "last_ordinal": first + len(value) - 1,
        "rows": len(value),
        "ordinal": [*range(first, first + len(value))],
        "known_at": [NEVER if math.isnan(one or 0) else KNOWN for one in value],
        **optional,
        **changes,
    }
    again(session, "label_arrival", first_ordinal=first, value=value, **arrival)


def test_an_arrival_has_no_two_rows_from_one_request_on(session: "psycopg.Connection[Any]") -> None:
    label(session, 1, [0.25])
    with pytest.raises(errors.UniqueViolation):
        label(session, 1, [0.5, 0.5])


def test_a_row_of_labels_is_bounded(session: "psycopg.Connection[Any]") -> None:
    with pytest.raises(errors.CheckViolation, match="rows"):
        label(session, 0, [0.25] * (AT_ONCE + 1))


@pytest.mark.parametrize("value", [math.inf, -math.inf, None])
def test_a_label_that_is_no_number_is_refused(session: "psycopg.Connection[Any]", value: float | None) -> None:
    with pytest.raises(errors.CheckViolation, match="labels_are_valid"):
        label(session, AT_ONCE, [0.5, value])


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"ordinal": [AT_ONCE]},
        {"ordinal": [AT_ONCE, None]},
        {"ordinal": [1, 2 * AT_ONCE + 1]},
        {"last_ordinal": 9},
        {"known_at": [KNOWN]},
        {"known_at": [NEVER, NEVER]},
        {"known_at": [KNOWN, KNOWN]},
        {"known_at": [KNOWN, None]},
        {"conflict": [1.0, math.nan]},
        {"conflict": [1.0], "conflict_at": [KNOWN]},
        {"conflict": [1.0, None], "conflict_at": [KNOWN, NEVER]},
        {"conflict": [1.0, math.nan], "conflict_at": [KNOWN, KNOWN]},
        {"conflict": [math.nan, 1.0], "conflict_at": [NEVER, KNOWN]},
        {"conflict_at": [KNOWN, NEVER]},
        {"invalid": ["much", None]},
        {"invalid": ["much", None], "invalid_at": [KNOWN, KNOWN]},
        {"invalid": ["much"], "invalid_at": [KNOWN]},
        {"early_at": [KNOWN]},
        {"early_at": [KNOWN, None]},
    ],
)
def test_a_label_has_its_times_and_only_then_another_one_beside_it(
    session: "psycopg.Connection[Any]", changes: dict[str, Any]
) -> None:
    beside = {"conflict": [1.0, math.nan], "conflict_at": [KNOWN, NEVER], "invalid": [None, "much"]}
    label(session, AT_ONCE, [0.5, math.nan], invalid_at=[NEVER, KNOWN], early_at=[KNOWN, NEVER], **beside)
    with pytest.raises(errors.CheckViolation):
        label(session, 2 * AT_ONCE, [0.5, math.nan], **changes)


def test_the_newest_labels_are_shown_one_by_one(session: "psycopg.Connection[Any]") -> None:
    beside = {"conflict": [math.nan, math.nan, 0.0], "conflict_at": [NEVER, NEVER, KNOWN]}
    label(session, AT_ONCE, [0.5, math.nan, 1.0], early_at=[NEVER, KNOWN, NEVER], **beside)
    label(session, AT_ONCE + 2, [0.25, 0.75], arrival=3, invalid=["much", None], invalid_at=[KNOWN, NEVER])
    query = "SELECT ordinal, value, known_at, conflict FROM shadow.label WHERE ordinal >= %s ORDER BY 1"
    at = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)
    assert session.execute(query, [AT_ONCE]).fetchall() == [
        (AT_ONCE, 0.5, at, None),
        (AT_ONCE + 2, 0.25, at, None),
        (AT_ONCE + 3, 0.75, at, None),
    ]
    query = "SELECT ordinal, invalid, invalid_at, early_at FROM shadow.quarantined_label WHERE ordinal >= %s ORDER BY 1"
    assert session.execute(query, [AT_ONCE]).fetchall() == [
        (AT_ONCE + 1, None, None, at),
        (AT_ONCE + 2, "much", at, None),
    ]


def ask(session: "psycopg.Connection[Any]", first: int, champion: list[Any], **changes: Any) -> None:
    """Insert the requests from `first` that the champion answered so."""
    rows = len(champion)
    columns = {
        "request_id": "r",
        "requested_at": dt.datetime(2031, 1, 1, tzinfo=dt.UTC),
        "inclusion_probability": 0.5,
        "cell": 0,
        "champion_version": 1,
        "champion_latency_ms": 1.5,
    }
    known = {name: [value] * rows for name, value in columns.items()} | {"rows": rows, "champion_probabilities": None}
    again(session, "request_batch", first_ordinal=first, champion=champion, **known | changes)


@pytest.mark.parametrize("value", [math.inf, -math.inf, None])
def test_an_infinite_answer_of_the_champion_is_refused(session: "psycopg.Connection[Any]", value: float | None) -> None:
    with pytest.raises(errors.CheckViolation, match="requests_are_valid"):
        ask(session, ROWS, [0.5, value])


@pytest.mark.parametrize("name", ["requested_at", "inclusion_probability", "cell", "champion_version"])
def test_only_the_id_of_a_request_may_be_missing(session: "psycopg.Connection[Any]", name: str) -> None:
    ask(session, ROWS, [0.5, math.nan], request_id=["r", None])
    (kept,) = session.execute(f"SELECT {name}[1] FROM shadow.request_batch WHERE first_ordinal = 0").fetchone()
    with pytest.raises(errors.CheckViolation, match="requests_are_valid"):
        ask(session, ROWS + 2, [0.5, 0.5], **{name: [kept, None]})


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"request_id": ["r"]},
        {"cell": [0, 0, 0]},
        {"champion_latency_ms": [1.5, None]},
        {"champion_version": [1, 0]},
        {"champion_probabilities": [[0.5, 0.5]]},
    ],
)
def test_columns_of_requests_are_all_as_long_and_without_gaps(
    session: "psycopg.Connection[Any]", changes: dict[str, Any]
) -> None:
    ask(session, ROWS, [0.5, 0.25], champion_probabilities=[[0.5, 0.5], [0.75, 0.25]])
    with pytest.raises(errors.CheckViolation, match="requests_are_valid"):
        ask(session, ROWS + 2, [0.5, 0.25], **changes)


def test_requests_are_shown_one_by_one(session: "psycopg.Connection[Any]") -> None:
    shares = [[0.5, 0.5], [math.nan, math.nan]]
    ask(session, ROWS, [0.5, math.nan], request_id=["a", None], champion_latency_ms=[math.nan, 2.0], cell=[3, 4])
    ask(session, ROWS + 2, [0.25, math.nan], champion_probabilities=shares)
    query = (
        "SELECT ordinal, request_id, cell, champion, champion_version, champion_latency_ms, champion_probabilities "
        "FROM shadow.request WHERE ordinal >= %s ORDER BY ordinal"
    )
    assert session.execute(query, [ROWS]).fetchall() == [
        (ROWS, "a", 3, 0.5, "7", None, None),
        (ROWS + 1, None, 4, None, "7", 2.0, None),
        (ROWS + 2, "r", 0, 0.25, "7", 1.5, [0.5, 0.5]),
        (ROWS + 3, "r", 0, None, "7", 1.5, None),
    ]


def answer(session: "psycopg.Connection[Any]", first: int, value: list[Any], **changes: Any) -> None:
    """Insert answers to the requests from `first`."""
    known = {"rows": len(value), "latency_ms": [1.5] * len(value), "error": None, **changes}
    again(session, "prediction_batch", first_ordinal=first, value=value, **known)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("error", [None, [None, None]])
def test_an_answer_that_is_no_number_is_refused(
    session: "psycopg.Connection[Any]", value: float | None, error: list[None] | None
) -> None:
    with pytest.raises(errors.CheckViolation, match="predictions_are_valid"):
        answer(session, ROWS, [0.5, value], error=error)


@pytest.mark.parametrize(("value", "error"), [(math.nan, None), (0.5, "failed")])
def test_a_prediction_is_a_value_or_an_error_and_never_both_or_neither(
    session: "psycopg.Connection[Any]", value: float | None, error: str | None
) -> None:
    with pytest.raises(errors.CheckViolation, match="predictions_are_valid"):
        answer(session, ROWS, [value, math.nan], error=[error, "failed"])


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"latency_ms": [1.5]},
        {"latency_ms": [1.5, None]},
        {"error": [None]},
        {"probabilities": [[0.5, 0.5]]},
    ],
)
def test_columns_of_answers_are_all_as_long_and_without_gaps(
    session: "psycopg.Connection[Any]", changes: dict[str, Any]
) -> None:
    answer(session, ROWS, [0.5, 0.25], probabilities=[[0.5, 0.5], [0.75, 0.25]])
    with pytest.raises(errors.CheckViolation, match="predictions_are_valid"):
        answer(session, ROWS + 2, [0.5, 0.25], **changes)


def test_answers_are_shown_one_by_one(session: "psycopg.Connection[Any]") -> None:
    values, latencies = [0.5, math.nan, 0.25], [1.5, math.nan, math.nan]
    shares = [[0.5, 0.5], [math.nan, math.nan], [0.75, 0.25]]
    answer(session, ROWS, values, latency_ms=latencies, error=[None, "failed", None], probabilities=shares)
    query = "SELECT ordinal, value, error, latency_ms, probabilities FROM shadow.prediction WHERE ordinal >= %s"
    assert session.execute(f"{query} ORDER BY ordinal", [ROWS]).fetchall() == [
        (ROWS, 0.5, None, 1.5, [0.5, 0.5]),
        (ROWS + 1, None, "failed", None, None),
        (ROWS + 2, 0.25, None, None, [0.75, 0.25]),
    ]


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.1, math.nan])
def test_an_inclusion_probability_is_above_0_and_at_most_1(
    session: "psycopg.Connection[Any]", probability: float
) -> None:
    with pytest.raises(errors.CheckViolation, match="requests_are_valid"):
        ask(session, ROWS, [0.5, 0.5], inclusion_probability=[0.5, probability])


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
