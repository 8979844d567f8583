"""Tables of production: what is of no use is said before anything is kept, and what only looks strange is used."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from psycopg import sql

from shadow_demo.postgres import SUPERUSER
from shadow_deployment.pipeline.run import run_day
from tests.conftest import Invoke, declare
from tests.integration.corpus.cases import HERE, put, steps
from tests.production import OWNER, World, day

TABLES = """
DROP SCHEMA IF EXISTS corpus CASCADE;
CREATE SCHEMA corpus;
CREATE TABLE corpus.log (
    id text, at timestamptz, x float8, y float8, p float8, q float8, origin text, version text, ms float8
);
INSERT INTO corpus.log
SELECT 'r' || to_char(n, 'FM00'), timestamptz '2024-03-01 12:00 UTC' + n * interval '1 minute', n, n % 3,
    (n + 0.5) / 12, (n + 0.7) / 13, CASE WHEN n % 2 = 0 THEN 'EWR' ELSE 'JFK' END, '7', 5
FROM generate_series(0, 11) AS n;
CREATE TABLE corpus.outcome AS SELECT id, n::int % 2 AS label, at + interval '1 minute' AS known_at
FROM (SELECT id, at, y AS n FROM corpus.log) AS l;
GRANT USAGE ON SCHEMA corpus TO production_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA corpus GRANT SELECT ON TABLES TO production_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA corpus TO production_reader;
"""
DEPLOYMENT: dict[str, Any] = {
    "requests": {"table": "corpus.log", "id": "id", "time": "at", "features": ["x", "y"], "prediction": "p",
                 "version": "version", "latency": "ms"},
    "labels": {"table": "corpus.outcome", "id": "id", "value": "label", "time": "known_at"},
    "slices": [],
    "sample": {"rate": 1.0, "shard_rows": 25, "strata": []},
    "challengers": [{"name": "other", "model": "logged:corpus.log.q"}],
    "policy": {"burn_in": 2, "rules": [{"metric": "brier_score", "is": "superior"}]},
}  # fmt: skip

WRONG: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "tables.yaml").read_text(encoding="utf-8"))
NAMES = {
    "quotes and a comment": '"x\'" --',
    "blanks and capitals": " The X ",
    "percent signs": "x % %s %(id)s",
    "a colon": ":x :'id' ::text",
    "braces": "{x} {{ y }}",
    "a slash and dots": "../../x",
    "another script": "距離",
    "two forms of a letter": "e\u0301",
    "63 letters": "x" * 63,
    "a word of SQL": "select",
    "a type of SQL": "int",
    **{f"the draw's own {name}": name for name in ("hash", "size", "place", "candidates", "population", "keyed")},
    **{f"the ledger's own {name}": name for name in ("ordinal", "value", "error", "label")},
}
STRANGE: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "strange_tables.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    """A world of these tests' own; each test has a deployment of its own in it."""
    return worlds(own=True)


@pytest.fixture
def prepared(ours: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, dict[str, Any]], World]]:
    """Make production and the deployment of a case."""

    def make(name: str, case: dict[str, Any]) -> World:
        with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
            session.execute(TABLES)
            session.execute(case.get("sql", ""))
        content = yaml.safe_load(yaml.safe_dump(DEPLOYMENT))
        for path, value in case.get("set", {}).items():
            put(content, steps(path), value)
        ours.deploy(name=name, **content)
        return declare(ours, monkeypatch)

    yield make
    (ours.deployments / "late.yaml").unlink(missing_ok=True)


def kept(world: World, name: str) -> dict[str, int]:
    """Return how many rows of a deployment the ledger holds, by table, without tables that hold none."""
    counts = {}
    for table in ("snapshot", "validation", "scoring", "prediction", "label", "evidence", "verdict"):
        of = "t" if table in ("snapshot", "evidence", "verdict") else "s"
        join = "" if of == "t" else "JOIN shadow.snapshot AS s ON s.id = t.snapshot_id "
        ((count,),) = world.query(
            f"SELECT count(*) FROM shadow.{table} AS t {join}"
            f"JOIN shadow.deployment AS d ON d.id = {of}.deployment_id WHERE d.name = %s",
            [name],
        )
        counts |= {table: count} if count else {}
    return counts


def name_of(cases: dict[str, Any], title: str) -> str:
    return f"case_{list(cases).index(title)}"


