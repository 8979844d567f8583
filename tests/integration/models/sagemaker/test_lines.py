"""What a container is sent and what it answers: a row is a line, and what is no answer is refused."""

import math
from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.errors import ModelError
from shadow_deployment.models.remote.calls import RowsRefused
from shadow_deployment.models.remote.records import csv_lines, parse_predictions
from tests.unit.models.test_onnx import batch


def test_a_row_is_a_line_of_the_features_in_their_order() -> None:
    sent = batch(
        b=[True, False, None, True],
        a=[0.1, None, math.nan, math.inf],
        n=[2**53 + 1, None, -1, 0],
        t=['JFK "x", y', None, "two\nlines", ""],
        unused=[1, 2, 3, 4],
    )
    lines, errors = csv_lines(sent, ["a", "n", "b", "t"])
    assert lines[0] == b'0.1,9007199254740993,1,"JFK ""x"", y"\n'
    assert lines[1] == b",,0,\n"
    assert lines[2].startswith(b",-1,,")
    assert errors == {
        2: "feature t has a line break, which a line of CSV cannot hold",
        3: "feature a is infinite",
    }
    with pytest.raises(ModelError, match="feature d is date32"):
        csv_lines(batch(d=pa.array([1], pa.date32())), ["d"])


@pytest.mark.parametrize(
    ("kind", "body", "classes", "expected"),
    [
        ("text/csv", "0.25\n0.5\n", 0, [0.25, 0.5]),
        ("text/csv; charset=utf-8", "0.25,0.5", 0, [0.25, 0.5]),
        ("text/csv", "0.75,0.25\n0.5,0.5\n", 0, [0.25, 0.5]),
        ("text/csv", "0,0,1\r\n0.5,0.5,0\r\n", 3, [[0, 0, 1], [0.5, 0.5, 0]]),
        (
            "application/json",
            '{"predictions": [{"score": 0.25, "predicted_label": 0}, {"score": 0.5}]}',
            0,
            [0.25, 0.5],
        ),
        ("application/json", "[0.25, 0.5]", 0, [0.25, 0.5]),
        ("application/json", "[[0.75, 0.25], [0.5, 0.5]]", 0, [0.25, 0.5]),
        (
            "application/json",
            '{"predictions": [{"score": [0, 0, 1]}, {"score": [1, 0, 0]}]}',
            3,
            [[0, 0, 1], [1, 0, 0]],
        ),
        ("application/jsonlines", '{"score": 0.25}\n{"score": 0.5}\n', 0, [0.25, 0.5]),
    ],
)
def test_an_answer_is_read_as_containers_give_it(kind: str, body: str, classes: int, expected: list[Any]) -> None:
    assert parse_predictions(kind, body.encode(), 2, classes).tolist() == expected


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/csv", "0.25\n", "there are 1 predictions for 2 requests"),
        ("text/csv", "0.1\n0.2\n0.3\n", "there are 3 predictions for 2 requests"),
        ("text/csv", "", "there are 0 predictions for 2 requests"),
        ("text/csv", "0.1,0.2,0.7\n0.1,0.2,0.7\n", "must have probabilities of shape (n, 2)"),
        ("text/csv", "0.1\n0.2,0.3\n", "different numbers of columns"),
        ("text/csv", "no\nyes\n", "holds something else than numbers or scores"),
        ("application/json", "[true, false]", "holds something else"),
        ("application/json", '{"outputs": [1, 2]}', "holds something else"),
        ("application/json", '[{"label": 1}, {"label": 0}]', "holds something else"),
        ("application/json", "1", "holds something else"),
        ("application/json", "[" * 100_000, "holds something else"),
        ("application/x-recordio-protobuf", "\x00", "must be text/csv, application/json or application/jsonlines"),
        ("", "0.1\n0.2", "of no type"),
    ],
)
def test_an_answer_that_is_none_is_refused(kind: str, body: str, text: str) -> None:
    with pytest.raises(RowsRefused) as caught:
        parse_predictions(kind, body.encode(), 2, 0)
    assert text in str(caught.value)
