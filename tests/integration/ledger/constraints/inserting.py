"""Rows of the ledger, inserted again with something changed."""

import datetime as dt
from typing import Any

import psycopg
from psycopg import sql

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}

ROWS = 60


def again(session: "psycopg.Connection[Any]", table: str, where: str = "true", **changes: Any) -> int | None:
    """Insert a copy of one row, with some columns changed; return its key where the table makes one."""
    columns = session.execute(
        "SELECT attname, attidentity <> '' FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
        [f"shadow.{table}"],
    ).fetchall()
    names = [name for name, is_identity in columns if not is_identity]
    assert set(changes) <= set(names)
    statement = sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE {where} LIMIT 1 {key}"
    ).format(
        table=sql.Identifier("shadow", table),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(
            sql.Literal(changes[one]) if one in changes else sql.Identifier(one) for one in names
        ),
        where=sql.SQL(where),
        key=sql.SQL("RETURNING id" if len(names) < len(columns) else ""),
    )
    cursor = session.execute(statement)
    assert cursor.rowcount == 1
    return int(cursor.fetchone()[0]) if cursor.description else None


def ask(session: "psycopg.Connection[Any]", first: int, champion: list[Any], **changes: Any) -> None:
    """Insert the requests from `first` that the champion answered so."""
    rows = len(champion)
    columns = {
        "request_id": "r",
        "requested_at": dt.datetime(2031, 1, 1, tzinfo=dt.UTC),
        "inclusion_probability": 0.5,
        "cell": 0,
        "champion_version": 1,
        "champion_latency_ms": 1.5,
    }
    known = {name: [value] * rows for name, value in columns.items()} | {"rows": rows, "champion_probabilities": None}
    again(session, "request_batch", first_ordinal=first, champion=champion, **known | changes)


def answer(session: "psycopg.Connection[Any]", first: int, value: list[Any], **changes: Any) -> None:
    """Insert answers to the requests from `first`."""
    known = {"rows": len(value), "latency_ms": [1.5] * len(value), "error": None, **changes}
    again(session, "prediction_batch", first_ordinal=first, value=value, **known)
