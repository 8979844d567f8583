"""Where two columns of a feature differ: by more than rounding, by a null on either side, by another text or time."""

import datetime as dt

import pyarrow as pa
import pytest

from shadow_deployment.pipeline.feature_skew import differ

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
LATER = NOON + dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("logged", "own", "expected"),
    [
        (pa.array([0.1, 1e6, 0.0, None, None, 1.0]), pa.array([0.1, 1e6 + 0.5, 0.0, None, 0.0, None]), "....xx"),
        (pa.array([0.1, 1e6, 1e-9]), pa.array([0.1 + 2e-7, 1e6 + 2, 2e-9]), "xxx"),
        (pa.array([0.1, 1 / 3]), pa.array([0.1, 1 / 3], pa.float32()), ".."),
        (pa.array([1, 2]), pa.array([1.0, 2.5]), ".x"),
        (pa.array([True, False, None]), pa.array([1, 1, 0]), ".xx"),
        (pa.array([float("inf"), float("-inf"), float("nan")]), pa.array([float("inf"), float("inf"), None]), ".x."),
        (pa.array(["a", "b", None, None]), pa.array(["a", "B", "", None]), ".xx."),
        (
            pa.array([NOON, NOON], pa.timestamp("us", "UTC")),
            pa.array([NOON, NOON + dt.timedelta(microseconds=1)]),
            ".x",
        ),
        (pa.array([NOON.date()] * 2), pa.array([NOON.replace(hour=0), NOON]), ".x"),
        (pa.array(["5", "x"]), pa.array([5, 6]), ".x"),
    ],
)
def test_what_differs(logged: pa.Array, own: pa.Array, expected: str) -> None:
    assert "".join(".x"[bool(each)] for each in differ(logged, own)) == expected
