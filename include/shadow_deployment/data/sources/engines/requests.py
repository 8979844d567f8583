"""Requests that a query engine reads where they lie.

It draws by the same hash of the same text as Postgres does: so the same rows give the same sample.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, counted_since
from shadow_deployment.data.ports import UNVERSIONED, Access
from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.columns import (
    first_of_each_stratum,
    request_pieces,
    without_field_metadata,
)
from shadow_deployment.data.sources.engines.port import STATEMENTS, EngineSession, QueryEngine, require_newest
from shadow_deployment.data.sources.engines.table import EngineTable
from shadow_deployment.data.sources.identity import has_key
from shadow_deployment.errors import SourceError

_TICK = dt.timedelta(microseconds=1)
_HASH = "coalesce(keyed_hash($salt || ':' || {hashed}), '')"
_FEW = 'AND {hash} < (SELECT max("candidate hashes") FROM design)'
_ONCE = "QUALIFY row_number() OVER (PARTITION BY {id} ORDER BY {moment}) = 1"


class EngineRequests:
    """One deployment's prediction log, read by a query engine."""

    def __init__(self, deployment: Deployment, engine: QueryEngine) -> None:
        self.deployment = deployment
        self._engine = engine

    def check(self) -> None:
        """Raise SourceError where there are no rows, or the newest lack a column or have one of the wrong type."""
        require_newest(self._engine, self._pieces, "requests.time", self.deployment.requests.time)

    @contextmanager
    def reading(self, window: Window) -> "Iterator[EngineReading]":
        """Open the window for reading; raise TransientError where it was changed before the end of it."""
        since = counted_since(self.deployment, window)
        bounds = {**window.bounds, "since": since}
        with self._engine.open_between(since, window.end - _TICK, *self._time) as opened:
            if opened is None:
                yield EngineReading(None, {}, bounds, self.deployment.salt)
            else:
                yield EngineReading(opened.session, self._pieces(opened.table), bounds, self.deployment.salt)

    def access(self, window: Window) -> Access:
        """Return what holds a window."""
        return self._engine.access(window.start, window.end - _TICK, *self._time)

    def logged(self, address: str, requests: Sequence[str], window: Window) -> dict[str, tuple[float | None, ...]]:
        """Return what `COLUMN,COLUMN` of the log holds for these request ids; ids without a row are left out.

        Raises SourceError where `address` names another table, or a column is missing or no number.
        """
        if "." in address:
            raise SourceError(
                f"model == 'logged:{address}', must be logged:COLUMN where requests.table is not in Postgres"
            )
        log = self.deployment.requests
        with self._engine.open_between(window.start, window.end - _TICK, *self._time) as opened:
            if opened is None:
                return {}
            pieces = opened.table.time_pieces(log.time, "requests.time") | {
                "text": opened.table.key_text(log.id, "requests.id"),
                "match": has_key(opened.table, log.id, "requests.id", "files"),
                "values": sql.SQL(", ").join(opened.table.number(column, "model") for column in address.split(",")),
            }
            if not requests:
                return {}
            opened.session.bring("requests", [pa.table({"request_id": pa.array(requests, pa.string())})])
            rows = opened.session.stream(STATEMENTS / "logged.sql", pieces, window.bounds).read_all()
        ids, *values = (column.to_pylist() for column in rows.columns)
        return dict(zip(ids, zip(*values, strict=True), strict=True))

    def newest_time(self) -> dt.datetime | None:
        """Return the time of the newest request, None where there is no request; raise as `newest_version` does."""
        with self._engine.open_newest(dt.date.min) as opened:
            if opened is None:
                return None
            newest = opened.session.stream(STATEMENTS / "newest_time.sql", self._pieces(opened.table), {}).read_all()
        time: dt.datetime | None = newest["newest"][0].as_py()
        return time

    def newest_version(self, since: dt.datetime | None) -> str | None:
        """Return the champion version of the newest request since a moment, None where there is no request.

        Raises SourceError where there is no such table or column, CredentialsError or TransientError.
        """
        log = self.deployment.requests
        if log.version is None:
            return UNVERSIONED
        start = since or dt.datetime.min.replace(tzinfo=dt.UTC)
        with self._engine.open_newest(start.date()) as opened:
            if opened is None:
                return None
            times = opened.table.time_pieces(log.time, "requests.time")
            pieces = times | {"version": opened.table.text(log.version, "requests.version")}
            values = {"start": start, "unversioned": UNVERSIONED}
            rows = opened.session.stream(STATEMENTS / "newest_version.sql", pieces, values).read_all()
        return str(rows[0][0]) if rows.num_rows else None

    @property
    def _time(self) -> tuple[str, str]:
        return self.deployment.requests.time, "requests.time"

    def _pieces(self, table: EngineTable) -> dict[str, sql.Composable]:
        log = self.deployment.requests
        own = table.time_pieces(log.time, "requests.time") | {"id": table.key_text(log.id, "requests.id")}
        pieces = request_pieces(table, self.deployment) | own
        pieces["hash"] = sql.SQL(_HASH).format(**pieces)
        few, once = (_FEW, _ONCE) if log.duplicates == "first" else ("", "")  # all rows would be held to find the first
        return pieces | {"few": sql.SQL(few).format(**pieces), "once": sql.SQL(once).format(**pieces)}


class EngineReading:
    """One window of the log; without a session, because there is nothing, it is empty."""

    def __init__(
        self,
        session: EngineSession | None,
        pieces: Mapping[str, sql.Composable],
        bounds: Mapping[str, dt.datetime],
        salt: str,
    ) -> None:
        self._session = session
        self._pieces = pieces
        self._bounds = bounds
        self._salt = salt

    def population(self) -> dict[str, int]:
        """Return how many requests the window holds, by stratum."""
        if self._session is None:
            return {}
        rows = self._session.stream(STATEMENTS / "population.sql", self._pieces, self._bounds).read_all()
        return dict(zip(rows["stratum"].to_pylist(), rows["population"].to_pylist(), strict=True))

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> pa.RecordBatchReader:
        """Return the drawn requests in the order of the draw, as `Reading` does."""
        if self._session is None or not draws:
            return pa.RecordBatchReader.from_batches(pa.schema([]), iter(()))
        candidates = [_digits(HASHES if all_candidates else draw.candidates) for draw in draws]
        design = {"stratum": [draw.stratum for draw in draws], "candidate hashes": candidates}
        schema = pa.schema([(name, pa.string()) for name in design])
        self._session.bring("design", [pa.table(design, schema=schema)])
        rows = self._session.stream(STATEMENTS / "sample.sql", self._pieces, {**self._bounds, "salt": self._salt})
        return first_of_each_stratum(without_field_metadata(rows), draws)

    def newest(self, most: int) -> pa.Table:
        """Return the newest requests of the window, as `Reading` does."""
        if self._session is None:
            return pa.table({})
        values = {"start": self._bounds["start"], "end": self._bounds["end"], "most": most}
        rows = self._session.stream(STATEMENTS / "newest.sql", self._pieces, values)
        return without_field_metadata(rows).read_all()


def _digits(hash_: int) -> str:
    """Return a keyed hash as the first 13 digits of SHA-256; HASHES, which no hash reaches, is behind all digits."""
    return f"{hash_:013x}" if hash_ < HASHES else "g"
