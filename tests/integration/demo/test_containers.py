"""What the one-shot services do to the server of the shadow data."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from shadow_demo import containers, flights, train
from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.data.connections import environment
from shadow_deployment.ledger import migrations

Environment = Mapping[str, str]


@pytest.fixture
def variables(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The addresses of roles and databases that are not there yet, with passwords that need quoting."""
    tag, place = secrets.token_hex(4), f"127.0.0.1:{postgres.port}"
    found = {"SHADOW_SERVER": postgres.uri("postgres", SUPERUSER)}
    for name, role, database in (
        ("AIRFLOW_CONN_SHADOW_OWNER", "keeper", "kept"),
        ("AIRFLOW_CONN_SHADOW_DB", "writer", "kept"),
        ("DEMO_OWNER", "owner", "demo"),
        ("DEMO_READER", "reader", "demo"),
    ):
        found[name] = f"postgresql://{role}_{tag}:{quote('p:w@/ ' + tag, safe='')}@{place}/{database}_{tag}"
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def few_flights(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of models and 336,776 flights, one row."""

    def load(session: "psycopg.Connection[Any]", _: object) -> int:
        session.execute("CREATE SCHEMA IF NOT EXISTS flights; CREATE TABLE IF NOT EXISTS flights.outcome (late bool)")
        return session.execute(
            "INSERT INTO flights.outcome SELECT true WHERE NOT EXISTS (TABLE flights.outcome)"
        ).rowcount

    monkeypatch.setattr(flights, "load", load)
    monkeypatch.setattr(train, "ensure_models", lambda _: None)


def test_the_ledger_gets_an_owner_and_a_writer_and_neither_is_a_superuser(variables: dict[str, str]) -> None:
    for _ in range(2):
        containers.databases(variables)
    writer = urlsplit(variables["AIRFLOW_CONN_SHADOW_DB"]).username
    migrations.migrate(environment("shadow_owner"), writer=writer)
    with psycopg.connect(variables["AIRFLOW_CONN_SHADOW_OWNER"]) as session:
        assert session.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
    with psycopg.connect(variables["AIRFLOW_CONN_SHADOW_DB"]) as session:
        assert session.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        assert session.execute("SELECT count(*) FROM shadow.promotion").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("UPDATE shadow.evidence_batch SET day = day")


def test_a_changed_password_is_taken_over(variables: dict[str, str]) -> None:
    containers.databases(variables)
    old = variables["AIRFLOW_CONN_SHADOW_DB"]
    new = old.replace(urlsplit(old).password or "", "another")
    containers.databases(variables | {"AIRFLOW_CONN_SHADOW_DB": new})
    with psycopg.connect(new):
        pass
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)


def test_the_demos_production_is_read_by_a_role_that_changes_nothing(
    variables: dict[str, str], few_flights: None
) -> None:
    assert [containers.demo(variables) for _ in range(2)] == [1, 0]
    with psycopg.connect(variables["DEMO_READER"], autocommit=True) as session:
        assert session.execute("TABLE flights.outcome").fetchall() == [(True,)]
        for statement in ("DELETE FROM flights.outcome", "CREATE TABLE mine (a int)"):
            with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)):
                session.execute(statement)
        session.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("DELETE FROM flights.outcome")


def test_a_password_that_the_server_refuses_is_reported_with_a_remedy(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    containers.databases(variables)
    monkeypatch.setenv("SHADOW_SERVER", variables["AIRFLOW_CONN_SHADOW_DB"].replace("%40", "wrong"))
    monkeypatch.setattr("sys.argv", ["containers", "databases"])
    with pytest.raises(SystemExit, match="down --volumes") as end:
        containers.main()
    assert "wrong" not in str(end.value)
