"""Features that the champion never logged: each challenger sees its own, as known, once and for good."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg.rows import dict_row

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import connect
from shadow_deployment.errors import SnapshotError, SourceError
from shadow_deployment.ledger.trials import trials
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.history.erase import erase
from shadow_deployment.pipeline.history.verify import verify
from tests.conftest import Invoke, declare
from tests.json_lines import encoded_lines
from tests.production import OWNER, World, day, linear_model

PROFILE = """
CREATE TABLE flights.profile (request_id text, known_at timestamptz, spend float8, age float8);
INSERT INTO flights.profile SELECT request_id, predicted_at - interval '1 hour', dep_hour / 10, distance / 1000
FROM flights.prediction_log WHERE right(request_id, 1) <> '9';
INSERT INTO flights.profile SELECT request_id, predicted_at + interval '1 microsecond', 50, 50
FROM flights.prediction_log;
CREATE INDEX ON flights.profile (request_id, known_at)
"""
SERVED = """
SELECT request_id, predicted_at AS known_at, CASE request_id WHEN 'f0301' THEN 60 ELSE 1 END * dep_hour AS dep_hour,
    1.0::float8 AS wind
FROM flights.prediction_log WHERE request_id <> 'f0302'
"""
SHARDS = 3
WITHOUT = 6  # requests of a day whose first row is the leak


def challenger(world: World, name: str, *features: str, **wanted: Any) -> dict[str, Any]:
    path = linear_model(world.folder / f"{name}.onnx", dict.fromkeys(features, 1.0))
    known = {"conn_id": "production_db", "table": "flights.profile", "id": "request_id", "known_at": "known_at"}
    return {"name": name, "model": f"onnx:{path}", "features_from": {**known, "features": [*features], **wanted}}


def score(context: DeploymentContext, name: str, number: int = 0) -> pd.DataFrame:
    """Score a day; return request, prediction and error."""
    for shard in range(SHARDS):
        steps.score(context, day(number), name, shard)
    with connect(context.ledger_connection) as session:
        rows = session.execute(
            "SELECT request_id, value, error FROM shadow.prediction AS p JOIN shadow.request "
            "USING (snapshot_id, ordinal) JOIN shadow.model_version AS m ON m.id = challenger_id "
            "WHERE p.day = %s AND m.name = %s ORDER BY 1",
            [day(number), name],
        ).fetchall()
    return pd.DataFrame(rows, columns=["request_id", "value", "error"])


def files(world: World, number: int = 0) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(world.snapshots.glob(f"late/{day(number)}/*/*/features-*/*"))}


def logistic(values: pd.Series) -> Any:
    return 1 / (1 + np.exp(-values))


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    """Day 0 was sampled with the features of `spends`; production has changed them in place since."""
    world = worlds(own=True)
    world.change_production(PROFILE)
    steps.sample(world.shadow(challengers=[challenger(world, "spends", "spend")]), day(0))
    world.change_production("UPDATE flights.profile SET spend = 100")
    return world


@pytest.fixture
def log(ours: World) -> pd.DataFrame:
    """The requests of day 0 that have a row in time, by id."""
    frames = [pq.read_table(path).to_pandas() for path in ours.snapshots.glob(f"late/{day(0)}/*/*/part-*.parquet")]
    requests = pd.concat(frames).sort_values("request_id")
    return requests[~requests["request_id"].str.endswith("9")]


def test_a_challenger_is_scored_on_what_was_known_when_the_day_was_sampled(ours: World, log: pd.DataFrame) -> None:
    context = ours.shadow(challengers=[challenger(ours, "spends", "spend")])
    before = files(ours)
    steps.sample(context, day(0))
    found = score(context, "spends")
    assert files(ours) == before
    assert len(before) == SHARDS + 1
    answered = found[found["value"].notna()]
    assert answered["request_id"].tolist() == log["request_id"].tolist()
    np.testing.assert_allclose(answered["value"], logistic(log["dep_hour"] / 10), rtol=1e-6)
    missing = found[found["value"].isna()]
    assert len(missing) == WITHOUT
    assert set(missing["error"]) == {"the model predicted nan; null features: spend"}


def test_one_that_is_declared_later_has_other_features_of_past_requests(ours: World, log: pd.DataFrame) -> None:
    """Whatever became known since is not among them."""
    context = ours.shadow(challengers=[challenger(ours, "ages", "age"), challenger(ours, "spends", "spend")])
    found = score(context, "ages")
    answered = found[found["value"].notna()]
    np.testing.assert_allclose(answered["value"], logistic(log["distance"] / 1000), rtol=1e-6)
    assert len(found) - len(answered) == WITHOUT
    assert len(files(ours)) == 2 * (SHARDS + 1)


def test_a_table_that_is_missing_costs_only_its_own_challenger(ours: World, caplog: pytest.LogCaptureFixture) -> None:
    lost = challenger(ours, "lost", "age", table="flights.lost")
    context = ours.shadow(challengers=[lost, challenger(ours, "ages", "age")])
    steps.sample(context, day(1))
    assert "lost: its features_from are not there yet: challengers[0].features_from.table" in caplog.text
    assert score(context, "ages", 1)["value"].count() == 60 - WITHOUT
    with pytest.raises(SourceError, match=r"challengers\[0\].features_from.table == 'flights.lost', must be a table"):
        steps.score(context, day(1), "lost", 0)


def test_features_are_looked_up_by_any_column_of_the_request(ours: World) -> None:
    """Such as a customer's number, which no model need see."""
    ours.change_production(
        "CREATE TABLE flights.airline (code text, since timestamptz, spend float8);"
        "INSERT INTO flights.airline VALUES ('AA', '2024-01-01', 1), ('UA', '2024-01-01', 2), "
        "('UA', '2024-03-03 12:00', 3)"
    )
    changes = {"table": "flights.airline", "id": "code", "key": "carrier", "known_at": "since"}
    context = ours.shadow(challengers=[challenger(ours, "airlines", "spend", **changes)], slices=["origin"])
    steps.sample(context, day(2))
    (sample,) = ours.snapshots.glob(f"late/{day(2)}/*/*/part-00000.parquet")
    requests = pq.read_table(sample).to_pydict()
    (own,) = ours.snapshots.glob(f"late/{day(2)}/*/*/features-*/part-00000.parquet")
    expected = [
        None if code is None else 1.0 if code == "AA" else 2.0 + (at >= pd.Timestamp("2024-03-03 12:00", tz="UTC"))
        for code, at in zip(requests["key:carrier"], requests["requested_at"], strict=True)
    ]
    assert pq.read_table(own)["spend"].to_pylist() == expected
    assert {None, 1.0, 2.0, 3.0} == set(expected)
    other = challenger(ours, "versions", "spend", **{**changes, "key": "model_version"})
    with pytest.raises(SnapshotError, match=r"was sampled before features_from.key named model_version"):
        steps.score(ours.shadow(challengers=[other], slices=["origin"]), day(2), "versions", 0)


