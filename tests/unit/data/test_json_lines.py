"""JSON lines on disk: late files, paths, and the line that is named where something is wrong."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.sampling import allocate
from shadow_deployment.errors import ShadowError, SourceError, TransientError
from shadow_deployment.pipeline.challengers.trials import terms_of
from tests.builders import LOG_ALONE, a_deployment
from tests.json_lines import compressed, encoded_lines
from tests.parquet import on_disk

DAY = dt.date(2024, 3, 9)
NOON = "2024-03-09T12:00:00Z"
COLUMNS = {
    "id": "string",
    "at": "timestamp",
    "hour": "number $.input.hour",
    "count": "integer",
    "isNew": "boolean",
    "since": "date",
    "p": 'number $.output."a b"[1]',
}
Drawn = Callable[..., list[dict[str, Any]]]


def line(number: int, at: str | None = NOON, **changes: Any) -> dict[str, Any]:
    row = {"id": f"r{number}", "at": at, "input": {"hour": 3.5}, "output": {"a b": [0, 0.25]}, "count": 7}
    return row | {"isNew": True, "since": "2024-01-31"} | changes


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., None]:
    def write(name: str, *rows: dict[str, Any] | bytes) -> None:
        content = b"".join(row if isinstance(row, bytes) else encoded_lines([row]) for row in rows)
        on_disk(tmp_path)(name, compressed(content) if name.endswith(".gz") else content)

    return write


@pytest.fixture
def shadow(tmp_path: Path) -> Callable[..., DeploymentContext]:
    def make(**changes: Any) -> DeploymentContext:
        requests = {
            "conn_id": None, "table": f"jsonl:{tmp_path}/log/{{day}}/*.jsonl*", "columns": COLUMNS, "id": "id",
            "time": "at", "features": ["hour", "count", "isNew", "since"], "prediction": "p", "version": None,
            "latency": None,
        }  # fmt: skip
        deployment = a_deployment(
            requests=requests | changes,
            **LOG_ALONE,
        )
        return DeploymentContext(deployment, environment)

    return make


@pytest.fixture
def drawn(shadow: Callable[..., DeploymentContext]) -> Drawn:
    def draw(**changes: Any) -> list[dict[str, Any]]:
        context = shadow(**changes)
        with context.request_source.reading(window_of(context.deployment, DAY)) as reading:
            population = reading.population()
            rows = reading.sample(allocate(context.deployment.sample, population)).read_all() if population else None
        return sorted(rows.to_pylist(), key=lambda row: str(row["request_id"])) if rows is not None else []

    return draw


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["request_id"] for row in rows]


def refusal(call: Callable[[], object], error: type[ShadowError] = SourceError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_values_are_found_by_their_paths_in_their_types_and_what_is_missing_is_null(put: Any, drawn: Drawn) -> None:
    put("log/2024-03-09/a.jsonl.gz", line(1, other=[{}]), b"\n", {"id": "r2", "at": "2024-03-09T14:30:00.5+02:00"})
    first, second = drawn()
    assert first["champion"] == 0.25
    assert [first[name] for name in ("hour", "count", "isNew", "since")] == [3.5, 7, True, dt.date(2024, 1, 31)]
    assert second["requested_at"] == dt.datetime(2024, 3, 9, 12, 30, 0, 500_000, dt.UTC)
    assert [second[name] for name in ("hour", "count", "isNew", "since", "champion")] == [None] * 5


@pytest.mark.parametrize("name", ["text", "line", "files", "filename", 'it\'s "a" \\ b/c~d:e', "é%s"])
def test_any_key_may_be_a_column(name: str, put: Any, drawn: Drawn) -> None:
    declared = {"columns": COLUMNS | {name: "integer"}, "features": [name]}
    put("log/2024-03-09/a.jsonl", line(1, **{name: 5}))
    assert drawn(**declared)[0][name] == 5
    put("log/2024-03-09/a.jsonl", line(1, **{name: "5"}))
    assert f'line 1: requests.columns.{name} == "5", must be a whole number' in refusal(lambda: drawn(**declared))


def test_a_row_in_a_file_of_another_day_is_sampled_once_where_it_was_flushed_within_so_many_days(
    put: Any, drawn: Drawn
) -> None:
    put("log/2024-03-08/a.jsonl", line(1, "2024-03-08T23:59:59Z"), line(2))
    put("log/2024-03-09/a.jsonl", line(3), line(4, "2024-03-10T00:00:00Z"))
    put("log/2024-03-10/a.jsonl", line(5, "2024-03-09T23:59:59Z"), line(6, "2024-03-10T12:00:00Z"))
    put("log/2024-03-12/a.jsonl.gz", line(7))
    assert ids(drawn(flushed_within=0)) == ["r3"]
    assert ids(drawn()) == ["r2", "r3", "r5"]
    assert ids(drawn(flushed_within=3)) == ["r2", "r3", "r5", "r7"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (line(9, id=17), "requests.columns.id == 17, must be text"),
        (line(9, count=1.5), "requests.columns.count == 1.5, must be a whole number of at most 64 bits"),
        (line(9, count=2**63), "requests.columns.count == 9223372036854775808, must be a whole number"),
        (line(9, input={"hour": "3"}), 'requests.columns.hour == "3", must be a number'),
        (encoded_lines([line(9)]).replace(b"3.5", b"1e309"), "requests.columns.hour == 1e309, must be a number"),
        (line(9, isNew="true"), 'requests.columns.isNew == "true", must be true or false'),
        (line(9, since="2024-02-30"), 'requests.columns.since == "2024-02-30", must be a day'),
        (line(9, at=1_709_985_600), "requests.columns.at == 1709985600, must be a time such as"),
        (line(9, at="2024-03-09"), 'requests.columns.at == "2024-03-09", must be a time such as'),
        (line(9, output={"a b": [0, {"secret": "x" * 99}]}), 'requests.columns.p == {"secret":"' + "x" * 29 + ", must"),
        (b'{"id": }\n', 'must be a JSON object, and begins with {"id": }'),
        (b"[1, 2]\n", "must be a JSON object, and begins with [1, 2]"),
        (b'{"id": "a", "id": "b"}\n', "must not have the key 'id' twice"),
        (b'{"id": "\xe9"}\n', "must be UTF-8"),
        (b"\xef\xbb\xbf" + encoded_lines([line(9)]), "must not begin with a byte order mark"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_line_that_does_not_fit_is_named(
    wrong: Any, says: str, put: Any, drawn: Drawn, tmp_path: Path
) -> None:
    put("log/2024-03-09/a.jsonl", line(1), line(2))
    put("log/2024-03-09/b.jsonl", line(3), b"\n", wrong, b"no JSON\n")
    message = refusal(drawn)
    assert f"{tmp_path}/log/2024-03-09/b.jsonl, line 3: {says}" in message
    assert message.startswith(f"requests.table == 'jsonl:{tmp_path}/log/{{day}}/*.jsonl*': ")


def test_the_line_is_found_among_thousands(put: Any, drawn: Drawn) -> None:
    put("log/2024-03-09/a.jsonl.gz", encoded_lines([line(1)]) * 4_321, b'{"id": 2}\n')
    assert "a.jsonl.gz, line 4322: requests.columns.id == 2, must be text" in refusal(drawn)


def test_numbers_at_the_limit_of_their_types_and_those_that_python_writes_are_read(put: Any, drawn: Drawn) -> None:
    numbers = ["1e308", "-5e-324", "123456789012345678901234567890", "NaN", "-Infinity"]
    rows = [json.dumps(line(place, count=-(2**63))).replace("3.5", text) for place, text in enumerate(numbers)]
    put("log/2024-03-09/a.jsonl", *(f"{row}\r\n".encode() for row in rows))
    found = drawn()
    assert [str(row["hour"]) for row in found] == [str(float(text)) for text in numbers]
    assert {row["count"] for row in found} == {-(2**63)}


def test_a_line_that_is_cut_off_is_worth_another_try(put: Any, drawn: Drawn) -> None:
    put("log/2024-03-09/a.jsonl", line(1), encoded_lines([line(2)])[:-1])
    assert ids(drawn()) == ["r1", "r2"]  # a last line without its end, but whole
    put("log/2024-03-09/a.jsonl", line(1), encoded_lines([line(2)])[:-9])
    message = refusal(drawn, TransientError)
    assert "a.jsonl, line 2: " in message
    assert message.endswith("the line is cut off: the file may still be being written, try again")
    put("log/2024-03-09/a.jsonl", line(1))
    put("log/2024-03-10/a.jsonl", line(3, "2024-03-10T01:00:00Z"), b'{"id": "r4", "at')
    message = refusal(drawn, TransientError)
    assert message.endswith("where each row lies in its own day's file, set requests.flushed_within: 0")
    assert ids(drawn(flushed_within=0)) == ["r1"]


def test_a_trial_goes_on_where_files_are_flushed_later_and_features_are_declared_anew(shadow: Any) -> None:
    def terms(**changes: Any) -> dict[str, Any]:
        deployment = shadow(**changes).deployment
        return terms_of(deployment, deployment.challengers[0])

    assert terms(flushed_within=3, columns=COLUMNS | {"hour": "integer $.input.clock"}) == terms()
    assert terms(columns=COLUMNS | {"p": "number $.output.other"}) != terms()


def test_a_misspelt_key_of_the_time_is_found_by_the_check(put: Any, shadow: Callable[..., DeploymentContext]) -> None:
    put("log/2024-03-09/a.jsonl", line(1))
    shadow().request_source.check()
    context = shadow(columns=COLUMNS | {"at": "timestamp $.asked_at"})
    message = refusal(context.request_source.check)
    assert message.startswith("requests.time == 'at', must have a value: none of the newest rows")
