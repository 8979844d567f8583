"""One window of a log in Postgres, read in pieces along the index of its time, so that production pauses in between.

Each piece is a statement and so a transaction of its own. While this process pauses, production's server keeps no
snapshot for it, which vacuum would wait for, and no lock. The window is over, so that its rows should be what they are;
where requests still arrive in it, or go, fewer or more are drawn from than were counted, and that is an error.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window
from shadow_deployment.data.db import Session
from shadow_deployment.data.sources.postgres.reading import PostgresReading
from shadow_deployment.data.sources.postgres.throttle import Throttle, is_cheaper, round_trip_seconds
from shadow_deployment.errors import TransientError

_MIN_ROWS: Final = 256  # fewer cost the server more to begin with than to read
_MAX_ROWS: Final = 100_000
_TICK: Final = dt.timedelta(microseconds=1)  # the resolution of Postgres's times
_PARAMETERS: Final = {"after": sql.SQL("$1"), "rows": sql.SQL("$2")}
_SETTINGS: Final = (  # a piece is a walk along the index: any other plan reads all rows before its first
    "SET enable_seqscan TO off",
    "SET enable_bitmapscan TO off",
    "SET plan_cache_mode TO force_generic_plan",  # the same for every piece, so it is made once
)
_HERE: Final = Path(__file__).parent


class ThrottledReading(PostgresReading):
    """One window of the log; production works for `share` of the time."""

    def __init__(
        self, cursor: Any, pieces: Mapping[str, sql.Composable], window: Window, deployment: Deployment, share: float
    ) -> None:
        from adbc_driver_postgresql import StatementOptions

        super().__init__(cursor, pieces, window, deployment.salt)
        self._table = deployment.requests.table
        for setting in _SETTINGS:
            cursor.execute(setting)
        cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})  # it reads no prepared query
        self._share, self._round_trip = share, round_trip_seconds(lambda: cursor.execute("SELECT 1"))
        self._counted = 0

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        population = Counter[str]()
        for piece in self._read("piece_population.sql", self._pieces):
            population.update(dict(zip(piece["stratum"].to_pylist(), piece["population"].to_pylist(), strict=True)))
        self._counted = population.total()
        return dict(population)

    def _candidates(self, **values: Any) -> pa.RecordBatchReader:
        """Return the rows of sample.sql, in any order; reading them raises TransientError where rows come or go."""
        until = sql.SQL("{0} >= $1 AND {0} <= (SELECT {1} FROM piece)")
        inside = until.format(self._pieces["time"], sql.Identifier("piece last"))
        sample = load_literal_statement(_HERE / "sample.sql", {**self._pieces, "inside": inside}, values)
        pieces = self._read("piece_sample.sql", {**self._pieces, "sample": sample})

        def batches() -> Iterator[pa.RecordBatch]:
            drawn_from = 0
            for piece in chain([first], pieces):
                drawn_from += _rows_of(piece)
                yield from _drawn(piece).to_batches()
            if drawn_from != self._counted:
                raise TransientError(
                    f"requests.table == {self._table!r} held {self._counted} requests from {self._window} when they "
                    f"were counted, and {drawn_from} when they were drawn: the log of a day that is over still "
                    "changes; run the day again once it is complete"
                )

        first = next(pieces)
        return pa.RecordBatchReader.from_batches(_drawn(first).schema, batches())

    def _read(self, name: str, pieces: Mapping[str, sql.Composable], **values: Any) -> Iterator[pa.Table]:
        """Yield the result of a statement for each piece, with "piece rows" and "piece last" as its first columns."""
        statement = self._statement(name, {**pieces, **_PARAMETERS}, **values)
        self._cursor.execute("DEALLOCATE ALL")
        self._cursor.execute(f"PREPARE piece (timestamptz, bigint) AS {statement}")
        throttle = Throttle(self._share, _MIN_ROWS, _MAX_ROWS, self._round_trip)
        start, size, rows = self._window.start, 0, 0
        while rows >= size:
            size = int(throttle.size)
            with throttle.chunk():
                self._cursor.execute(f"EXECUTE piece ('{start.isoformat()}', {size})")
            piece = self._cursor.fetch_arrow_table()
            yield piece
            rows = _rows_of(piece)
            start = piece["piece last"][0].as_py() + _TICK if rows else start


def feasible_share(session: Session[Any], pieces: Mapping[str, sql.Composable], window: Window, share: float) -> float:
    """Return `share`, or 1 where a piece of the window costs the server as much as the whole."""
    if share >= 1:
        return share
    parameters = {"after": sql.Literal(window.start), "rows": sql.Literal(_MIN_ROWS)}
    piece = load_literal_statement(_HERE / "piece_population.sql", {**pieces, **parameters}, window.bounds)
    whole = load_literal_statement(_HERE / "population.sql", pieces, window.bounds)
    return share if is_cheaper(session, piece, whole) else 1.0


def _rows_of(piece: pa.Table) -> int:
    """Return how many requests a piece holds."""
    return int(piece["piece rows"][0].as_py()) if piece.num_rows else 0


def _drawn(piece: pa.Table) -> pa.Table:
    """Return the rows of sample.sql: the one without a stratum is there because no other is."""
    return piece.drop_columns(["piece rows", "piece last"]).filter(pc.is_valid(piece["stratum"]))
