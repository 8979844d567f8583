"""The list read from ledgers: one session each, only what has changed, and what breaks stays where it is."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import page, trials
from shadow_deployment.report.html.serving import Cache
from shadow_deployment.report.overview import ListedDeployment, Overview
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages
from tests.integration.report.states.acting import promoted, run, told
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


@pytest.fixture
def world(worlds: Callable[..., World], ran: World) -> World:
    return worlds(ran)


def named(context: DeploymentContext, name: str, **store: str) -> DeploymentContext:
    """Return the same deployment under another name, and in another ledger where that is given."""
    own = context.deployment
    return replace(
        context, deployment=own.model_copy(update={"name": name, "store": own.store.model_copy(update=store)})
    )


def row(found: Overview, name: str = "late") -> ListedDeployment:
    return next(one for one in found.deployments if one.name == name)


class Counting:
    """Keeps rows, and counts how many were read."""

    def __init__(self) -> None:
        self.cache = Cache[ListedDeployment]()
        self.read = 0

    def __call__(self, key: Any, read: Callable[[], ListedDeployment]) -> ListedDeployment:
        def counted() -> ListedDeployment:
            self.read += 1
            return read()

        return self.cache.get(key, counted)


def test_a_deployment_is_in_the_list_as_on_its_page(world: World) -> None:
    shadow = world.shadow(owner="Operations research")
    found = row(listing.overview([shadow]))
    assert (found.owner, found.lines[0].name, found.last_day) == ("Operations research", "other", day(1))
    shown = pages.deployment_page(shadow, "other").challenger
    assert shown is not None
    assert (found.status, found.days) == (shown.status, shown.days)
    assert found.champion is not None
    assert str(found.champion) == "champion 7, as the log says"
    empty = row(listing.overview([named(shadow, "young")]), "young")
    assert (empty.state, empty.last_day, empty.days) == ("Not started", None, 0)
    assert "run a day" in str(empty.status)


def test_a_promoted_champion_is_named_with_its_number(world: World) -> None:
    found = row(listing.overview([promoted(world)]))
    assert found.champion is not None
    assert found.champion.number == 2


def test_one_session_reads_all_deployments_of_a_ledger(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow, opened = world.shadow(), []
    own = DeploymentContext.ledger

    @contextmanager
    def ledger(context: DeploymentContext) -> Any:
        opened.append(context.deployment.name)
        with own(context) as session:
            yield session

    monkeypatch.setattr(DeploymentContext, "ledger", ledger)
    found = listing.overview([shadow, *(named(shadow, f"other_{number}") for number in range(5))])
    assert len(found.deployments) == 6
    assert len(opened) == 1


def test_only_what_has_changed_is_read_again(world: World) -> None:
    shadow, remember = world.shadow(), Counting()
    both = [shadow, named(shadow, "young")]
    first = listing.overview(both, {}, remember)
    assert listing.overview(both, {}, remember) == first
    assert remember.read == 2
    assert run(world, 2) == []
    assert row(listing.overview(both, {}, remember)).last_day == day(2)
    assert remember.read == 3


CHANGING: list[Callable[[World], object]] = [
    lambda world: run(world, 2),
    promoted,
    told,
    lambda world: told(world, "no route"),
    lambda world: world.shadow(owner="Sales"),
    lambda world: withdraw(world.shadow()),
]


def withdraw(shadow: DeploymentContext) -> None:
    with shadow.ledger() as session:
        trials.withdraw(session, shadow.deployment, day(1), by="ada", reason="the log was loaded twice")


@pytest.mark.parametrize("change", CHANGING)
def test_whatever_changes_a_row_changes_what_it_is_remembered_by(
    world: World,
    change: Callable[[World], object],
) -> None:
    shadow, remember = world.shadow(), Counting()
    listing.overview([shadow], {}, remember)
    change(world)
    now = world.shadow(owner="Sales") if "Sales" in (world.deployments / "late.yaml").read_text() else shadow
    listing.overview([now], {}, remember)
    assert remember.read == 2


def test_a_file_that_is_wrong_and_a_ledger_that_is_away_leave_the_others_as_they_are(
    world: World,
) -> None:
    shadow = world.shadow()

    def connections(conn_id: str) -> Connection:
        known = world.connection("shadow_db" if conn_id == "eu_ledger" else conn_id)
        return replace(known, port=9, password="not to be shown") if conn_id == "eu_ledger" else known

    away = [replace(named(shadow, name, conn_id="eu_ledger"), connections=connections) for name in ("lost", "gone")]
    found = listing.overview([*away, shadow], {"a_file": "deployment a_file: alpha == 7 (a_file.yaml:3)"})
    assert [(one.name, one.state) for one in found.deployments] == [
        ("a_file", "Broken"),
        ("late", row(listing.overview([shadow])).state),
        ("gone", "Unknown"),
        ("lost", "Unknown"),
    ]
    assert found.deployments[0].status is not None
    assert found.deployments[0].status.sentence == "deployment a_file: alpha == 7 (a_file.yaml:3)"
    (ledger,) = found.unreadable
    assert (ledger.connection, ledger.deployments) == ("eu_ledger", ("lost", "gone"))
    assert "is lost or not there" in ledger.error
    assert "not to be shown" not in str(found)


def test_a_deployment_that_cannot_be_read_is_broken_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow, own = world.shadow(), listing.read_row
    alone = row(listing.overview([shadow]))

    def read_row(session: Any, deployment: Any) -> ListedDeployment:
        if deployment.name == "wrong":
            session.execute("SELECT 1 / 0")
        return own(session, deployment)

    monkeypatch.setattr(listing, "read_row", read_row)
    remember = Counting()
    found = listing.overview([named(shadow, "wrong"), shadow], {}, remember)
    assert [(one.name, one.state) for one in found.deployments] == [
        ("wrong", "Broken"),
        ("late", alone.state),
    ]
    assert "division by zero" in str(row(found, "wrong").status)
    listing.overview([named(shadow, "wrong")], {}, remember)
    assert remember.read == 3  # what broke is tried again


def test_a_ledger_that_is_not_migrated_says_what_to_do(worlds: Callable[..., World]) -> None:
    from shadow_deployment.ledger import migrations

    bare = worlds()
    migrations.migrate(bare.connection("shadow_owner"), "down")
    (ledger,) = listing.overview([bare.shadow()]).unreadable
    assert "run shadow migrate" in ledger.error
    with pytest.raises(LedgerError), listing.reading(bare.shadow()) as session:
        page.fingerprints(session, [bare.shadow().deployment])


def test_a_session_that_is_lost_on_the_way_leaves_what_was_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow, own = world.shadow(), listing.read_row

    def read_row(session: psycopg.Connection[Any], deployment: Any) -> ListedDeployment:
        if deployment.name == "second":
            with psycopg.connect(world.postgres.uri(world.ledger, "postgres")) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [session.info.backend_pid])
        return own(session, deployment)

    monkeypatch.setattr(listing, "read_row", read_row)
    found = listing.overview([shadow, named(shadow, "second"), named(shadow, "third")])
    assert row(found).status is not None
    assert [one.name for one in found.deployments if one.status is None] == ["second", "third"]
    assert found.unreadable[0].deployments == ("second", "third")
