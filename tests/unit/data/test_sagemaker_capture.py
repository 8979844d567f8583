"""What SageMaker's data capture wrote, as its documentation has it, and ground truth as its model monitor wants it."""

import base64
import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.ports import all_labels
from shadow_deployment.data.sampling import allocate
from shadow_deployment.errors import SourceError
from tests.builders import LOG_ALONE, a_deployment
from tests.json_lines import encoded_lines
from tests.parquet import on_disk

DAY = dt.date(2024, 3, 9)
COLUMNS = {"dep_hour": "number", "origin": "string", "p": "number $.output[0]"}
BY_NAME = COLUMNS | {"p": "number $.output.predictions[0].score"}
Drawn = Callable[..., dict[str, tuple[Any, ...]]]


def part(data: str, encoding: str = "CSV", content_type: str = "text/csv") -> dict[str, str]:
    if encoding == "BASE64" and content_type != "broken":
        data = base64.b64encode(data.encode()).decode()
    return {"observedContentType": content_type, "mode": "INPUT", "data": data, "encoding": encoding}


def capture(
    number: int, sent: Any, answered: Any, time: str = "2024-03-09T12:00:00Z", **metadata: Any
) -> dict[str, Any]:
    return {
        "captureData": {"endpointInput": sent, "endpointOutput": answered},
        "eventMetadata": {"eventId": f"event-{number}", "inferenceTime": time} | metadata,
        "eventVersion": "0",
    }


def truth(event: str, data: str, **changes: Any) -> dict[str, Any]:
    content = {"data": data, "encoding": "CSV"} | changes
    return {"groundTruthData": content, "eventMetadata": {"eventId": event}, "eventVersion": "0"}


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., None]:
    def write(name: str, *rows: dict[str, Any], uploaded: dt.datetime | None = None) -> None:
        on_disk(tmp_path)(name, encoded_lines(rows))
        if uploaded is not None:
            os.utime(tmp_path / name, (uploaded.timestamp(),) * 2)

    return write


@pytest.fixture
def shadow(tmp_path: Path) -> Callable[..., DeploymentContext]:
    def make(**changes: Any) -> DeploymentContext:
        requests = {
            "conn_id": None, "table": f"jsonl:{tmp_path}/captured/AllTraffic/{{day:%Y/%m/%d}}/*/*.jsonl",
            "format": "sagemaker_capture", "columns": COLUMNS, "id": "inferenceId", "time": "inferenceTime",
            "features": ["dep_hour", "origin"], "prediction": "p", "version": None, "latency": None,
        }  # fmt: skip
        labels = {
            "conn_id": None, "table": f"jsonl:{tmp_path}/truth/{{day:%Y/%m/%d}}/*/*.jsonl",
            "format": "sagemaker_ground_truth", "columns": {"is_late": "integer"}, "id": "eventId", "value": "is_late",
            "time": "uploadTime", "flushed_within": 3,
        }  # fmt: skip
        deployment = a_deployment(
            requests=requests | changes,
            labels=labels,
            **LOG_ALONE,
        )
        return DeploymentContext(deployment, environment)

    return make


@pytest.fixture
def drawn(shadow: Callable[..., DeploymentContext]) -> Drawn:
    def draw(**changes: Any) -> dict[str, tuple[Any, ...]]:
        context = shadow(**changes)
        with context.request_source.reading(window_of(context.deployment, DAY)) as reading:
            rows = reading.sample(allocate(context.deployment.sample, reading.population())).read_all().to_pylist()
        return {row["request_id"]: (row["dep_hour"], row["origin"], row["champion"]) for row in rows}

    return draw


def test_csv_is_decoded_in_the_order_of_the_declared_columns(put: Any, drawn: Drawn) -> None:
    csv = "text/csv; charset=utf-8"
    put(
        "captured/AllTraffic/2024/03/09/12/a.jsonl",
        capture(1, part('3,"J""F,K"'), part("0.25")),
        capture(2, part("4,\n", "BASE64"), part("0.5\r\n", "BASE64", csv), inferenceId="mine"),
        {"captureData": {"endpointInput": part("5,LGA")}} | {"eventMetadata": capture(3, 0, 0)["eventMetadata"]},
    )
    late = capture(4, part("6,EWR"), part("7e-1,0.3"), "2024-03-09T23:59:59.250Z")
    put("captured/AllTraffic/2024/03/10/00/b.jsonl", late, capture(5, part("6,EWR"), part("0"), "2024-03-10T00:00:00Z"))
    assert drawn() == {
        "event-1": (3.0, 'J"F,K', 0.25),
        "mine": (4.0, None, 0.5),
        "event-3": (5.0, "LGA", None),
        "event-4": (6.0, "EWR", 0.7),
    }


