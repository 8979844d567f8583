"""Whatever the rows are, and however they are spread over files: Parquet and JSON lines give Postgres' sample."""

import datetime as dt
import itertools
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.sampling import allocate
from tests.json_lines import compressed, encoded_lines
from tests.parquet import by_day, encoded, on_disk
from tests.production import OWNER, World, day, moment

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
IDS: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "text": ("text", pa.string(), st.sampled_from(["a", "b", "é", "Z", "", "a/b", "\\", "'", "0", "00"]) | TEXT),
    "int": ("int4", pa.int32(), st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3)),
    "bigint": ("int8", pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)),
    "uuid": ("uuid", pa.uuid(), st.uuids() | st.sampled_from([uuid.UUID(int=one) for one in range(4)])),
}
DATES = st.dates(dt.date(1950, 1, 1), dt.date(2100, 1, 1))
TIMES = st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1))  # noqa: DTZ001 (in UTC without saying so)
FLOATS = st.floats(allow_nan=False)
# column: type in Postgres, type in Parquet, values
COLUMNS: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "double": ("float8", pa.float64(), FLOATS),
    "single": ("float4", pa.float32(), st.floats(width=32, allow_nan=False)),
    "exact": ("numeric(20,6)", pa.decimal128(20, 6), st.decimals("-1e13", "1e13", places=6)),
    "small": ("int2", pa.int8(), st.integers(-128, 127)),
    "whole": ("int4", pa.uint16(), st.integers(0, 65535)),
    "large": ("int8", pa.uint32(), st.integers(0, 2**32 - 1)),
    "flag": ("bool", pa.bool_(), st.booleans()),
    "word": ("text", pa.large_string(), TEXT),
    "date": ("date", pa.date32(), DATES),
    "naive": ("timestamp", pa.timestamp("us"), TIMES),
    "aware": ("timestamptz", pa.timestamp("us", "UTC"), TIMES.map(lambda one: one.replace(tzinfo=dt.UTC))),
    "key": ("uuid", pa.uuid(), st.uuids()),
}
STRATA: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "by_word": ("text", pa.string(), st.sampled_from(["x", "X", "é", "x/y", ""])),
    "by_flag": ("bool", pa.bool_(), st.booleans()),
    "by_number": ("int8", pa.int64(), st.integers(-1, 1)),
    "by_date": ("date", pa.date32(), st.sampled_from([dt.date(2024, 1, 1), dt.date(999, 1, 1)])),
}
_tables = itertools.count()


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """Return a type of id, and rows around the first day: ids that are there twice or missing, and nulls anywhere."""
    kind = draw(st.sampled_from(sorted(IDS)))
    columns = {"id": IDS[kind], **COLUMNS, **STRATA, "answer": ("float8", pa.float64(), FLOATS)}
    row = st.fixed_dictionaries({name: st.none() | values for name, (_, _, values) in columns.items()})
    microseconds = st.integers(-(10**6), 86_400 * 10**6 + 10**6) | st.sampled_from([0, 86_400 * 10**6])
    rows = draw(st.lists(row, min_size=1, max_size=25))
    times = draw(st.lists(microseconds, min_size=len(rows), max_size=len(rows), unique=True))
    for one, time in zip(rows, times, strict=True):
        one["time"] = moment(0) + dt.timedelta(microseconds=time)
        one["version"] = draw(st.sampled_from([None, 7, 8]))
    return kind, rows


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    return worlds(own=True)


def deployed(world: World, **changes: Any) -> Deployment:
    return world.deploy(
        requests={
            "table": "flights.random",
            "id": "id",
            "time": "time",
            "features": list(COLUMNS),
            "prediction": "answer",
            "version": "version",
            "latency": None,
            **changes.pop("requests", {}),
        },
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
        **changes,
    )


def into_postgres(world: World, kind: str, rows: list[dict[str, Any]]) -> None:
    columns = {"id": IDS[kind], **COLUMNS, **STRATA}
    types = {name: of_postgres for name, (of_postgres, *_) in columns.items()}
    types |= {"answer": "float8", "time": "timestamptz", "version": "int4"}
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute("DROP TABLE IF EXISTS flights.random")
        session.execute(
            f"CREATE TABLE flights.random ({', '.join(f'{name} {type_}' for name, type_ in types.items())})"
        )
        with session.cursor() as cursor, cursor.copy(f"COPY flights.random ({', '.join(types)}) FROM STDIN") as stream:
            for row in rows:
                stream.write_row([row[name] for name in types])


