"""Tables of Amazon Athena: it counts a window, and narrows the log to the rows that a sample or a look-up needs.

What it answers is unloaded as Parquet below the snapshots' address, read from there by DuckDB, which draws, orders and
joins as it does over files, and removed. Ids are not brought to Athena: of a drawn request the keyed hash is low, so
labels and logged predictions are narrowed by it. What a challenger's own features are looked up by was not drawn: of it
the first digits of each hash are brought.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import sqlglot
from psycopg import sql
from sqlglot import exp

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.partitions import LakeTable
from shadow_deployment.config.sources.tables import SourceTable
from shadow_deployment.data.ports import Access
from shadow_deployment.data.sources.duckdb.formats import Parquet
from shadow_deployment.data.sources.duckdb.session import DuckDBSession, open_session
from shadow_deployment.data.sources.engines.dialect import Dialect, rows_of
from shadow_deployment.data.sources.engines.port import STATEMENTS, Opened, Pieces
from shadow_deployment.data.sources.engines.table import EngineTable, column_of
from shadow_deployment.data.sources.identity import columns_of_key
from shadow_deployment.data.sources.table import Column
from shadow_deployment.errors import SourceError
from shadow_deployment.integrations.athena.queries import RIGHTS, Queries
from shadow_deployment.integrations.aws import client, source_of, translated

ATHENA: Final = Dialect(
    "athena",
    {
        "keyed_hash": "lower(to_hex(sha256(to_utf8(argument))))",
        "microseconds": (  # UNLOAD keeps thousandths, and one double has no room for the microseconds of this century
            "CAST(to_unixtime(date_trunc('second', argument)) AS BIGINT) * 1000000 + CAST(round("
            "(to_unixtime(argument) - to_unixtime(date_trunc('second', argument))) * 1000000) AS BIGINT)"
        ),
    },
    precision=6,
)
_WINDOW: Final = "{time} >= {start} AND {time} < {end}"
_INSIDE: Final = {
    "sample.sql": "{time} >= {since} AND {time} < {end} AND {hash} < {drawn}",
    "newest.sql": _WINDOW,
    "newest_time.sql": "{time} IS NOT NULL",
    "times.sql": "true",
    "newest_version.sql": "{time} >= {start}",
    "logged.sql": f"{_WINDOW} AND {{is_asked}}",
    "labels.sql": "{time} > {start} AND {time} <= {end} AND {label} IS NOT NULL AND {is_asked}",
    "features.sql": "{moment} <= $end::timestamptz AND {is_asked}",
}
_IS_LOW: Final = "keyed_hash($salt || ':' || {}) <= {}"
_IS_ONE: Final = (
    "left(keyed_hash($salt || ':' || {}), {}) IN (SELECT hash FROM unnest(string_split({}, ' ')) AS hashes (hash))"
)
_REST: Final = {
    "newest.sql": "ORDER BY {time} DESC LIMIT $most",
    "newest_time.sql": "ORDER BY {time} DESC LIMIT 1",
    "newest_version.sql": "ORDER BY {time} DESC LIMIT 1",
    "times.sql": "ORDER BY {moment} NULLS LAST LIMIT 1",
}
_MOST_STRATA: Final = 1000  # of which each is narrowed by itself; a statement has at most 262,144 bytes
_HASHES: Final = """
SELECT {}, coalesce(bool_and(id IS NOT NULL), true)
FROM (
    SELECT id, keyed_hash($salt || ':' || id) AS hash
    FROM (SELECT {} AS id FROM requests WHERE request_id IS NOT NULL)
)
"""
_WHOLE_NUMBER: Final = """
CASE WHEN regexp_full_match(request_id, '-?[0-9]+') THEN CAST(TRY_CAST(request_id AS bigint) AS varchar) END
"""
_DIGITS: Final = 8  # of a hash
_MOST_HASHES: Final = 20_000  # of a statement
_RECENT: Final = dt.timedelta(days=400)  # as many partitions are named at most


class AthenaTable(EngineTable):
    """A table of Athena, of whose ids the text must be the same there and here."""

    def part_of_key(self, name: str, key: str) -> sql.Composed:
        """Return a column as its text in a key of several columns; raise SourceError where it is a time."""
        column = self.require(name, key)
        if column.type.startswith("timestamp"):
            raise SourceError(
                f"{key}: column {name!r} is of type {column.type}, must be text, a whole number, a boolean or a date "
                "in Athena, which writes a time to thousandths of a second"
            )
        return self.text(name, key)


@dataclass(frozen=True)
class _Field:
    """A column of what is unloaded, under a name that any reader takes, and the one of the table that it is."""

    unloaded: str
    column: Column

    @property
    def written(self) -> sql.Composable:
        """The column as Athena unloads it."""
        form = "microseconds({}) AS {}" if self._is_time else "{} AS {}"
        return sql.SQL(form).format(sql.Identifier(self.column.name), sql.Identifier(self.unloaded))

    @property
    def read(self) -> str:
        """The column of the table, as DuckDB reads it from what was unloaded."""
        name, value = sql.Identifier(self.column.name).as_string(), sql.Identifier(self.unloaded).as_string()
        if self._is_time:
            function = "make_timestamptz" if "with time zone" in self.column.type else "make_timestamp"
            return f"{function}({value}) AS {name}"
        return f"CAST({value} AS {self.column.cast}) AS {name}"

    @property
    def none(self) -> str:
        """The same without a file, of which no row is needed."""
        return f"CAST(NULL AS {self.column.cast}) AS {sql.Identifier(self.column.name).as_string()}"

    @property
    def _is_time(self) -> bool:
        return self.column.type.startswith("timestamp")


class AthenaSession:
    """What statements run in, as `EngineSession`: in Athena, or in DuckDB over what Athena has narrowed.

    `rows` is what `files` is in Athena, `ids` the columns of an id, and `salt` the key of the hash.
    """

    def __init__(self, queries: Queries, table: EngineTable, rows: Any, ids: Sequence[str], salt: str) -> None:
        self._queries, self._table, self._rows = queries, table, rows
        self._ids, self._salt = ids, salt
        self._brought = set[str]()
        self.opened = ExitStack()

    @cached_property
    def _here(self) -> DuckDBSession:
        session = open_session(self._queries.lake, (), self._queries.what, Parquet())
        return DuckDBSession(self.opened.enter_context(session))

    @cached_property
    def _answer(self) -> ExitStack:
        """What Athena has unloaded last: it goes before the session that reads it."""
        return self.opened.enter_context(ExitStack())

    def bring(self, name: str, parts: Iterable[pa.Table]) -> None:
        """Let statements read these rows under a name: they stay here, and say what Athena is asked for."""
        self._here.bring(name, parts)
        self._brought.add(name)

    def stream(self, statement: Path, pieces: Pieces, values: Mapping[str, Any]) -> pa.RecordBatchReader:
        """Run a statement and return its rows in batches."""
        text = load_literal_statement(statement, pieces, {}).as_string()
        if statement.name == "population.sql":
            fields = [_Field("stratum", column_of("stratum", "varchar")),
                      _Field("population", column_of("population", "bigint"))]  # fmt: skip
            self._unload([text], values, fields)
            return self._here.stream(STATEMENTS / "answer.sql", {}, {})
        names = {column.name for column in sqlglot.parse_one(text, read="duckdb").find_all(exp.Column)}
        used = [column for column in self._table.columns.values() if column.name in names]
        fields = [_Field(f"c{place}", column) for place, column in enumerate(used)]
        asked = self._asked(statement.name, pieces)
        self._unload([self._narrowed(statement.name, pieces, fields, each) for each in asked], values, fields)
        return self._here.stream(statement, pieces, values)

    def _unload(self, selects: Sequence[str], values: Mapping[str, Any], fields: Sequence[_Field]) -> None:
        """Let Athena unload rows, and open them here under the name `files`, in place of those before."""
        session = self._here.connection
        self._answer.close()
        written = (ATHENA.written(select, self._rows, {**values, "salt": self._salt}) for select in selects)
        files = [file for each in written for file in self._answer.enter_context(self._queries.unloaded(each))]
        self._answer.enter_context(self._queries.lake.serving(session, files))
        if files:
            paths = ", ".join(sql.Literal(file.path).as_string() for file in files)
            columns = f"{', '.join(field.read for field in fields)} FROM read_parquet([{paths}])"
        else:
            columns = f"{', '.join(field.none for field in fields)} WHERE false"
        session.execute(f"CREATE OR REPLACE TEMPORARY VIEW files AS SELECT {columns}")

    def _narrowed(self, statement: str, pieces: Pieces, fields: Sequence[_Field], is_asked: sql.Composable) -> str:
        """Return the statement of the rows that another one needs."""
        once = pieces["once"] if statement in ("newest.sql", "features.sql") else sql.SQL("")
        given = {**pieces, "drawn": self._drawn(pieces), "is_asked": is_asked}
        narrowed = {
            "raw": sql.SQL(", ").join(field.written for field in fields),
            "inside": sql.SQL(_INSIDE[statement]).format(**given),
            "once": once,
            "rest": sql.SQL(_REST.get(statement, "")).format(**given),
        }
        return load_literal_statement(STATEMENTS / "narrowed.sql", narrowed, {}).as_string()

    def _drawn(self, pieces: Pieces) -> sql.Composable:
        """Return the hash that no drawn row reaches: of its stratum, or the highest of all."""
        if "design" not in self._brought:
            return sql.SQL("")
        strata, hashes = zip(*self._here.connection.table("design").fetchall(), strict=True)
        if len(strata) > _MOST_STRATA or len(set(hashes)) == 1 or pieces["once"].as_string():
            return sql.Literal(max(hashes))
        cases = [sql.SQL("WHEN {} THEN {}").format(*pair) for pair in zip(strata, hashes, strict=True)]
        return sql.SQL("CASE {} {} END").format(pieces["stratum"], sql.SQL(" ").join(cases))

    def _asked(self, statement: str, pieces: Pieces) -> Sequence[sql.Composable]:
        """Return the conditions, one for each query, that an id may be one of those that are looked up.

        Drawn ids have no hash above the highest of them; of others each hash is asked for.
        """
        text = self._text_of_ids()
        if text is None:
            return [sql.SQL("true")]
        if statement != "features.sql":
            return [sql.SQL(_IS_LOW).format(pieces["text"], self._hashes("max(hash)", text))]
        digits = self._hashes(f"coalesce(list_sort(list(DISTINCT left(hash, {_DIGITS}))), [])", text)
        parts = (digits[start : start + _MOST_HASHES] for start in range(0, len(digits) or 1, _MOST_HASHES))
        return [sql.SQL(_IS_ONE).format(pieces["text"], _DIGITS, " ".join(part)) for part in parts]

    def _hashes(self, wanted: str, text: str) -> Any:
        """Return what is wanted of the hashes of the ids that are looked up, whose text in Athena is this SQL."""
        [(found, all_are_ids)] = self._here.connection.execute(
            _HASHES.format(wanted, text), {"salt": self._salt}
        ).fetchall()
        if not all_are_ids:
            raise SourceError(f"{self._queries.what}: ids are whole numbers there, and that of a request is none")
        return found

    def _text_of_ids(self) -> str | None:
        """Return the ids that are looked up as Athena has their text; None without ids, or where that may differ.

        An id of several columns, or of one that is neither text nor a whole number, may be written in two ways.
        """
        category = {self._table.columns[name].category for name in self._ids}
        if "requests" not in self._brought:
            return None
        if category == {"S"}:
            return "request_id"
        return _WHOLE_NUMBER if len(self._ids) == 1 and category == {"N"} else None


class AthenaEngine:
    """One table of Athena, which a deployment names."""

    holds_many = True

    def __init__(self, table: SourceTable, salt: str, queries: Queries, glue: Any) -> None:
        self._name, self._ids, self._salt = table.table, columns_of_key(table.id), salt
        self._table = LakeTable.parse(table.table)
        self._queries, self._glue = queries, glue

    @contextmanager
    def open_between(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Iterator[Opened]:  # noqa: ARG002
        """Open the partitions of these days, and of the day before and after, or all where there is none of a day."""
        self._queries.scanned = 0
        with self._opened(start.date(), end.date()) as opened:
            yield opened

    @contextmanager
    def open_until(self, until: dt.datetime) -> Iterator[Opened]:  # noqa: ARG002 (statements name the time)
        """Open the table."""
        with self._opened() as opened:
            yield opened

    @contextmanager
    def open_newest(self, since: dt.date) -> Iterator[Opened]:
        """Open the table, or the partitions of its days from `since` on where that is in the last weeks."""
        today = dt.datetime.now(dt.UTC).date()
        days = (since, today) if today - since < _RECENT else ()
        with self._opened(*days) as opened:
            yield opened

    def access(self, start: dt.datetime, end: dt.datetime, time: str, key: str) -> Access:  # noqa: ARG002
        """Return how many bytes were scanned since rows were last opened: Athena says it of no query before it runs."""
        return Access(self._name, "files", bytes=self._queries.scanned or None)

    @contextmanager
    def _opened(self, *days: dt.date) -> Iterator[Opened]:
        table = AthenaTable(self._name, self._columns())
        session = AthenaSession(self._queries, table, rows_of(self._table, table, *days), self._ids, self._salt)
        with session.opened:
            yield Opened(session, table)

    def _columns(self) -> dict[str, Column]:
        database, name = self._table.names
        with self._queries.translated():
            table = self._glue.get_table(DatabaseName=database, Name=name)["Table"]
        columns = [*table.get("StorageDescriptor", {}).get("Columns", []), *table.get("PartitionKeys", [])]
        return {each["Name"]: column_of(each["Name"], _type(each["Type"].lower())) for each in columns}


def open_athena(deployment: Deployment, key: str, table: SourceTable) -> AthenaEngine:
    """Return what reads a table that a deployment names by `key`, with the credentials of its connection to AWS.

    Without one, with those that boto3 finds by itself. Raises CredentialsError where the connection is not declared,
    SourceError where it cannot be used.
    """
    conn_id = table.conn_id
    credentials, what = source_of(conn_id), f"{key} == {table.table!r}"
    try:
        with translated(what, credentials, RIGHTS, kind=SourceError):
            athena, s3, glue = (client(service, conn_id) for service in ("athena", "s3", "glue"))
    except ValueError as error:  # an endpoint or a setting that boto3 refuses
        raise SourceError(f"{what}: {error} (credentials of {credentials}); correct the connection") from error
    return AthenaEngine(table, deployment.salt, Queries(deployment, what, athena, s3, credentials), glue)


def _type(of_athena: str) -> str:
    """Return a type as DuckDB names it."""
    return "varchar" if re.match(r"(var)?char\(|string$", of_athena) else {"int": "integer"}.get(of_athena, of_athena)