def test_other_features_are_another_trial(ours: World) -> None:
    for number, wanted in enumerate(({}, {"known_at": "predicted_at"}), start=3):
        ours.change_production(
            "CREATE OR REPLACE VIEW flights.profiles AS SELECT request_id, known_at, known_at AS predicted_at, spend "
            "FROM flights.profile"
        )
        one = challenger(ours, "traced", "spend", **{"table": "flights.profiles", **wanted})
        context = ours.shadow(challengers=[one])
        steps.sample(context, day(number))
    with connect(context.ledger_connection) as session:
        opened = [each.opened_because for each in trials(session, context.deployment) if each.name == "traced"]
    assert len(opened) == 2
    assert "the challenger's features_from" in opened[1]


def test_features_that_were_changed_are_found_and_an_erased_request_has_none(ours: World) -> None:
    context = ours.shadow(challengers=[challenger(ours, "spends", "spend")])
    steps.sample(context, day(0))
    with connect(context.ledger_connection) as session:
        ((subject,),) = session.execute(
            "SELECT request_id FROM shadow.request WHERE day = %s AND ordinal = 30", [day(0)]
        ).fetchall()
    assert verify(context, [day(0)]).difference is None
    assert [each.requests for each in erase(context, subject, "request_id", "ann")] == [1]
    kept = [pq.read_table(path) for path in files(ours) if path.suffix == ".parquet"]
    assert [part.num_rows for part in kept] == [25, 24, 10]
    assert verify(context, [day(0)]).difference is None
    changed = next(path for path in files(ours) if path.suffix == ".parquet")
    manifest, before = changed.with_name("manifest.json"), changed.read_bytes()
    changed.write_bytes(before.replace(b"PAR1", b"PAR1 ", 1))
    assert f"{changed} has SHA-256" in (verify(context, [day(0)]).difference or "")
    sums = [hashlib.sha256(each).hexdigest() for each in (before, changed.read_bytes())]
    manifest.write_text(manifest.read_text().replace(*sums))
    undeclared = ours.shadow(challengers=[challenger(ours, "ages", "age")])
    for each in (context, undeclared):
        assert "as registered: they were changed; restore them" in (verify(each, [day(0)]).difference or "")
    with pytest.raises(SnapshotError, match=r"features in late/.* have digest .*, must be .* as registered"):
        steps.sample(context, day(0))
    manifest.unlink()
    assert f"{manifest}" in (verify(context, [day(0)]).difference or "")


