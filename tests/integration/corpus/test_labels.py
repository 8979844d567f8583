"""Labels that are late, missing, doubled or wrong: what is kept of each, and what stops the day before any is kept."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import yaml

from shadow_deployment.pipeline import steps as steps_of_day
from tests.conftest import Invoke
from tests.integration.corpus.cases import HERE
from tests.integration.corpus.test_tables import DEPLOYMENT, kept, ours, prepared  # noqa: F401 (fixtures)
from tests.production import OWNER, World, day, moment

LABELS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "labels.yaml").read_text(encoding="utf-8"))
REFUSED: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "refused_labels.yaml").read_text(encoding="utf-8"))
INVALID: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "invalid_labels.yaml").read_text(encoding="utf-8"))
TABLES = """
CREATE SCHEMA corpus;
CREATE TABLE corpus.log (
    id text, at timestamptz, x float8, y float8, p float8, q float8, origin text, version text, ms float8
);
CREATE TABLE corpus.outcome (id text, label int, known_at timestamptz);
GRANT USAGE ON SCHEMA corpus TO production_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA corpus TO production_reader;
"""
REQUEST = "INSERT INTO corpus.log SELECT %s, timestamptz '2024-03-01 12:00Z', 1, 1, 0.5, 0.5, 'EWR', '7', 5"
LABEL = "INSERT INTO corpus.outcome VALUES (%s, %s, %s)"
KNOWN_AFTER = "INSERT INTO corpus.outcome VALUES (%s, %s, timestamptz '2024-03-01 Z' + %s * interval '1 day')"


@pytest.fixture(scope="module")
def collected(worlds: Callable[..., World]) -> dict[str, tuple[float, float | None]]:
    """Collect the labels of all cases, on the day itself and day by day until they count no more."""
    world = worlds(own=True)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute(TABLES)
        for title, case in LABELS.items():
            session.execute(REQUEST, [title])
            for value, when in case["labels"]:
                is_moment = when is None or isinstance(when, str)
                session.execute(LABEL if is_moment else KNOWN_AFTER, [case.get("id", title), value, when])
    shadow = world.shadow(name="labelled", **DEPLOYMENT)
    for number in range(6):
        steps_of_day.sample(shadow, day(number))
        steps_of_day.collect_labels(shadow, day(number))
    rows = world.query(
        "SELECT request_id, value, conflict FROM shadow.label JOIN shadow.request USING (day, snapshot_id, ordinal)"
    )
    return {title: (value, conflict) for title, value, conflict in rows}


@pytest.mark.parametrize("title", LABELS)
def test_a_label_is_kept_once_with_what_contradicts_it(title: str, collected: dict[str, Any]) -> None:
    expected = LABELS[title]["kept"]
    assert collected.get(title) == (tuple(expected) if expected else None)


@pytest.mark.parametrize("title", REFUSED)
def test_a_table_that_holds_no_labels_stops_the_day_before_any_is_kept(
    title: str,
    prepared: Any,  # noqa: F811
    invoke: Invoke,
) -> None:
    case, name = REFUSED[title], f"labels_{list(REFUSED).index(title)}"
    world = prepared(name, case)
    code, out, err = invoke("run", name, "--from", day(0))
    assert code == 1
    assert "Traceback" not in out + err
    assert case["says"] in " ".join(err.split())
    assert not set(kept(world, name)) & {"label", "evidence", "verdict"}


@pytest.mark.parametrize("title", INVALID)
def test_a_label_that_is_none_is_set_aside_and_counted(
    title: str,
    prepared: Any,  # noqa: F811
    invoke: Invoke,
) -> None:
    case, name = INVALID[title], f"invalid_{list(INVALID).index(title)}"
    world = prepared(name, case)
    code, _, err = invoke("run", name, "--from", day(0))
    assert code == 0, err
    assert kept(world, name)["label"] == 11
    invalid = "SELECT invalid FROM shadow.quarantined_label AS l JOIN shadow.snapshot AS s ON s.id = l.snapshot_id "
    invalid += "JOIN shadow.deployment AS d ON d.id = s.deployment_id WHERE d.name = %s"
    assert world.query(invalid, [name]) == [(case["kept"],)]
    _, out, _ = invoke("labels", name, "--json")
    assert (json.loads(out)["invalid"], json.loads(out)["labelled"]) == (1, 11)


def test_a_date_says_that_a_label_was_known_by_the_end_of_that_day(
    prepared: Any,  # noqa: F811
    invoke: Invoke,
) -> None:
    world = prepared("dated", {"sql": "ALTER TABLE corpus.outcome ALTER known_at TYPE date"})
    code, _, err = invoke("run", "dated", "--from", day(0))
    assert code == 0, err
    _, out, _ = invoke("labels", "dated", "--json")
    assert (json.loads(out)["labelled"], json.loads(out)["early"]) == (12, 0)
    assert world.query(
        "SELECT DISTINCT known_at FROM shadow.label AS l JOIN shadow.snapshot AS s ON s.id = snapshot_id "
        "JOIN shadow.deployment AS d ON d.id = s.deployment_id WHERE d.name = 'dated'"
    ) == [(moment(1),)]
