"""The databases: a ledger that can be written, and a production that cannot."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from shadow_deployment.config.partitions import engine_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import connect, translated
from shadow_deployment.doctor.checks import ConcernError, Probe
from shadow_deployment.errors import CredentialsError, LedgerError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.removal import retention

_HERE = Path(__file__).parent
_MOST = 8


def ledger_probes(context: DeploymentContext) -> Iterator[Probe]:
    """Yield what to look at in the ledger."""
    conn_id = context.deployment.store.conn_id
    yield Probe("ledger", partial(_reach, context, conn_id), _reachable("store.conn_id", conn_id))
    yield Probe("migrations", partial(_at_head, context), "shadow migrate", ("ledger",))
    yield Probe(
        "ledger rights",
        partial(_writable, context, conn_id),
        f"shadow migrate --writer ROLE as the schema's owner, with the role of {conn_id}",
        ("ledger", "migrations"),
    )
    yield Probe(
        "ledger roles",
        partial(_is_no_owner, context, conn_id),
        "declare another role in store.conn_id, the owner in store.owner_conn_id, and run shadow migrate",
        ("ledger", "migrations"),
    )
    if context.deployment.store.keep_days is not None:
        yield Probe("retention", partial(_retained, context), "shadow migrate", ("ledger", "migrations"))


def production_probes(context: DeploymentContext) -> Iterator[Probe]:
    """Yield what to look at in production: for requests, and for labels and features where they lie elsewhere."""
    deployment = context.deployment
    places: dict[str, str] = {}
    models = enumerate(deployment.challengers)
    own = {f"challengers[{position}].features_from": each.features_from for position, each in models}
    for key, part in {"requests": deployment.requests, "labels": deployment.labels, **own}.items():
        if part and part.conn_id is not None and engine_of(part.table) == "postgres":
            places.setdefault(part.conn_id, key)
    reached: list[str] = []
    for conn_id, key in places.items():
        what = "production" if key == "requests" else f"production of {key}"
        reached.append(what)
        yield Probe(what, partial(_reach, context, conn_id), _reachable(f"{key}.conn_id", conn_id))
        yield Probe(
            f"{what} is read only",
            partial(_read_only, context, conn_id),
            f"give {conn_id} a role of its own that may SELECT from the tables the deployment names, and nothing else",
            (what,),
        )
    yield Probe(
        "tables and columns",
        partial(_tables, context),
        "correct requests, labels and features_from in the deployment's file, or grant SELECT on what they name",
        tuple(reached),
    )


def _reachable(key: str, conn_id: str) -> str:
    return (
        f"declare {conn_id}, which {key} names, in Airflow or as AIRFLOW_CONN_{conn_id.upper()}, and let it be reached"
    )


def _reach(context: DeploymentContext, conn_id: str) -> str:
    connection = context.connections(conn_id)
    with translated(connection), connect(connection) as session:
        version = session.execute("SHOW server_version").fetchone()
    return f"{connection}, PostgreSQL {version[0] if version else 'of unknown version'}"


def _at_head(context: DeploymentContext) -> str:
    applied, head = migrations.revision(context.ledger_connection), migrations.head()
    if applied != head:
        raise LedgerError(f"the ledger is at revision {applied or 'none'}, must be at {head}")
    return f"at revision {head}, the newest"


def _writable(context: DeploymentContext, conn_id: str) -> str:
    return _require_none(
        context.connections(conn_id), "unwritable.sql", "evidence could not be kept", "can keep evidence"
    )


def _is_no_owner(context: DeploymentContext, conn_id: str) -> str:
    connection = context.connections(conn_id)
    with translated(connection), connect(connection) as session:
        owns = session.execute(
            "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'shadow'"
        ).fetchone()
    role = connection.login or "the role"
    if owns and owns[0]:
        raise ConcernError(f"{role}, who runs the days, owns the ledger and could change what verdicts rest on")
    return f"{role} is not the owner: it reads and adds rows"


def _retained(context: DeploymentContext) -> str:
    days = context.deployment.store.keep_days
    with context.ledger() as session:
        if not retention.is_declared(session, context.deployment):
            raise ConcernError(f"store.keep_days == {days} was not entered in the ledger as it is: nothing is removed")
    return f"days are removed {days} days after they were sampled"


def _read_only(context: DeploymentContext, conn_id: str) -> str:
    return _require_none(
        context.connections(conn_id), "writable.sql", "production could be written", "can change nothing"
    )


def _require_none(connection: Connection, statement: str, otherwise: str, fine: str) -> str:
    """Raise CredentialsError with the lines that a statement returns; return what it means that there are none."""
    role, lines = connection.login or "the role", _lines(connection, statement)
    if lines:
        raise CredentialsError(f"{role} {_short(lines)}: {otherwise}")
    return f"{role} {fine}"


def _lines(connection: Connection, statement: str) -> list[str]:
    with translated(connection), connect(connection) as session:
        rows = session.execute((_HERE / statement).read_text(encoding="utf-8").encode()).fetchall()
    return [str(line) for (line,) in rows]


def _short(lines: list[str]) -> str:
    more = len(lines) - _MOST
    return "; ".join([*lines[:_MOST], *([f"and {more} more"] if more > 0 else [])])


def _tables(context: DeploymentContext) -> str:
    deployment = context.deployment
    context.check_sources()
    own = [each.features_from.table for each in deployment.challengers if each.features_from]
    tables = list(dict.fromkeys([deployment.requests.table, deployment.labels.table, *own]))
    return f"{', '.join(tables[:-1])} and {tables[-1]} have what the deployment names"
