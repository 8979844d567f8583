"""From tables that nobody prepared to a deployment file, and to what it would do."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.cli.commands import onboarding as commands
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.config.reference import schema_text
from shadow_deployment.onboarding.preview import days
from tests.conftest import Invoke, declare
from tests.json_lines import compressed, encoded_lines
from tests.parquet import on_disk
from tests.production import DAYS, READER, World, day

UNPREPARED = [
    """CREATE TABLE flights."Scored" AS
       SELECT substr(request_id, 2)::int AS "flightNo", predicted_at AT TIME ZONE 'UTC' AS "scoredAt", dep_hour,
           distance, origin, request_id || '@example.com' AS contact, '{}'::jsonb AS raw,
           champion_probability AS "pLate", other_probability AS "altScore", model_version AS build,
           latency_ms AS took_ms
       FROM flights.prediction_log WHERE champion_probability IS NOT NULL ORDER BY predicted_at""",
    """CREATE TABLE flights.feed AS
       SELECT substr(request_id, 2)::bigint AS ref, CASE is_late WHEN 1 THEN 'late' ELSE 'on time' END AS state,
           known_at AS entered, 'x' AS clerk
       FROM flights.outcome ORDER BY known_at""",
    f'GRANT SELECT ON flights."Scored", flights.feed TO {READER}',
]
TABLES = ["--requests", "flights.Scored", "--labels", "flights.feed", "--conn-id", "production_db"]
CHALLENGER = ["--challenger", "alt=logged:altScore"]
TRAINED = ["--trained-until", "alt=2024-01-31"]


@pytest.fixture(scope="module")
def unprepared(worlds: Callable[..., World]) -> World:
    world = worlds(own=True)
    for statement in UNPREPARED:
        world.change_production(statement)
    return world


@pytest.fixture
def world(unprepared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(days, "SECONDS", 0.0)  # two days are enough here
    return declare(unprepared, monkeypatch)


def test_init_writes_a_valid_file_that_says_what_it_rests_on(world: World, invoke: Invoke) -> None:
    code, out, err = invoke("init", "late_flights", *TABLES, *CHALLENGER, *TRAINED)
    path = world.deployments / "late_flights.yaml"
    text = path.read_text(encoding="utf-8")
    found = load_deployment(path)
    assert (code, "next: shadow preview late_flights" in out) == (0, True), err
    assert found.requests.model_dump(include={"id", "time", "features", "prediction", "version", "latency"}) == {
        "id": "flightNo",
        "time": "scoredAt",
        "features": ["dep_hour", "distance", "origin"],
        "prediction": "pLate",
        "version": "build",
        "latency": "took_ms",
    }
    assert found.labels.model_dump(include={"id", "value", "time", "positive", "negative"}) == {
        "id": "ref",
        "value": "state",
        "time": "entered",
        "positive": "late",
        "negative": "on time",
    }
    assert (found.task, found.labels.maturity_days, found.slices) == ("binary", 10, ["origin"])
    assert (found.policy.replay, found.start, found.sample.rate) == ("count", day(1), 1.0)
    assert text.startswith("# yaml-language-server: $schema=deployment.schema.json\n")
    assert (world.deployments / "deployment.schema.json").read_text(encoding="utf-8") == schema_text()
    for reason in ("its requests were predicted 0.", "99% of", "named as an id", "altScore (named as a prediction"):
        assert reason in " ".join(text.replace("#", "").split()), "in the file"
        assert reason in " ".join(out.split()), "on the screen"


def test_a_file_that_is_there_is_kept_unless_forced(world: World, invoke: Invoke) -> None:
    path = world.deployments / "mine.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine\n")
    code, _, err = invoke("init", "mine", *TABLES, *CHALLENGER)
    assert (code, path.read_text(), "give --force" in err) == (1, "mine\n", True)
    code, _, err = invoke("init", "mine", *TABLES, *CHALLENGER, "--force")
    found = load_deployment(path)
    assert (code, found.policy.replay, found.challengers[0].trained_until) == (0, "shown", None)
    assert "only live days decide" in path.read_text()
    path.unlink()


def test_at_a_terminal_each_proposal_is_a_question_with_its_reason(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, str | None] = {}
    typed = {"Model of a challenger": "logged:altScore", "Last day of the training": "2024-01-31"}

    def prompt(text: str, default: str | None, **_: object) -> str:
        answers = [answer for beginning, answer in typed.items() if text.startswith(beginning) and text not in asked]
        asked[text] = default
        return answers[0] if answers and not text.endswith("no more)") else default or ""

    monkeypatch.setattr(commands, "_is_terminal", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    code, out, err = invoke("init", "asked", *TABLES)
    found = load_deployment(world.deployments / "asked.yaml")
    assert (code, asked["Column of the request id"], asked["Label that means 1"]) == (0, "flightNo", "late"), err
    assert "named as an id and different in each of" in out
    assert found.challengers[0].model_dump(include={"name", "model", "trained_until"}) == {
        "name": "altscore",
        "model": "logged:altScore",
        "trained_until": dt.date(2024, 1, 31),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "requests.table is missing: give --requests"),
        (["x", *TABLES], "give --challenger NAME=MODEL"),
        (["x", *TABLES[:-1], "nowhere", *CHALLENGER], "set AIRFLOW_CONN_NOWHERE"),
        (["X", *TABLES, *CHALLENGER], "NAME == 'X', must be lower-case ASCII letters"),
        (["x", *TABLES, *CHALLENGER, "--id", "flightno"], "--id == 'flightno', must be one of flightNo"),
        (["x", *TABLES, *CHALLENGER, "--label-id", "clerk"], "ids in flightNo of flights.Scored is in clerk"),
        (
            ["x", *TABLES, *CHALLENGER, "--requests", "flights.feed"],
            "the columns, none of which is of such a type: give --prediction",
        ),
        (["x", *TABLES, *CHALLENGER, "--labels", "flights.late"], "labels.table == 'flights.late', must be a table"),
        (["x", *TABLES, *CHALLENGER, "--store-conn-id", "", "--rate", "2"], "--rate == '2', must be a number above 0"),
    ],
)
def test_what_is_not_known_names_the_flag(arguments: list[str], message: str, world: World, invoke: Invoke) -> None:
    code, _, err = invoke("init", *arguments)
    assert (code, message in " ".join(err.split())) == (1, True), err
    assert not (world.deployments / "x.yaml").exists()


def preview(world: World, invoke: Invoke, *arguments: str) -> tuple[int, dict[str, Any], str]:
    if not (world.deployments / "late_flights.yaml").exists():
        invoke("init", "late_flights", *TABLES, *CHALLENGER, *TRAINED)
    code, out, err = invoke("preview", "late_flights", "--json", *arguments)
    return code, json.loads(out) if out else {}, err


def test_preview_needs_no_ledger_and_writes_nothing(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.dump()
    preview(world, invoke)
    monkeypatch.delenv("AIRFLOW_CONN_SHADOW_DB")
    code, shown, err = preview(world, invoke, "--day", str(day(3)))
    requests = "FROM flights.prediction_log WHERE champion_probability IS NOT NULL AND predicted_at::date = %s"
    [(count,)] = production(world, f"SELECT count(*) {requests}", day(3))
    [(labelled,)] = production(
        world, f"SELECT count(*) {requests.replace('WHERE', 'JOIN flights.outcome USING (request_id) WHERE')}", day(3)
    )
    assert (code, shown["requests"], shown["sampled"], shown["log_to"]) == (0, count, count, str(day(DAYS - 2))), err
    assert shown["labels"]["requests"] >= count
    assert 0 < labelled <= count
    assert (len(shown["rows"]), {*shown["rows"][0]["challengers"]}) == (3, {"alt", "a_a_check"})
    assert {each["challenger"] for each in shown["horizons"]} == {"alt"}
    assert {each["basis"] for each in shown["horizons"]} == {"the two models' differences"}
    assert world.dump() == before
    assert not world.snapshots.exists()


def test_a_challenger_that_cannot_be_scored_is_named_and_the_exit_code_says_so(world: World, invoke: Invoke) -> None:
    preview(world, invoke)
    path = world.deployments / "late_flights.yaml"
    text = path.read_text()
    path.write_text(text.replace("logged:altScore", "onnx:nowhere.onnx"))
    try:
        code, shown, _ = preview(world, invoke)
        told, _, err = invoke("preview", "late_flights")
    finally:
        path.write_text(text)
    assert (code, told, shown["unscored"], "does not exist" in shown["problems"]["alt"]) == (1, 1, ["alt"], True)
    assert "challenger alt: " in err
    assert shown["horizons"][0]["basis"] == "the champion's own losses"


def test_a_folder_of_json_lines_and_one_of_parquet_files_are_enough(
    tmp_path: Path, world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three classes, the log in a folder a day and all labels in one file."""
    random = np.random.default_rng(7)
    names = ["billing", "sales", "tech"]
    labels: list[tuple[str, str, dt.datetime]] = []
    for number in range(6):
        at = [dt.datetime.combine(day(number), dt.time(hour)) for hour in range(24)]
        shares = random.dirichlet([1, 1, 1], 24)
        ids = [f"t{number}-{hour}" for hour in range(24)]
        rows = [
            {"ticket": ids[hour], "routed": f"{at[hour]}Z", "from": {"lang": ["de", "en"][hour % 2], "tags": []}}
            | {f"p_{name}": shares[hour, place] for place, name in enumerate(names)}
            for hour in range(24)
        ]
        on_disk(tmp_path)(f"log/dt={day(number)}/0.jsonl.gz", compressed(encoded_lines(rows)))
        labels += [(ids[hour], names[int(random.integers(3))], at[hour] + dt.timedelta(hours=30)) for hour in range(24)]
    columns = dict(zip(("ticket", "queue", "closed_at"), map(list, zip(*labels, strict=True)), strict=True))
    (tmp_path / "solved").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "solved" / "all.parquet")
    where = ["--requests", str(tmp_path / "log"), "--labels", str(tmp_path / "solved")]
    code, _, err = invoke("init", "tickets", *where, "--challenger", "same=logged:p_billing,p_sales,p_tech")
    found = load_deployment(world.deployments / "tickets.yaml")
    assert (code, found.task, found.classes) == (0, "multiclass", names), err
    assert found.requests.table == f"jsonl:{tmp_path}/log/dt={{day}}/*.jsonl.gz"
    columns = {"ticket": "string", "routed": "timestamp", "lang": "string $.from.lang"}
    assert found.requests.columns == columns | {f"p_{name}": "number" for name in names}
    assert (found.requests.prediction_columns, found.labels.maturity_days) == ([f"p_{name}" for name in names], 2)
    code, out, err = invoke("preview", "tickets", "--json")
    shown = json.loads(out)
    assert (code, shown["requests"], shown["labels"]["labelled"]) == (0, 24, shown["labels"]["requests"]), err
    assert shown["rows"][0]["label"] in names
    assert shown["access"]["requests"] | {"bytes": 0} == {
        "table": found.requests.table,
        "how": "files",
        "name": None,
        "rows": None,
        "files": 1,
        "bytes": 0,
    }