def into_parquet(folder: Path, kind: str, rows: list[dict[str, Any]], choose: st.DataObject) -> str:
    """Write the rows in any order into any files of their days; return what the deployment calls them."""
    columns = {"id": IDS[kind], **COLUMNS, **STRATA}
    types = {name: of_parquet for name, (_, of_parquet, _) in columns.items()}
    unit = choose.draw(st.sampled_from([pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.timestamp("ns", "UTC")]))
    types |= {"answer": pa.float64(), "time": unit, "version": pa.int64()}
    rows = choose.draw(st.permutations(rows))
    arrays = {name: array([row[name] for row in rows], kind_) for name, kind_ in types.items()}
    number = next(_tables)
    put = on_disk(folder / str(number))
    for of_day, table in by_day(pa.table(arrays), "time").items():
        cuts = choose.draw(st.lists(st.integers(0, table.num_rows), max_size=2).map(sorted))
        for part, (first, last) in enumerate(itertools.pairwise([0, *cuts, table.num_rows])):
            group = choose.draw(st.integers(1, 9))
            put(f"{of_day:%Y/%m}/{of_day:%d}-{part}.parquet", encoded(table[first:last], row_group_size=group))
    return f"parquet:{folder}/{number}/{{day:%Y/%m/%d}}-*.parquet"


IN_LINES = {  # the columns whose types JSON has, too
    "double": "number", "large": "integer", "flag": "boolean", "word": "string", "date": "date", "aware": "timestamp",
}  # fmt: skip


def into_lines(folder: Path, kind: str, rows: list[dict[str, Any]], choose: st.DataObject) -> dict[str, Any]:
    """Write the rows in any order into files by the time at which they were flushed; return how they are declared."""
    types = {
        **IN_LINES, "id": "integer" if "int" in kind else "string", "by_word": "string", "by_flag": "boolean",
        "by_number": "integer", "by_date": "date", "answer": "number", "time": "timestamp", "version": "integer",
    }  # fmt: skip
    number = next(_tables)
    files: dict[str, list[dict[str, Any]]] = {}
    for row in choose.draw(st.permutations(rows)):
        flushed = row["time"] + dt.timedelta(hours=choose.draw(st.sampled_from([0, 3, 23])))
        name = f"{number}/{flushed:%Y/%m/%d/%H}-{choose.draw(st.sampled_from(['a.jsonl', 'b.jsonl.gz']))}"
        files.setdefault(name, []).append({name: row[name] for name in types})
    put, plain = on_disk(folder), choose.draw(st.booleans())
    for name, content in files.items():
        text = encoded_lines(content, end=choose.draw(st.sampled_from(["\n", "\r\n", "\n\n"])), plain=plain)
        put(name, compressed(text) if name.endswith(".gz") else text)
    return {"table": f"jsonl:{folder}/{number}/{{day:%Y/%m/%d}}/*.jsonl*", "columns": types}


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.uuid():
        return pa.ExtensionArray.from_storage(kind, pa.array([one and one.bytes for one in values], pa.binary(16)))
    if pa.types.is_timestamp(kind):
        return pa.array([one and one.replace(tzinfo=None) for one in values], pa.timestamp("us")).cast(kind)
    return pa.array(values, kind)


def drawn(source: Any, deployment: Deployment, window: Window) -> tuple[dict[str, int], pa.Table]:
    with source.reading(window) as reading:
        population = reading.population()
        return population, reading.sample(allocate(deployment.sample, population)).read_all()


def designs() -> st.SearchStrategy[dict[str, Any]]:
    """Sampling designs: the section `sample` of a deployment."""
    return st.fixed_dictionaries(
        {
            "rate": st.sampled_from([0.1, 0.5, 1.0]),
            "minimum_per_stratum": st.integers(0, 3),
            "strata": st.lists(st.sampled_from(sorted(STRATA)), unique=True),
            "salt": st.sampled_from(["", "salt", "s'é\\:"]),
        }
    )


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(log=logs(), choose=st.data())
def test_the_same_rows_give_the_same_sample(log: Any, choose: st.DataObject, ours: World, tmp_path: Path) -> None:
    kind, rows = log
    into_postgres(ours, kind, rows)
    sample = choose.draw(designs())
    log_keys = {"duplicates": choose.draw(st.sampled_from(["refuse", "first"]))}
    files = {"table": into_parquet(tmp_path, kind, rows, choose)}
    require_the_same(ours, sample, log_keys, files)
    require_the_same(ours, sample, log_keys | {"features": [*IN_LINES]}, into_lines(tmp_path, kind, rows, choose))


