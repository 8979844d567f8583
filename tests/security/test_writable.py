"""The doctor names what the role that reads production could change, by a privilege, a membership or a function."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from shadow_deployment.doctor.checks import Check, examine
from shadow_deployment.doctor.databases import production_probes
from tests.production import OWNER, READER, World

WRITE = "LANGUAGE sql AS 'UPDATE flights.outcome SET is_late = 1'"
GRANTS = {
    "GRANT UPDATE (is_late) ON flights.outcome TO {role}": "may UPDATE flights.outcome",
    "GRANT INSERT (request_id) ON flights.outcome TO {role}": "may INSERT flights.outcome",
    "GRANT TRIGGER, REFERENCES ON flights.outcome TO {role}": "may TRIGGER, REFERENCES flights.outcome",
    "GRANT pg_write_all_data TO {role}": "is a member of pg_write_all_data",
    "GRANT pg_signal_backend TO {role}": "is a member of pg_signal_backend",
    "GRANT pg_execute_server_program TO {role}": "is a member of pg_execute_server_program",
    "ALTER ROLE {role} CREATEROLE": "may make roles, make databases or replicate",
    "ALTER ROLE {role} REPLICATION": "may make roles, make databases or replicate",
    f"CREATE FUNCTION flights.w() RETURNS void SECURITY DEFINER {WRITE}": (
        "may call function flights.w(), which acts as postgres"
    ),
    f"CREATE PROCEDURE flights.w(a int) SECURITY DEFINER {WRITE}; ALTER PROCEDURE flights.w OWNER TO {OWNER}": (
        f"may call procedure flights.w(integer), which acts as {OWNER}"
    ),
}
HARMLESS = [
    f"CREATE FUNCTION flights.h() RETURNS void {WRITE}",  # acts as whoever calls it, who may not
    "CREATE FUNCTION flights.h() RETURNS int STABLE SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
    (
        f"CREATE FUNCTION flights.h() RETURNS void SECURITY DEFINER {WRITE}; "
        "REVOKE EXECUTE ON FUNCTION flights.h() FROM PUBLIC"
    ),
    f"CREATE SCHEMA hidden; CREATE FUNCTION hidden.h() RETURNS void SECURITY DEFINER {WRITE}",
    "CREATE FUNCTION flights.h() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$BEGIN RETURN NEW;END$$",
]


@pytest.fixture
def changed(worlds: Callable[..., World]) -> Iterator[Callable[[str], Check]]:
    """Change production as its superuser; return what the doctor then says of the role. Roles are put back."""
    world = worlds(own=True)

    def execute(statements: str) -> None:
        with psycopg.connect(world.postgres.uri(world.production, "postgres"), autocommit=True) as session:
            for statement in statements.split("; "):
                session.execute(statement.format(role=READER).encode())

    def call(statements: str) -> Check:
        world.postgres.ensure_reader(world.production, READER, "flights")
        execute(statements)
        found = examine("late", production_probes(world.shadow()))
        return next(one for one in found if one.what == "production is read only")

    yield call
    execute(
        "ALTER ROLE {role} NOCREATEROLE NOREPLICATION; "
        "REVOKE pg_write_all_data, pg_signal_backend, pg_execute_server_program FROM {role}"
    )


@pytest.mark.parametrize("grant", GRANTS)
def test_what_lets_the_role_change_production_is_named(changed: Callable[[str], Check], grant: str) -> None:
    found = changed(grant)
    assert found.state == "failed"
    assert GRANTS[grant] in found.result
    assert "SELECT" in found.remedy


@pytest.mark.parametrize("grant", HARMLESS)
def test_what_lets_it_change_nothing_is_no_fault(changed: Callable[[str], Check], grant: str) -> None:
    found = changed(grant)
    assert (found.state, found.result) == ("ok", f"{READER} can change nothing")
