"""Tables of a Spark cluster, over Spark Connect: statements run there, and rows come as Arrow batches.

Whatever speaks the protocol will do: a cluster of one's own, Databricks, EMR, Glue.
"""

import datetime as dt
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
from psycopg import sql
from sqlglot import exp

from shadow_deployment.base.redaction import first_line
from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.partitions import LakeTable
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.ports import Access
from shadow_deployment.data.sources.engines.dialect import Dialect, identifier, rows_of
from shadow_deployment.data.sources.engines.port import STATEMENTS, Opened, Pieces
from shadow_deployment.data.sources.engines.table import EngineTable, column_of
from shadow_deployment.errors import CredentialsError, ShadowError, SourceError, TransientError

with warnings.catch_warnings():  # it warns of pandas 3, of which nothing is used here
    warnings.simplefilter("ignore", FutureWarning)
    from pyspark.errors import PySparkException
    from pyspark.errors.exceptions.connect import SparkConnectGrpcException
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

SETTINGS: Final = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
SPARK: Final = Dialect("spark", {"keyed_hash": "sha2(argument, 256)"})
_RETRIES: Final = 4  # within some five seconds; then the step is tried again as a whole
_PORT: Final = 15002
_TYPES: Final = {
    "int": "integer",
    "string": "varchar",
    "timestamp": "timestamp with time zone",
    "timestamp_ntz": "timestamp",
    "void": '"null"',
}
_REFUSED: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED")
_NAME_ERRORS, _VALUE_ERRORS, _NOT_ALLOWED = "42", "22", "42501"  # classes of SQLSTATE, and one of the first
_DETAILS: Final = re.compile(r'^\s*details = "(.*)"$', re.MULTILINE)
_SIZE: Final = re.compile(r"sizeInBytes=([0-9.]+)(?:E\+(\d+))? (B|[KMGTPE]iB)")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_UNKNOWN: Final = 8 << 60  # what Spark says of a table whose size it does not know


class ConnectSession:
    """What statements run in, as `EngineSession`; `table` is the one that they read."""

    def __init__(self, spark: SparkSession, table: exp.Expression) -> None:
        self._spark = spark
        self._table = table

    def bring(self, name: str, parts: Iterable[pa.Table]) -> None:
        """Let statements read these rows under a name: they are sent, and kept until the session ends."""
        self._spark.createDataFrame(pa.concat_tables(parts)).createOrReplaceTempView(name)

    def stream(self, statement: Path, pieces: Pieces, values: Mapping[str, Any]) -> pa.RecordBatchReader:
        """Run a statement and return its rows in batches, as Spark sends them."""
        frame = self._spark.sql(self._text(statement, pieces, values))
        plan = frame._plan.to_proto(self._spark.client)  # toArrow() would hold all rows in memory
        tables = (part for part in self._spark.client.to_table_as_iterator(plan, {}) if isinstance(part, pa.Table))
        first = next(tables)  # there is one without rows where there are none
        batches = (batch for table in chain([first], tables) for batch in table.to_batches())
        return pa.RecordBatchReader.from_batches(first.schema, batches)

    def planned_bytes(self, statement: Path, pieces: Pieces, values: Mapping[str, Any]) -> int | None:
        """Return how many bytes Spark expects to read for a statement, None where it does not know."""
        [(plan,)] = self._spark.sql(f"EXPLAIN COST {self._text(statement, pieces, values)}").collect()
        optimized = plan.partition("== Physical Plan ==")[0]
        *_, (number, exponent, unit) = _SIZE.findall(optimized)  # what the plan begins with comes last
        size = float(number) * 10 ** int(exponent or 0) * 1024 ** _UNITS.index(unit)
        return int(size) if size < _UNKNOWN else None

    def _text(self, statement: Path, pieces: Pieces, values: Mapping[str, Any]) -> str:
        return SPARK.written(load_literal_statement(statement, pieces, {}).as_string(), self._table, values)


