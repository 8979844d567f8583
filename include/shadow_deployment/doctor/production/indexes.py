"""Whether production finds a day's requests, and the labels of some ids, without reading whole tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from psycopg import sql

from shadow_deployment.config.partitions import engine_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import connect, translated
from shadow_deployment.data.sources.identity import columns_of_key
from shadow_deployment.data.sources.postgres.catalogue import Catalogue
from shadow_deployment.doctor.checks import ConcernError, Probe

_PARAMETER = re.compile(r"\$\d|InitPlan")


@dataclass(frozen=True)
class WantedIndex:
    """An index on some columns of a table; `key` is the deployment's name for them, `uses` what they are read for."""

    key: str
    conn_id: str
    table: str
    columns: list[str]
    uses: str
    comparison: str = "="

    @property
    def statement(self) -> str:
        """What creates it."""
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        create = sql.SQL("CREATE INDEX CONCURRENTLY ON {} ({})")
        return create.format(sql.Identifier(*self.table.split(".")), columns).as_string()


def probes(context: DeploymentContext) -> Iterator[Probe]:
    """Yield a look at each index that the deployment's tables in Postgres should have."""
    for wanted in _wanted(context):
        yield Probe(
            f"index {wanted.key}",
            partial(_is_used, context, wanted),
            f"{wanted.statement}; where that is a view, on the table behind it",
            ("tables and columns",),
        )


def _wanted(context: DeploymentContext) -> Iterator[WantedIndex]:
    deployment = context.deployment
    log, labels = deployment.requests, deployment.labels
    if log.conn_id and engine_of(log.table) == "postgres":
        yield WantedIndex("requests.time", log.conn_id, log.table, [log.time], "a day's requests are read by it", ">=")
        logged = [
            each.address.rpartition(".")[0] or log.table for each in deployment.challengers if each.kind == "logged"
        ]
        for table in dict.fromkeys(logged):
            key = "requests.id" if table == log.table else f"requests.id of {table}"
            yield WantedIndex(
                key, log.conn_id, table, columns_of_key(log.id), "predictions that were logged are looked up by it"
            )
    if labels.conn_id and engine_of(labels.table) == "postgres":
        yield WantedIndex(
            "labels.id", labels.conn_id, labels.table, columns_of_key(labels.id), "labels are looked up by it"
        )
    for position, challenger in enumerate(deployment.challengers):
        wanted = challenger.features_from
        if wanted and wanted.conn_id and engine_of(wanted.table) == "postgres":
            columns = [*columns_of_key(wanted.id), wanted.known_at]
            uses = f"features of {challenger.name} are looked up by it"
            yield WantedIndex(f"challengers[{position}].features_from", wanted.conn_id, wanted.table, columns, uses)


def _is_used(context: DeploymentContext, wanted: WantedIndex) -> str:
    """Ask the planner for a plan without reading the whole table: there is one only with an index."""
    connection = context.connections(wanted.conn_id)
    with translated(connection), connect(connection, default_transaction_read_only="on") as session:
        table = Catalogue(session, connection).table(wanted.table, wanted.key)
        unknown = sql.SQL("{} {} (SELECT NULL::{})")
        conditions = [
            unknown.format(sql.Identifier(name), sql.SQL(wanted.comparison), table.type_of(name, wanted.key))
            for name in wanted.columns
        ]
        session.execute("SET LOCAL enable_seqscan TO off")
        statement = sql.SQL("EXPLAIN (FORMAT json) SELECT FROM {} WHERE {}")
        (explained,) = session.execute(statement.format(table.identifier, sql.SQL(" AND ").join(conditions))).fetchall()
    if not any(_PARAMETER.search(condition) for condition in _index_conditions(explained[0][0]["Plan"])):
        columns = ", ".join(wanted.columns)
        raise ConcernError(
            f"{wanted.table} has no index on {columns}: {wanted.uses}; without one, each time from the whole table"
        )
    return f"{wanted.table} has one on {', '.join(wanted.columns)}"


def _index_conditions(plan: Any) -> Iterator[str]:
    if "Index Cond" in plan:
        yield str(plan["Index Cond"])
    for part in plan.get("Plans", ()):
        yield from _index_conditions(part)
