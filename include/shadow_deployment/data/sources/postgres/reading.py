"""One window of a log in Postgres, read in pieces so that production rests in between, and sorted here.

A cursor goes through the window: its next rows cost nothing but themselves, and so may be few.
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
from shadow_deployment.data.sources.columns import cut, plain
from shadow_deployment.data.sources.ordering import in_order
from shadow_deployment.data.sources.postgres.throttle import Throttle, is_divisible, trip

_PARTS: Final = 2000  # a window of so many is worth dividing if one of them costs less than all
_MOST_ROWS: Final = 100_000  # of a piece
_HERE: Final = Path(__file__).parent


class PostgresReading:
    """One window of the log, in one transaction, at a pace of `share`."""

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
        self._away = _for_pieces(cursor) if share < 1 else 0.0

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        if self._share >= 1:
            strata = self._at_once(self._statement("population.sql")).read_all()
            return dict(zip(strata["stratum"].to_pylist(), strata["population"].to_pylist(), strict=True))
        counted = Counter[str]()
        for batch in self._in_pieces(self._statement("strata.sql")):
            for one in batch["stratum"].value_counts():
                counted[one["values"].as_py()] += one["counts"].as_py()
        return dict(counted)

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw: strata by name, in each by hash.

        Columns: request_id, requested_at, stratum, champion, champion_version, champion_latency_ms, then features,
        slices and strata under their own names. `all_candidates` sorts every row, where the shortcut fell short.
        """
        highest = [HASHES if all_candidates else draw.candidates for draw in draws]
        values = {
            "salt": self._salt,
            "strata": [draw.stratum for draw in draws],
            "candidates": highest,
            "everything": all(high == HASHES for high in highest),
        }
        statement = self._statement("sample.sql", **values)
        rows = plain(self._at_once(statement) if self._share >= 1 else self._in_pieces(statement))
        return cut(in_order(rows, draws, highest), draws)

    def _at_once(self, statement: str) -> pa.RecordBatchReader:
        self._cursor.execute(statement)
        found: pa.RecordBatchReader = self._cursor.fetch_record_batch()
        return found

    def _in_pieces(self, statement: str) -> pa.RecordBatchReader:
        """Return what a statement finds, some rows at a time."""
        self._cursor.execute("CLOSE ALL")
        self._cursor.execute(f"DECLARE found NO SCROLL CURSOR FOR {statement}")
        throttle = Throttle(self._share, 1, _MOST_ROWS, self._away)

        def next_rows() -> tuple[pa.Table, int]:
            size = int(throttle.size)
            with throttle.piece():
                self._cursor.execute(f"FETCH {size} FROM found")
            return self._cursor.fetch_arrow_table(), size

        def rows() -> Iterator[pa.RecordBatch]:
            found, size = first
            yield from found.to_batches()
            while found.num_rows == size:
                found, size = next_rows()
                yield from found.to_batches()

        first = next_rows()
        return pa.RecordBatchReader.from_batches(first[0].schema, rows())

    def _statement(self, name: str, **values: Any) -> str:
        return load_literal_statement(_HERE / name, self._pieces, {**values, **self._window.bounds}).as_string()


def _for_pieces(cursor: Any) -> float:
    """Let the transaction read by pieces; return the seconds in which we wait for a server that is asked for nothing.

    Its cursors go through the window along its index: no other plan has its first rows without reading all of them.
    Rows come as they are: a COPY of a few is planned twice, and none can be made of a cursor's next ones.
    """
    from adbc_driver_postgresql import StatementOptions

    for plan in ("seqscan", "bitmapscan"):
        cursor.execute(f"SET LOCAL enable_{plan} TO off")
    cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})
    return trip(lambda: cursor.execute("SELECT 1"))


def share_of(session: Session[Any], pieces: Mapping[str, sql.Composable], window: Window, share: float) -> float:
    """Return the pace at which a window is read: 1 where a part of it costs as much as the whole."""
    if share >= 1:
        return share
    half = window.start + (window.end - window.start) / 2
    little = {"start": half, "end": half + (window.end - window.start) / _PARTS}
    part, whole = (load_literal_statement(_HERE / "population.sql", pieces, one) for one in (little, window.bounds))
    return share if is_divisible(session, part, whole) else 1.0
