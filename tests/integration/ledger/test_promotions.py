"""The history of champions: the database itself keeps it append only and without a gap, and shows the newest one."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from shadow_deployment.data.db import connect
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import Approval, CurrentChampion, ModelVersion
from shadow_deployment.ledger.writing import locks
from shadow_deployment.promotion import registry
from tests.integration.ledger.constraints.inserting import again
from tests.integration.promotion.promoting import by, judge, settings
from tests.production import READER, SHADOW, World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")

FIRST, SECOND = "number = 1", "number = 2"

REPLACING = (
    "INSERT INTO shadow.promotion OVERRIDING SYSTEM VALUE SELECT p.* FROM shadow.promotion AS p WHERE number = 2 "
    "ON CONFLICT (deployment_id, number) DO UPDATE SET approved_by = 'eve'"
)


@pytest.fixture(scope="module")
def promoted(worlds: Callable[..., World]) -> World:
    """A ledger with a promotion, number 1, its rollback, number 2, and a verdict that failed."""
    world = worlds()
    shadow = world.shadow(**settings(world))
    judge(shadow, 0, "PASS")
    registry.promote(shadow, "other", **by("ada"))
    registry.rollback(shadow, **by("bob"))
    judge(shadow, 1, "FAIL")
    return world


@pytest.fixture
def session(promoted: World) -> Iterator["psycopg.Connection[Any]"]:
    """A session as the ledger's owner, whose work is undone."""
    with psycopg.connect(promoted.postgres.uri(promoted.ledger, SHADOW)) as opened:
        yield opened
        opened.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE shadow.promotion SET approved_by = 'eve'",
        "UPDATE shadow.promotion SET reason = reason WHERE false",
        "DELETE FROM shadow.promotion",
        "DELETE FROM shadow.promotion WHERE number = 2",
        "TRUNCATE shadow.promotion",
        "TRUNCATE shadow.promotion, shadow.evidence_batch",
        REPLACING,
    ],
)
def test_promotions_are_history(session: "psycopg.Connection[Any]", statement: str) -> None:
    with pytest.raises(errors.RaiseException, match=r"promotion is append-only: (UPDATE|DELETE|TRUNCATE) is refused"):
        session.execute(statement)


def follows(**changes: Any) -> dict[str, Any]:
    """What a copy of promotion 1 needs to be the third."""
    return {"number": 3, "previous": 2} | changes


def test_a_promotion_rests_on_a_pass(session: "psycopg.Connection[Any]") -> None:
    ((verdict, digest),) = session.execute(
        "SELECT id, input_digest FROM shadow.verdict WHERE outcome = 'FAIL'"
    ).fetchall()
    failed = {"verdict_id": verdict, "day": day(1), "outcome": "FAIL", "input_digest": digest}
    with pytest.raises(errors.CheckViolation, match="promotion_rests_on_a_pass"), session.transaction():
        again(session, "promotion", FIRST, **follows(**failed))
    again(session, "promotion", FIRST, **follows(kind="forced", **failed))


def test_a_promotion_that_follows_is_accepted(session: "psycopg.Connection[Any]") -> None:
    again(session, "promotion", FIRST, **follows())


@pytest.mark.parametrize(("where", "changes"), [(FIRST, {}), (SECOND, {}), (FIRST, {"number": 2, "previous": 1})])
def test_a_second_promotion_behind_the_same_one_is_refused(
    session: "psycopg.Connection[Any]", where: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(errors.UniqueViolation):
        again(session, "promotion", where, **changes)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"number": 4}, "promotion_follows_the_previous"),
        ({"previous": None}, "promotion_follows_the_previous"),
        ({"verdict_id": None}, "promotion_rests_on_a_pass"),
        ({"overridden": '["its newest verdict is FAIL"]'}, "promotion_rests_on_a_pass"),
        ({"to_digest": None}, "promotion_is_of_a_known_model"),
        ({"kind": "forced", "to_model_id": None}, "promotion_is_of_a_known_model"),
        ({"promotion_request_digest": None}, "promotion_is_of_a_known_model"),
        ({"kind": "rollback"}, "rollback_undoes"),
        ({"undoes": 1}, "rollback_undoes"),
        ({"kind": "coup"}, "promotion_kind_check"),
        ({"approved_by": " "}, "promotion_approved_by_check"),
        ({"reason": ""}, "promotion_reason_check"),
    ],
)
def test_a_promotion_that_rests_on_nothing_is_refused(
    session: "psycopg.Connection[Any]", changes: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(errors.CheckViolation, match=f'"{constraint}"'):
        again(session, "promotion", FIRST, **follows(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict_id": -1},
        {"verdict_id": 2},
        {"day": day(3)},
        {"compared_with": "8"},
        {"input_digest": "another"},
        {"to_model_id": 2},
        {"kind": "forced", "outcome": "FAIL"},
    ],
    ids=" ".join,
)
def test_a_promotion_is_as_its_verdict_says(session: "psycopg.Connection[Any]", changes: dict[str, Any]) -> None:
    with pytest.raises(errors.IntegrityConstraintViolation, match="promotion 3 is not as verdict"):
        again(session, "promotion", FIRST, **follows(**changes))


def test_a_promotion_is_from_the_champion_that_the_one_before_it_made(session: "psycopg.Connection[Any]") -> None:
    with pytest.raises(errors.ForeignKeyViolation, match="promotion_is_from_the_champion"):
        again(session, "promotion", FIRST, **follows(from_version="8"))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"to_version": "6"}, "rollback_restores_what_was_before"),
        ({"from_name": "third"}, "promotion_is_from_the_champion"),
    ],
)
def test_a_rollback_restores_what_was_there_before(
    session: "psycopg.Connection[Any]", changes: dict[str, Any], constraint: str
) -> None:
    again(session, "promotion", FIRST, **follows())
    with pytest.raises(errors.ForeignKeyViolation, match=constraint):
        again(session, "promotion", SECOND, number=4, previous=3, undoes=3, **changes)