def test_json_is_decoded_by_its_names_and_paths(put: Any, drawn: Drawn) -> None:
    json = "application/json"
    answer = '{"predictions": [{"score": 0.25}]}'
    put(
        "captured/AllTraffic/2024/03/09/12/a.jsonl",
        capture(1, part('{"dep_hour": 3,\n "origin": "JFK"}', "JSON", json), part(answer, "JSON", json)),
        capture(2, part('{"dep_hour": 4}', "BASE64", json), part(answer, "BASE64", "application/x+json")),
    )
    assert drawn(columns=BY_NAME) == {"event-1": (3.0, "JFK", 0.25), "event-2": (4.0, None, 0.25)}


@pytest.mark.parametrize(
    ("sent", "answered", "says"),
    [
        (part("noon,JFK"), part("0.5"), 'requests.columns.dep_hour == "noon", must be a number'),
        (part("3,JFK"), part("1e309"), 'requests.columns.p == "1e309", must be a number'),
        (part("3,JFK,1"), part("0.5"), "input has 3 values, must have 2: one for each column without a path"),
        (part("3,JFK\n4,LGA"), part("0.5\n0.6"), "input must hold one record: those of a batch have one id"),
        (part('{"instances": [[3], [4]]}', "JSON"), part("0.5"), "input must hold one record"),
        (part("3,JFK"), part('{"a": 1}\n{"a": 2}', "JSON"), "output must hold one record"),
        (part("3,JFK"), part('{"a": ', "JSON"), "output must be JSON"),
        (part("3,JFK"), part("!!", "BASE64", "broken"), "output is of content type broken, must be CSV or JSON"),
        (
            part("3,JFK") | {"data": "/w==", "encoding": "BASE64"},
            part("0"),
            "input must have data in the encoding BASE64",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_capture_that_cannot_be_used_is_named_with_its_line(
    sent: Any, answered: Any, says: str, put: Any, drawn: Drawn, tmp_path: Path
) -> None:
    file = "captured/AllTraffic/2024/03/09/12/a.jsonl"
    put(file, capture(1, part("3,JFK"), part("0.25")), capture(2, sent, answered))
    with pytest.raises(SourceError, match="line 2") as caught:
        drawn()
    assert f"{tmp_path}/{file}, line 2: requests.columns." in str(caught.value)
    assert says in str(caught.value)


def test_ground_truth_is_known_from_its_upload_on_into_whatever_folder(
    put: Any, shadow: Callable[..., DeploymentContext]
) -> None:
    morning = dt.datetime(2024, 3, 12, 5, tzinfo=dt.UTC)
    put("truth/2024/03/09/12/a.jsonl", truth("event-1", "1"), truth("mine", "0"), uploaded=morning)
    put("truth/2024/03/12/12/a.jsonl", truth("event-2", "1"), uploaded=morning + dt.timedelta(days=1))
    requests = pa.table({"ordinal": pa.array([0, 1, 2], pa.int32()), "request_id": ["event-1", "mine", "event-2"]})

    def labels(first: int, last: int) -> list[tuple[Any, ...]]:
        since, until = (dt.datetime(2024, 3, day, tzinfo=dt.UTC) for day in (first, last))
        found = all_labels(shadow().label_source, requests, since, until).to_pylist()
        return sorted((row["ordinal"], row["value"], row["known_at"]) for row in found)

    assert labels(9, 12) == []
    assert labels(12, 13) == [(0, 1.0, morning), (1, 0.0, morning)]
    assert labels(13, 14) == [(2, 1.0, morning + dt.timedelta(days=1))]
    put("truth/2024/03/09/12/a.jsonl", truth("event-1", "1"), truth("mine", "perhaps"), uploaded=morning)
    with pytest.raises(SourceError, match=r'line 2: labels\.columns\.is_late == "perhaps", must be a whole number'):
        labels(12, 13)