def test_schema_prints_what_is_shipped(invoke: Invoke) -> None:
    code, out, _ = invoke("schema")
    assert (code, out) == (0, schema_text())


def test_preview_says_how_rows_are_found(world: World, invoke: Invoke) -> None:
    _, shown, _ = preview(world, invoke)
    assert [each["how"] for each in shown["access"].values()] == ["table", "table"]
    for statement in (
        "INSERT INTO flights.feed SELECT n, 'late', '2024-03-01', 'y' FROM generate_series(1000000, 1060000) n",
        """INSERT INTO flights."Scored" ("flightNo", "scoredAt")
           SELECT n, '2023-01-01' FROM generate_series(1000000, 1060000) n""",
        'CREATE INDEX scored_time ON flights."Scored" ("scoredAt")',
        'ANALYZE flights."Scored"',
        "ANALYZE flights.feed",
    ):
        world.change_production(statement)
    _, text, err = invoke("preview", "late_flights")
    words = " ".join(text.split())
    assert words, err
    assert "flights.Scored by index scored_time, about " in words
    assert "an index that begins with ref spares production that" in words
    world.change_production("CREATE INDEX feed_ref ON flights.feed (ref)")
    _, shown, _ = preview(world, invoke)
    found = {key: (each["how"], each["name"]) for key, each in shown["access"].items()}
    assert found == {"requests": ("index", "scored_time"), "labels": ("index", "feed_ref")}


def production(world: World, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(world.postgres.uri(world.production, READER)) as session:
        return session.execute(statement, values).fetchall()