def require_the_same(ours: World, sample: dict[str, Any], log_keys: dict[str, Any], files: dict[str, Any]) -> None:
    deployment = deployed(ours, sample=sample, requests=log_keys)
    window = window_of(deployment, day(0))
    expected = drawn(DeploymentContext(deployment, ours.connection).request_source, deployment, window)
    found = deployed(ours, sample=sample, requests=log_keys | files)
    population, got = drawn(DeploymentContext(found, ours.connection).request_source, deployment, window)
    assert population == expected[0]
    if population:
        assert got.schema.equals(expected[1].schema, check_metadata=True)
        assert got.to_pylist() == expected[1].to_pylist()
        assert got.combine_chunks().equals(expected[1].combine_chunks())


ANSWERS = [(0.2, 0.5, 0.3), (0.4, 0.4, 0.2), (0.1, None, 0.9), (0.0, -0.0, -1.0), (0.5, np.nan, 0.2)]
LIKELIEST = {"0": 1.0, "1": 0.0, "2": None, "3": 0.0, "4": 1.0}


def probabilities() -> pa.Table:
    """Return requests with a probability of each of three classes, some equal, missing or no number."""
    arrays = {name: pa.array([row[place] for row in ANSWERS], from_pandas=False) for place, name in enumerate("abc")}
    times = pa.array([moment(0.5)] * len(ANSWERS), pa.timestamp("us", "UTC"))
    return pa.table({"id": range(len(ANSWERS)), "time": times, **arrays})


def of_classes(world: World, **requests: Any) -> Deployment:
    return world.deploy(
        task="multiclass",
        classes=["x", "y", "z"],
        requests={"id": "id", "time": "time", "features": ["a"], "prediction": ["a", "b", "c"], "version": None,
                  "latency": None, **requests},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )  # fmt: skip


@pytest.mark.parametrize("dialect", ["postgres", "parquet"])
def test_the_class_is_the_likeliest_the_first_of_equal_ones(dialect: str, ours: World, tmp_path: Path) -> None:
    """Not a number is larger than any number to both, and a champion that has left one out has not answered."""
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        session.execute("DROP TABLE IF EXISTS flights.random")
        session.execute("CREATE TABLE flights.random (id int, time timestamptz, a float8, b float8, c float8)")
        for number, row in enumerate(ANSWERS):
            session.execute("INSERT INTO flights.random VALUES (%s, %s, %s, %s, %s)", [number, moment(0.5), *row])
    on_disk(tmp_path)("log.parquet", encoded(probabilities()))
    table = "flights.random" if dialect == "postgres" else f"parquet:{tmp_path}/log.parquet"
    deployment = of_classes(ours, table=table)
    source = DeploymentContext(deployment, ours.connection).request_source
    _, rows = drawn(source, deployment, window_of(deployment, day(0)))
    assert dict(zip(rows["request_id"].to_pylist(), rows["champion"].to_pylist(), strict=True)) == LIKELIEST
    assert rows.schema.field("champion_probabilities").type == pa.list_(pa.float64())


def test_a_decimal_is_the_number_that_postgres_rounds_to(ours: World, tmp_path: Path) -> None:
    values = [Decimal("12345678901234567.891"), Decimal("0.123456789012345678"), Decimal("-9007199254740993.5")]
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        expected = [session.execute("SELECT %s::numeric::float8", [one]).fetchone() for one in values]
    table = pa.table({
        "id": range(3), "time": pa.array([moment(0.5)] * 3, pa.timestamp("us", "UTC")),
        "answer": pa.array(values, pa.decimal128(38, 18)),
    })  # fmt: skip
    on_disk(tmp_path)("log.parquet", encoded(table))
    deployment = deployed(
        ours, requests={"table": f"parquet:{tmp_path}/log.parquet", "features": ["answer"], "version": None}
    )
    source = DeploymentContext(deployment, ours.connection).request_source
    _, rows = drawn(source, deployment, window_of(deployment, day(0)))
    predictions = sorted(zip(rows["request_id"].to_pylist(), rows["champion"].to_pylist(), strict=True))
    assert [value for _, value in predictions] == [value for (value,) in expected]
