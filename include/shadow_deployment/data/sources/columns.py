"""The columns of a sample, as SQL that Postgres and DuckDB both understand, and its rows as Arrow batches."""

from collections.abc import Iterator, Sequence
from itertools import chain, count

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import KEY, LOGGED
from shadow_deployment.config.sources.tables import FeaturesFrom
from shadow_deployment.data.ports import UNVERSIONED
from shadow_deployment.data.sampling import Draw
from shadow_deployment.data.sources.identity import columns_of_key, key_column, key_text
from shadow_deployment.data.sources.table import Table
from shadow_deployment.errors import SourceError


def request_pieces(table: Table, deployment: Deployment) -> dict[str, sql.Composable]:
    """Return the SQL that statements over the log contain.

    "id" is its text, "ids" its columns, "names" those of "columns"; the others are "hashed" and "stratum".

    Where requests share labels, those of one key are hashed alike, so that they are drawn together.

    Raises SourceError where a column is missing or has a type that cannot be used.
    """
    log = deployment.requests
    columns = _champion(table, log.prediction_columns)
    columns["champion_version"] = sql.Literal(UNVERSIONED)
    if log.version is not None:
        version = table.text(log.version, "requests.version")
        columns["champion_version"] = sql.SQL("coalesce({}, {})").format(version, UNVERSIONED)
    columns["champion_latency_ms"] = (
        sql.SQL("NULL::float8") if log.latency is None else table.number(log.latency, "requests.latency")
    )
    id_text = key_text(table, log.id, "requests.id")
    hashed = id_text
    if deployment.labels.key is not None:
        columns["label_key"] = key_text(table, deployment.labels.key, "labels.key")
        by_key = "CASE WHEN {0} IS NOT NULL THEN coalesce({1}, {0}) END"
        hashed = sql.SQL(by_key).format(hashed, columns["label_key"])
    for name, key in _input_columns(deployment).items():
        columns[name] = table.feature(name, key)
    for name in chain.from_iterable(each.logged_columns(log.table) for each in deployment.challengers):
        if table.has_number(name):  # else that challenger alone cannot be scored
            columns[f"{LOGGED}{name}"] = table.number(name, "model")
    for position, challenger in enumerate(deployment.challengers):
        if (wanted := challenger.features_from) and (name := key_column(deployment, wanted)).startswith(KEY):
            columns[name] = key_text(table, wanted.key or (), f"challengers[{position}].features_from.key")
    return {
        "id": id_text,
        "ids": sql.SQL(", ").join(map(sql.Identifier, columns_of_key(log.id))),
        "hashed": hashed,
        "stratum": _stratum(table, deployment.sample.strata),
        "columns": sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(column, sql.Identifier(name)) for name, column in columns.items()
        ),
        "names": sql.SQL(", ").join(map(sql.Identifier, columns)),
    }


def feature_columns(table: Table, wanted: FeaturesFrom, key: str) -> dict[str, sql.Composable]:
    """Return the SQL of a challenger's own "columns" and their "names"; `key` is the deployment's name for them."""
    columns = [table.feature(name, f"{key}.features") for name in wanted.features]
    names = [sql.Identifier(name) for name in wanted.features]
    return {
        "columns": sql.SQL(", ").join(map(sql.SQL("{} AS {}").format, columns, names)),
        "names": sql.SQL(", ").join(names),
    }


def label_pieces(table: Table, deployment: Deployment) -> dict[str, sql.Composable]:
    """Return the SQL of a label: "label" is its column, and "value" a number, NaN where it is no label of the task.

    Raises SourceError where the column is missing or has a type that cannot be used.
    """
    labels = deployment.labels
    column = sql.Identifier(labels.value)
    if deployment.classes:
        value = table.number_of_text(labels.value, "labels.value", dict(zip(deployment.classes, count(), strict=False)))
    elif labels.positive is not None:
        negative = {} if labels.negative is None else {labels.negative: 0}
        otherwise = None if negative else 0
        value = table.number_of_text(labels.value, "labels.value", {labels.positive: 1, **negative}, otherwise)
    else:
        number = _label_number(table, deployment)
        is_label = (
            "{0} IN (0, 1)" if deployment.task == "binary" else "{0} > '-Infinity'::float8 AND {0} < 'Infinity'::float8"
        )
        value = sql.SQL("(CASE WHEN {1} AND " + is_label + " THEN {0} ELSE 'NaN'::float8 END)").format(
            number, table.fits_double(labels.value, "labels.value")
        )
    return {"label": column, "value": value}


def without_field_metadata(batches: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return the same rows without a driver's notes on their fields, so that their bytes name no source."""
    schema = pa.schema([(field.name, _without_metadata(field.type)) for field in batches.schema])
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in batches))


def first_of_each_stratum(batches: pa.RecordBatchReader, draws: Sequence[Draw]) -> pa.RecordBatchReader:
    """Return the first rows of each stratum, as many as are drawn; rows come stratum by stratum."""
    strata = pa.array([draw.stratum for draw in draws], pa.string())
    sizes = np.array([draw.size for draw in draws], np.int64)

    def drawn() -> Iterator[pa.RecordBatch]:
        counts = np.zeros(len(draws), np.int64)  # of the rows of each stratum in the batches before
        for batch in batches:
            stratum = pc.index_in(batch["stratum"], strata).to_numpy()
            starts = np.searchsorted(stratum, np.arange(len(draws)))
            place = np.arange(batch.num_rows) - starts[stratum] + counts[stratum]
            counts += np.bincount(stratum, minlength=len(draws))
            is_drawn = place < sizes[stratum]
            yield batch if is_drawn.all() else batch.filter(pa.array(is_drawn))

    return pa.RecordBatchReader.from_batches(batches.schema, drawn())


def _input_columns(deployment: Deployment) -> dict[str, str]:
    """Return the features, slices and strata, each with the key that names it first."""
    named = {
        "requests.features": deployment.requests.features,
        "slices": deployment.slices,
        "sample.strata": deployment.sample.strata,
    }
    keys: dict[str, str] = {}
    for key, names in named.items():
        for name in names:
            keys.setdefault(name, key)
    return keys


def _without_metadata(type_: pa.DataType) -> pa.DataType:
    return pa.list_(type_.value_type) if pa.types.is_list(type_) else type_


def _champion(table: Table, names: Sequence[str]) -> dict[str, sql.Composable]:
    """Return the champion's prediction: a number, or the likeliest class, counted from 0, and all probabilities."""
    numbers = [table.number(name, "requests.prediction") for name in names]
    if len(numbers) == 1:
        return {"champion": numbers[0]}
    array = sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(numbers))
    is_complete = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(number) for number in numbers)
    complete = sql.SQL("CASE WHEN {} THEN {} END")
    return {
        "champion": complete.format(is_complete, table.argmax(array)),
        "champion_probabilities": complete.format(is_complete, array),
    }


def _label_number(table: Table, deployment: Deployment) -> sql.Composable:
    try:
        return table.number(deployment.labels.value, "labels.value")
    except SourceError as error:
        hint = "; where it is text, labels.positive names the one that means 1" if deployment.task == "binary" else ""
        raise SourceError(f"{error}{hint}") from None


def _stratum(table: Table, names: Sequence[str]) -> sql.Composable:
    if not names:
        return sql.SQL("'all'::text")
    parts = [sql.SQL("coalesce({}, '(null)')").format(table.text(name, "sample.strata")) for name in names]
    return sql.SQL("concat_ws('/', {})").format(sql.SQL(", ").join(parts))
