"""One window of a log in Postgres, read in chunks so that production pauses in between, and sorted here.

A cursor moves through the window, so that a few rows cost no more than themselves.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.window import Window
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.columns import first_of_each_stratum, without_field_metadata
from shadow_deployment.data.sources.ordering import sort_by_draw
from shadow_deployment.data.sources.postgres.throttle import Throttle, is_cheaper, round_trip_seconds

_PARTS: Final = 2000  # a window is read in chunks if this share of it costs less than all
_MAX_CHUNK_ROWS: Final = 100_000
_HERE: Final = Path(__file__).parent


class PostgresReading:
    """One window of the log, in one transaction that works for `share` of the time."""

    def __init__(
        self,
        cursor: Any,
        pieces: Mapping[str, sql.Composable],
        window: Window,
        salt: str,
        share: float,
    ) -> None:
        self._cursor, self._share = cursor, share
        self._pieces, self._window, self._salt = pieces, window, salt
        self._round_trip = _prepare_chunks(cursor) if share < 1 else 0.0

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        if self._share >= 1:
            counts = self._read_at_once(self._statement("population.sql")).read_all()
            return dict(zip(counts["stratum"].to_pylist(), counts["population"].to_pylist(), strict=True))
        population = Counter[str]()
        for batch in self._read_in_chunks(self._statement("strata.sql")):
            for count in batch["stratum"].value_counts().to_pylist():
                population[count["values"]] += count["counts"]
        return dict(population)

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw, as `Reading` does."""
        highest = [HASHES if all_candidates else draw.candidates for draw in draws]
        statement = self._statement(
            "sample.sql",
            salt=self._salt,
            strata=[draw.stratum for draw in draws],
            candidates=highest,
            everything=all(hash_ == HASHES for hash_ in highest),
        )
        rows = self._read_at_once(statement) if self._share >= 1 else self._read_in_chunks(statement)
        return first_of_each_stratum(sort_by_draw(without_field_metadata(rows), draws, highest), draws)

    def newest(self, most: int) -> pa.Table:
        """Return the newest requests of the window, as `Reading` does."""
        return without_field_metadata(self._read_at_once(self._statement("newest.sql", most=most))).read_all()

    def _read_at_once(self, statement: str) -> pa.RecordBatchReader:
        self._cursor.execute(statement)
        reader: pa.RecordBatchReader = self._cursor.fetch_record_batch()
        return reader

    def _read_in_chunks(self, statement: str) -> pa.RecordBatchReader:
        self._cursor.execute("CLOSE ALL")
        self._cursor.execute(f"DECLARE reading NO SCROLL CURSOR FOR {statement}")
        throttle = Throttle(self._share, 1, _MAX_CHUNK_ROWS, self._round_trip)

        def next_rows() -> tuple[pa.Table, int]:
            size = int(throttle.size)
            with throttle.chunk():
                self._cursor.execute(f"FETCH {size} FROM reading")
            return self._cursor.fetch_arrow_table(), size

        def batches() -> Iterator[pa.RecordBatch]:
            rows, size = first_rows
            yield from rows.to_batches()
            while rows.num_rows == size:
                rows, size = next_rows()
                yield from rows.to_batches()

        first_rows = next_rows()
        return pa.RecordBatchReader.from_batches(first_rows[0].schema, batches())

    def _statement(self, name: str, **values: Any) -> str:
        return load_literal_statement(_HERE / name, self._pieces, {**values, **self._window.bounds}).as_string()


def _prepare_chunks(cursor: Any) -> float:
    """Let the transaction read in chunks; return the seconds of a round trip to the server.

    Cursors follow the index of the window's time: any other plan reads all rows before its first. Rows are fetched
    without COPY, which plans a small query twice and cannot read from a cursor.
    """
    from adbc_driver_postgresql import StatementOptions

    for plan in ("seqscan", "bitmapscan"):
        cursor.execute(f"SET LOCAL enable_{plan} TO off")
    cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})
    return round_trip_seconds(lambda: cursor.execute("SELECT 1"))


def feasible_share(session: Session[Any], pieces: Mapping[str, sql.Composable], window: Window, share: float) -> float:
    """Return `share`, or 1 where a part of the window costs the server as much as the whole."""
    if share >= 1:
        return share
    middle = window.start + (window.end - window.start) / 2
    bounds = {"start": middle, "end": middle + (window.end - window.start) / _PARTS}
    part, whole = (
        load_literal_statement(_HERE / "population.sql", pieces, values) for values in (bounds, window.bounds)
    )
    return share if is_cheaper(session, part, whole) else 1.0