class SparkEngine:
    """One table of Spark; `key` and `name` are what the deployment calls it, such as requests.table.

    Statements name the time of what they read, by which Spark leaves out partitions and files.
    """

    holds_many = False  # a driver of 1 GB has no room for three million ids

    def __init__(self, connection: Connection, key: str, name: str) -> None:
        self._connection = connection
        self._what = f"{key} == {name!r}"
        self._name = name
        self._table = LakeTable.parse(name)

    @contextmanager
    def open_between(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Iterator[Opened]:  # noqa: ARG002
        """Open the partitions of these days, and of the day before and after, or all where there is none of a day."""
        with self._opened(start.date(), end.date()) as (session, table):
            yield Opened(session, table)

    @contextmanager
    def open_until(self, until: dt.datetime) -> Iterator[Opened]:  # noqa: ARG002 (statements name the time)
        """Open the table."""
        with self._opened() as (session, table):
            yield Opened(session, table)

    @contextmanager
    def open_newest(self, since: dt.date) -> Iterator[Opened]:  # noqa: ARG002 (statements name the time)
        """Open the table."""
        with self._opened() as (session, table):
            yield Opened(session, table)

    def access(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Access:
        """Return the size of what Spark expects to read."""
        with self._opened(start.date(), end.date()) as (session, table):
            pieces = table.time_pieces(time, key) | {"stratum": sql.SQL("'all'"), "once": sql.SQL("")}
            values = {"since": start, "start": start, "end": end}
            size = session.planned_bytes(STATEMENTS / "population.sql", pieces, values)
        return Access(self._name, "files", bytes=size)

    @contextmanager
    def _opened(self, *days: dt.date) -> Iterator[tuple[ConnectSession, EngineTable]]:
        with _session(self._connection, self._what) as spark:
            fields = spark.table(identifier(self._table).sql("spark")).schema.fields
            columns = {field.name: column_of(field.name, _type(field.dataType.simpleString())) for field in fields}
            table = EngineTable(self._name, columns)
            yield ConnectSession(spark, rows_of(self._table, table, *days)), table


@contextmanager
def _session(connection: Connection, what: str) -> Iterator[SparkSession]:
    """Open a session in UTC; `what` names the table in errors."""
    where = f"{what} in Spark of connection {connection.conn_id}"
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]", UserWarning)  # an error says it
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # it would log statements, and values of rows
    try:
        spark = SparkSession.builder.remote(_address(connection)).create()
        try:
            spark.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
            for name, value in SETTINGS.items():
                spark.conf.set(name, value)
            yield spark
        finally:
            spark.stop()
    except (PySparkException, pa.ArrowInvalid) as error:
        raise _meaning(error, where) from None  # its cause may hold a value of a row


def _address(connection: Connection) -> str:
    """Return sc://HOST:PORT/;NAME=VALUE of a connection with the fields of Airflow's own type spark_connect.

    Login is the user, the password a token; extra has use_ssl, and headers such as x-databricks-cluster-id.
    """
    if not connection.host:
        raise CredentialsError(f"connection {connection.conn_id}: host is missing, must be that of Spark Connect")
    named = {"user_id": connection.login, "token": connection.password, "user_agent": "shadow_deployment"}
    settings = {key: value for key, value in (named | dict(connection.extra)).items() if value not in (None, "")}
    written = [f"{key}={quote(_setting(value), safe='')}" for key, value in settings.items()]
    host = connection.host.removeprefix("sc://").rstrip("/")
    return f"sc://{host}:{connection.port or _PORT}/;{';'.join(written)}"


def _setting(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _meaning(error: PySparkException | pa.ArrowInvalid, where: str) -> ShadowError:
    """Return the meaning of an error, without what may be a value of a row."""
    if not isinstance(error, PySparkException):
        return SourceError(f"{where}: an answer is no Arrow that can be read")
    state, text = str(error.getSqlState() or ""), f"{where}: {_text(error)}"
    code = error.getGrpcStatusCode().name if isinstance(error, SparkConnectGrpcException) else None
    if code in _REFUSED or state == _NOT_ALLOWED:
        return CredentialsError(text)
    if state.startswith(_VALUE_ERRORS):
        return SourceError(f"{where}: a value cannot be read: {error.getCondition()}, SQLSTATE {state}")
    if state.startswith(_NAME_ERRORS):
        return SourceError(text)
    return TransientError(text)


def _text(error: PySparkException) -> str:
    """Return the first line of an error, or what gRPC says where there was no answer."""
    details = _DETAILS.search(str(error))
    return details[1] if details else first_line(error)


def _type(of_spark: str) -> str:
    """Return a type as DuckDB names it."""
    return "varchar" if re.fullmatch(r"(var)?char\(\d+\)", of_spark) else _TYPES.get(of_spark, of_spark)