def test_a_promotion_is_taken_back_once(session: "psycopg.Connection[Any]") -> None:
    again(session, "promotion", FIRST, **follows())
    again(session, "promotion", SECOND, number=4, previous=3, undoes=3)
    again(session, "promotion", FIRST, number=5, previous=4)
    with pytest.raises(errors.UniqueViolation, match="undoes"):
        again(session, "promotion", SECOND, number=6, previous=5, undoes=3)


@pytest.mark.parametrize("table", ["verdict", "model_version", "deployment"])
def test_what_a_promotion_rests_on_cannot_be_taken_away(session: "psycopg.Connection[Any]", table: str) -> None:
    with pytest.raises((errors.ForeignKeyViolation, errors.RaiseException)):
        session.execute(f"DELETE FROM shadow.{table}")


def test_the_view_shows_the_newest_of_each_deployment(session: "psycopg.Connection[Any]") -> None:
    columns = "SELECT deployment, name, version, digest, uri, approved_by, number FROM shadow.champion"
    assert session.execute(columns).fetchall() == [("late", "champion", "7", None, None, "bob", 2)]
    again(session, "promotion", FIRST, **follows(approved_by="cid"))
    ((expected,),) = session.execute("SELECT created_at FROM shadow.promotion WHERE number = 3").fetchall()
    ((name, since),) = session.execute("SELECT approved_by, since FROM shadow.champion").fetchall()
    assert (name, since) == ("cid", expected)
    (other,) = session.execute(
        "INSERT INTO shadow.deployment (name, task) VALUES ('second', 'binary') RETURNING id"
    ).fetchone() or (None,)
    again(session, "promotion", FIRST, deployment_id=other, to_name="third", kind="forced", verdict_id=None)
    rows = session.execute("SELECT deployment, name, number FROM shadow.champion ORDER BY 1").fetchall()
    assert rows == [("late", "other", 3), ("second", "third", 1)]


def test_production_needs_the_view_and_nothing_else(worlds: Callable[..., World], promoted: World) -> None:
    world = worlds(promoted)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as owner:
        owner.execute(f"GRANT USAGE ON SCHEMA shadow TO {READER}; GRANT SELECT ON shadow.champion TO {READER}")
    with psycopg.connect(world.postgres.uri(world.ledger, READER)) as reader:
        assert reader.execute("SELECT name, version FROM shadow.champion").fetchall() == [("champion", "7")]
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("SELECT * FROM shadow.promotion")


def test_a_row_behind_one_that_is_not_the_newest_is_an_error_that_says_so(promoted: World) -> None:
    deployment = promoted.deploy(**settings(promoted))
    with (
        connect(promoted.connection("shadow_db")) as session,
        pytest.raises(RegistryError, match="promotion 1 is there already: somebody else was first"),
    ):
        promotions.add(
            session,
            deployment,
            kind="forced",
            champion=CurrentChampion("champion", "7", None, None),
            successor=ModelVersion("other", "1", "digest", "uri", 1),
            approval=Approval("ada", "in a hurry"),
            case_digest="case",
        )
    assert [row.number for row in registry.history(promoted.shadow(**settings(promoted)))] == [1, 2]


def test_who_holds_the_deployment_is_not_overtaken_by_a_verdict(promoted: World) -> None:
    shadow = promoted.shadow(**settings(promoted))
    before = promoted.verdicts()
    with connect(promoted.connection("shadow_db")) as holding:
        locks.whole(holding, shadow.deployment)
        with (
            connect(promoted.connection("shadow_db"), lock_timeout="50ms") as session,
            pytest.raises(errors.LockNotAvailable),
        ):
            judge(shadow, 2, "PASS", session=session)
        holding.rollback()
    assert promoted.verdicts() == before
