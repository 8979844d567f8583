"""The columns of a sample, as pieces of SQL that Postgres and DuckDB both understand."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.ports import UNVERSIONED

if TYPE_CHECKING:
    from shadow_deployment.data.sampling import Draw
    from shadow_deployment.data.sources.catalogue import Table


def request_pieces(table: "Table", deployment: Deployment) -> dict[str, sql.Composable]:
    """Return the pieces that the statements over the log name: id, stratum, columns, and the columns' names.

    Raises SourceError where a column is missing or has a type that cannot be used.
    """
    requests = deployment.requests
    columns = [
        *_answers(table, requests.columns),
        _named(_version(table, requests.version), "champion_version"),
        _named(_latency(table, requests.latency), "champion_latency_ms"),
        *(_named(table.feature(name, key), name) for name, key in inputs(deployment).items()),
    ]
    return {
        "id": sql.Identifier(requests.id),
        "stratum": _stratum(table, deployment.sample.strata),
        "columns": sql.SQL(", ").join(columns),
        "names": sql.SQL(", ").join(sql.Identifier(name) for name in column_names(deployment)),
    }


def label_value(table: "Table", deployment: Deployment) -> sql.Composed:
    """Return a label as a number: its own value, or which of the classes it is."""
    column = deployment.labels.value
    if deployment.classes:
        return table.position(column, "labels.value", deployment.classes)
    return table.number(column, "labels.value")


def column_names(deployment: Deployment) -> list[str]:
    """Return the columns that a sample holds behind request_id, requested_at and stratum."""
    probabilities = ["champion_probabilities"] if deployment.classes else []
    return ["champion", *probabilities, "champion_version", "champion_latency_ms", *inputs(deployment)]


def inputs(deployment: Deployment) -> dict[str, str]:
    """Return the features, slices and strata, each with the key that names it first."""
    named = {
        "requests.features": deployment.requests.features,
        "slices": deployment.slices,
        "sample.strata": deployment.sample.strata,
    }
    columns: dict[str, str] = {}
    for key, names in named.items():
        for name in names:
            columns.setdefault(name, key)
    return columns


def plain(batches: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the same rows without what a driver notes beside a column, so that their bytes tell no source."""
    schema = pa.schema([pa.field(one.name, _plain_type(one.type)) for one in batches.schema])

    def stripped() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch.cast(schema)

    return pa.RecordBatchReader.from_batches(schema, stripped())


def cut(batches: pa.RecordBatchReader, draws: "Sequence[Draw]") -> pa.RecordBatchReader:
    """Return the first rows of each stratum, as many as are drawn; rows come stratum by stratum."""
    strata = pa.array([draw.stratum for draw in draws], pa.string())
    sizes = np.array([draw.size for draw in draws], np.int64)

    def first() -> Iterator[pa.RecordBatch]:
        seen = np.zeros(len(draws), np.int64)
        for batch in batches:
            stratum = pc.index_in(batch["stratum"], strata).to_numpy()
            inside = np.bincount(stratum, minlength=len(draws))
            begins = np.searchsorted(stratum, np.arange(len(draws)))
            place = np.arange(batch.num_rows) - begins[stratum] + seen[stratum]
            seen += inside
            drawn = place < sizes[stratum]
            yield batch if drawn.all() else batch.filter(pa.array(drawn))

    return pa.RecordBatchReader.from_batches(batches.schema, first())


def _plain_type(found: pa.DataType) -> pa.DataType:
    return pa.list_(found.value_type) if pa.types.is_list(found) else found


def _named(expression: sql.Composable, name: str) -> sql.Composed:
    return sql.SQL("{} AS {}").format(expression, sql.Identifier(name))


def _answers(table: "Table", columns: Sequence[str]) -> list[sql.Composable]:
    """Return the champion's answer: a number, or the likeliest class, counted from 0, and all probabilities."""
    numbers = [table.number(column, "requests.prediction") for column in columns]
    if len(numbers) == 1:
        return [_named(numbers[0], "champion")]
    array = sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(numbers))
    whole = sql.SQL("array_position({}, NULL) IS NULL").format(array)
    case = sql.SQL("CASE WHEN {} THEN {} END")
    return [
        _named(case.format(whole, table.likeliest(array)), "champion"),
        _named(case.format(whole, array), "champion_probabilities"),
    ]


def _version(table: "Table", column: str | None) -> sql.Composable:
    if column is None:
        return sql.Literal(UNVERSIONED)
    return sql.SQL("coalesce({}, {})").format(table.text(column, "requests.version"), sql.Literal(UNVERSIONED))


def _latency(table: "Table", column: str | None) -> sql.Composable:
    return sql.SQL("NULL::float8") if column is None else table.number(column, "requests.latency")


def _stratum(table: "Table", columns: Sequence[str]) -> sql.Composable:
    if not columns:
        return sql.SQL("'all'::text")
    parts = [sql.SQL("coalesce({}, '(null)')").format(table.text(column, "sample.strata")) for column in columns]
    return sql.SQL("concat_ws('/', {})").format(sql.SQL(", ").join(parts))