def test_features_that_differ_from_the_logged_ones_bar_a_challenger(
    ours: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 requests one is served in another unit and one without a value; the other feature is not logged."""
    declare(ours, monkeypatch)
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER), row_factory=dict_row) as session:
        rows = session.execute(SERVED).fetchall()
    (ours.folder / "served.jsonl").write_bytes(encoded_lines(rows))
    columns = {"request_id": "string", "known_at": "timestamp", "dep_hour": "number", "wind": "number"}
    place = {"conn_id": None, "table": f"jsonl:{ours.folder}/served.jsonl", "columns": columns}
    skewed = challenger(ours, "skewed", "dep_hour", "wind", **place)
    context = ours.shadow(
        challengers=[skewed, challenger(ours, "unskewed", "age")],
        policy={"rules": [{"metric": "feature_skew", "is": "at_most", "value": 0.01}]},
    )
    steps.sample(context, day(5))
    steps.validate_inputs(context, day(5))
    for name in ("skewed", "unskewed"):
        score(context, name, 5)
        steps.validate_predictions(context, day(5), name)
    steps.compare(context, day(5))
    assert context.deployment.skewable == ["dep_hour"]
    found = ours.evidence().query("metric.str.startswith('feature_skew')")
    of_all = found[found["slice_column"] == "all"].set_index(["challenger", "metric"])["challenger_sum"]
    assert of_all.to_dict() == {
        ("skewed", "feature_skew"): 2.0,
        ("skewed", "feature_skew:dep_hour"): 2.0,
        ("unskewed", "feature_skew"): 0.0,
        ("unskewed", "feature_skew:dep_hour"): 0.0,  # it takes no such feature: there are no pairs
    }
    pairs = found[found["slice_column"] == "all"].set_index(["challenger", "metric"])["pairs"]
    assert pairs["skewed", "feature_skew:dep_hour"] == pairs["unskewed", "feature_skew"] == 60
    assert pairs["unskewed", "feature_skew:dep_hour"] == 0
    by_origin = found[(found["challenger"] == "skewed") & (found["slice_column"] == "origin")]
    assert by_origin.groupby("metric")["challenger_sum"].sum().unique().tolist() == [2.0]
    assert verify(context, [day(5)]).difference is None
    for name in ("skewed", "unskewed"):
        steps.judge(context, day(5), name)
    code, out, err = invoke("verdict", "late")
    assert code == 0, err
    assert "warning dep_hour differs from the logged dep_hour in 3.33% of requests on 2024-03-06" in out
    assert re.search(r"feature_skew at_most 0.01 +all +fail +0.03333", out)
