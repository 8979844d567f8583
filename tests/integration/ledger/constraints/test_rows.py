"""The database refuses labels, requests and predictions that cannot be."""

import datetime as dt
import math
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.integration.ledger.constraints.inserting import ROWS, again, answer, ask

AT_ONCE = 8192

NEVER, KNOWN = "infinity", "2031-01-01"


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
