"""One window of a log in Postgres, counted and drawn by two statements of one transaction, and sorted here."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement
from shadow_deployment.config.window import Window
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.columns import first_of_each_stratum, without_field_metadata
from shadow_deployment.data.sources.ordering import sort_by_draw

_HERE: Final = Path(__file__).parent


class PostgresReading:
    """One window of the log; counting and drawing see the same rows, whatever is written meanwhile.

    The transaction ends with the last row that is drawn, before any is written here.
    """

    def __init__(self, cursor: Any, pieces: Mapping[str, sql.Composable], window: Window, salt: str) -> None:
        self._cursor, self._pieces, self._window, self._salt = cursor, pieces, window, salt

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        self._cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        self._cursor.execute(self._statement("population.sql", self._pieces))
        counts = self._cursor.fetch_arrow_table()
        return dict(zip(counts["stratum"].to_pylist(), counts["population"].to_pylist(), strict=True))

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw, as `Reading` does."""
        highest = [HASHES if all_candidates else draw.candidates for draw in draws]
        rows = without_field_metadata(
            self._candidates(
                salt=self._salt,
                strata=[draw.stratum for draw in draws],
                candidates=highest,
                everything=all(hash_ == HASHES for hash_ in highest),
            )
        )
        return first_of_each_stratum(sort_by_draw(rows, draws, highest), draws)

    def newest(self, most: int) -> pa.Table:
        """Return the newest requests of the window, as `Reading` does."""
        self._cursor.execute(self._statement("newest.sql", self._pieces, most=most))
        return without_field_metadata(self._cursor.fetch_record_batch()).read_all()

    def _candidates(self, **values: Any) -> pa.RecordBatchReader:
        """Return the rows of sample.sql, in any order."""
        inside = sql.SQL("{0} >= {1} AND {0} < {2}").format(self._pieces["time"], self._window.start, self._window.end)
        self._cursor.execute(self._statement("sample.sql", {**self._pieces, "inside": inside}, **values))
        reader = self._cursor.fetch_record_batch()

        def batches() -> Iterator[pa.RecordBatch]:
            yield from reader
            self._cursor.execute("COMMIT")

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def _statement(self, name: str, pieces: Mapping[str, sql.Composable], **values: Any) -> str:
        return load_literal_statement(_HERE / name, pieces, {**values, **self._window.bounds}).as_string()
