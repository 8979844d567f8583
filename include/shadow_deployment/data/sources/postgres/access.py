"""How Postgres would find the rows of a statement: its plan, without running it."""

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import sql

from shadow_deployment.data.db import Session
from shadow_deployment.data.ports import Access

Plan = Mapping[str, Any]


def access_of(session: Session[Any], statement: sql.Composable, table: str) -> Access:
    """Return how a statement reaches a table, or what a view is made of: by indexes alone, or somewhere by all rows."""
    row = session.execute(sql.SQL("EXPLAIN (VERBOSE, FORMAT json) {}").format(statement)).fetchone()
    assert row is not None  # noqa: S101 (EXPLAIN returns one)
    scans = [plan for plan in _nodes(row[0][0]["Plan"]) if "Relation Name" in plan or "Index Name" in plan]
    whole = [plan for plan in scans if plan["Node Type"] == "Seq Scan"]
    if whole:
        return Access(table, "table", rows=sum(_size(session, plan) for plan in whole))
    indexes = list(dict.fromkeys(str(plan["Index Name"]) for plan in scans if "Index Name" in plan))
    more = f" and {len(indexes) - 1} more" if len(indexes) > 1 else ""  # as of partitions
    rows = sum(int(plan["Plan Rows"]) for plan in scans if "Relation Name" in plan)
    return Access(table, "index", name=f"{indexes[0]}{more}" if indexes else None, rows=rows)


def _size(session: Session[Any], plan: Plan) -> int:
    """Return about how many rows a table has."""
    name = sql.Identifier(*filter(None, [plan.get("Schema"), plan["Relation Name"]]))
    statement = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)"
    row = session.execute(statement, [name.as_string(session)]).fetchone()
    return int(row[0]) if row else int(plan["Plan Rows"])


def _nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