@pytest.mark.parametrize("title", WRONG)
def test_what_is_of_no_use_is_named(title: str, prepared: Any, invoke: Invoke) -> None:
    case, name = WRONG[title], name_of(WRONG, title)
    world = prepared(name, case)
    code, out, err = invoke("run", name, "--from", day(0))
    message = " ".join(err.split())
    assert code == 1
    assert "error " in err
    assert "Traceback" not in out + err
    assert len(err) < 8_192
    says = case.get("says", case.get("keeps"))
    for words in says if isinstance(says, list) else [says]:
        assert words in message
    if "keeps" in case:
        assert set(kept(world, name)) <= {"snapshot", "validation", "label", "verdict"}
        assert world.query(
            "SELECT success FROM shadow.validation JOIN shadow.snapshot AS s ON s.id = snapshot_id "
            "JOIN shadow.deployment AS d ON d.id = s.deployment_id WHERE d.name = %s",
            [name],
        ) == [(False,)]
    else:
        assert kept(world, name) == {}
        assert not list(world.snapshots.glob(f"{name}/**/manifest.json"))


@pytest.mark.parametrize("title", STRANGE)
def test_what_only_looks_strange_is_drawn_answered_and_judged(title: str, prepared: Any, invoke: Invoke) -> None:
    case, name = STRANGE[title], f"strange_{list(STRANGE).index(title)}"
    world = prepared(name, case)
    code, out, err = invoke("run", name, "--from", day(0))
    assert (code, "Traceback" in out + err) == (0, False), err
    assert kept(world, name).get("prediction", 0) == case["rows"]
    assert kept(world, name)["verdict"] == 1
    unanswered = (
        "SELECT count(*) FROM shadow.request JOIN shadow.snapshot AS s ON s.id = snapshot_id "
        "JOIN shadow.deployment AS d ON d.id = s.deployment_id WHERE champion IS NULL AND d.name = %s"
    )
    assert world.query(unanswered, [name]) == [(case.get("unanswered", 0),)]


@pytest.fixture(scope="module")
def drawn(ours: World) -> pa.Table:
    """A day's snapshot whose features have all the strange names: the number of a request, plus that of the name."""
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        session.execute(TABLES)
        for number, name in enumerate(NAMES.values()):
            column = sql.Identifier(name)
            session.execute(sql.SQL("ALTER TABLE corpus.log ADD {} float8").format(column))
            session.execute(sql.SQL("UPDATE corpus.log SET {} = x + {}").format(column, number))
    changes = {**DEPLOYMENT, "requests": DEPLOYMENT["requests"] | {"features": ["x", *NAMES.values()]}}
    assert run_day(ours.shadow(name="named", **changes), day(0)) == []
    (part,) = ours.snapshots.glob("named/**/*.parquet")
    return pq.read_table(part)


@pytest.mark.parametrize("title", NAMES)
def test_a_column_may_have_any_name(title: str, drawn: pa.Table) -> None:
    expected = pc.add(drawn["x"], float(list(NAMES).index(title)))
    assert drawn[NAMES[title]].to_pylist() == expected.to_pylist()
    assert drawn.num_rows == 12


@pytest.fixture
def encoded(worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], World]:
    """Make a world whose production has another encoding, with a letter of it in an id and in a feature."""

    def make(encoding: str) -> World:
        name = f"production_in_{encoding.lower()}"
        world = replace(worlds(), production=name)
        with psycopg.connect(world.postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
            session.execute(
                f"CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0 ENCODING '{encoding}' "
                "LOCALE_PROVIDER libc LOCALE 'C'"
            )
        with psycopg.connect(world.postgres.uri(name, OWNER), client_encoding="UTF8") as session:
            session.execute(TABLES)
            session.execute("UPDATE corpus.log SET id = 'é' || id, origin = 'Orléans' WHERE id = 'r03'")
        world.deploy(name="letters", **DEPLOYMENT | {"slices": ["origin"]})
        return declare(world, monkeypatch)

    return make


def test_a_database_of_another_encoding_is_read_letter_by_letter(encoded: Any, invoke: Invoke) -> None:
    world = encoded("LATIN1")
    code, _, err = invoke("run", "letters", "--from", day(0))
    assert code == 0, err
    assert world.query("SELECT max(request_id) FROM shadow.request") == [("ér03",)]
    assert "Orléans" in set(world.evidence().slice_value)


def test_a_database_that_does_not_say_its_letters_is_refused(encoded: Any, invoke: Invoke) -> None:
    world = encoded("SQL_ASCII")
    code, out, err = invoke("run", "letters", "--from", day(0))
    assert (code, out) == (1, "")
    assert "its database is encoded in SQL_ASCII, which does not say what letters its bytes are" in err
    assert kept(world, "letters") == {}
