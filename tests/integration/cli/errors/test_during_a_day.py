"""What goes wrong during a day is named, stops what it must, and nothing else."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline import steps
from tests.conftest import PROJECT, Invoke, declare
from tests.integration.cli.errors.messages import assert_message, passwords
from tests.production import World, day, linear_model

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}


def test_a_snapshots_folder_that_cannot_be_written_is_named(reading: World, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file and no folder")
    reading.deploy(store={"snapshots": (tmp_path / "file" / "snapshots").as_uri()})
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{tmp_path}/file/snapshots/late/{day(0)}/" in "".join(err.split())
    assert "cannot be written: Not a directory; see store.snapshots" in " ".join(err.split())
    assert not any(reading.dump("alembic_version").values())


def test_a_corrupted_snapshot_is_refused_by_name_and_changes_nothing(reading: World, invoke: Invoke) -> None:
    reading.deploy(challengers=[OTHER])
    assert invoke("run", "late", "--from", day(0))[0] == 0
    before = reading.dump()
    (part, *_) = sorted(reading.snapshots.rglob("*.parquet"))
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{part} has SHA-256" in " ".join(err.split())
    assert "the inputs were changed; restore them" in " ".join(err.split())
    assert reading.dump() == before
    part.unlink()
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{part} is missing" in " ".join(err.split())
    part.write_bytes(content)
    assert invoke("run", "late", "--from", day(0))[0] == 0


def test_a_changed_manifest_is_refused(reading: World, invoke: Invoke) -> None:
    reading.deploy(challengers=[OTHER])
    assert invoke("run", "late", "--from", day(0))[0] == 0
    before = reading.dump()
    (manifest,) = reading.snapshots.rglob("manifest.json")
    manifest.write_text(manifest.read_text().replace('"champion_versions": [\n  "7"', '"champion_versions": [\n  "8"'))
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert "as registered: the inputs were changed; restore them from a backup" in " ".join(err.split())
    manifest.write_text("{")
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{manifest} is no manifest" in " ".join(err.split())
    assert reading.dump() == before


def test_null_and_infinite_features_are_errors_of_their_rows_and_the_day_goes_on(world: World, invoke: Invoke) -> None:
    world.change_production("UPDATE flights.prediction_log SET dep_hour = NULL WHERE request_id IN ('f0001', 'f0002')")
    world.change_production("UPDATE flights.prediction_log SET distance = 'Infinity' WHERE request_id = 'f0003'")
    world.change_production("UPDATE flights.prediction_log SET distance = '-Infinity' WHERE request_id = 'f0004'")
    world.change_production("UPDATE flights.prediction_log SET dep_hour = 'NaN' WHERE request_id = 'f0005'")
    model = linear_model(world.folder / "model.onnx", {"dep_hour": 0.1, "distance": -0.001})
    world.deploy(challengers=[{"name": "linear", "model": f"onnx:{model}"}])
    code, _, err = invoke("run", "late", "--from", day(0))
    assert code == 0, err
    errors = world.query(
        "SELECT request_id, error FROM shadow.prediction JOIN shadow.request USING (day, snapshot_id, ordinal) "
        "WHERE value IS NULL ORDER BY 1"
    )
    assert errors == [
        ("f0001", "the model predicted nan; null features: dep_hour"),
        ("f0002", "the model predicted nan; null features: dep_hour"),
        ("f0003", "feature distance is infinite"),
        ("f0004", "feature distance is infinite"),
        ("f0005", "the model predicted nan"),
    ]
    assert world.query("SELECT count(*) FROM shadow.prediction") == [(60,)]
    _, out, _ = invoke("evidence", "late", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    (rate,) = [row for row in rows if row["metric"] == "error_rate" and row["slice"] == "all"]
    assert rate["challenger_value"] == pytest.approx(5 / 60)


def test_a_failing_input_expectation_stops_the_day_and_the_verdict_says_why(
    world: World, invoke: Invoke, tmp_path: Path
) -> None:
    suite = tmp_path / "inputs.json"
    kwargs = {"column": "distance", "min_value": 0, "max_value": 5000}
    expectation = {"type": "expect_column_values_to_be_between", "kwargs": kwargs}
    suite.write_text(json.dumps({"name": "inputs", "expectations": [expectation]}))
    world.change_production("UPDATE flights.prediction_log SET distance = 9999 WHERE request_id = 'f0063'")
    world.deploy(challengers=[OTHER], expectations={"inputs": str(suite)})
    code, out, err = invoke("run", "late", "--from", day(0), "--to", day(1))
    assert_message(world.postgres, code, out, err)
    message = " ".join(err.split())
    assert f"1 of 7 expectations are not met by the inputs of {day(1)}" in message
    assert "expect_column_values_to_be_between" in message
    assert "on distance: 1 of 60 rows (1.67%) do not meet it, such as f0063" in message
    assert world.query("SELECT DISTINCT day FROM shadow.prediction") == [(day(0),)]
    assert set(world.evidence().day) == {day(0)}
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert (challenger["day"], challenger["outcome"]) == (str(day(1)), "INCONCLUSIVE")
    reason = f"the inputs of {day(1)} do not meet their expectations"
    assert challenger["reasons"][0] == reason
    code, _, err = invoke("run", "late", "--from", day(2))
    assert code == 0, err
    assert set(world.evidence().day) == {day(0), day(2)}


def test_a_request_that_was_logged_twice_stops_the_day(world: World, invoke: Invoke) -> None:
    world.change_production(
        "ALTER TABLE flights.prediction_log DROP CONSTRAINT prediction_log_pkey;"
        "UPDATE flights.prediction_log SET request_id = 'f0001' WHERE request_id = 'f0002';"
        "ALTER TABLE flights.prediction_log ALTER request_id DROP NOT NULL;"
        "UPDATE flights.prediction_log SET request_id = NULL WHERE request_id = 'f0003'"
    )
    world.deploy(challengers=[OTHER])
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(world.postgres, code, out, err)
    message = " ".join(err.split())
    assert "expect_column_values_to_be_unique() on request_id: 2 of 60 rows" in message
    assert "expect_column_values_to_not_be_null() on request_id: 1 of 60 rows" in message
    assert world.evidence().empty


def test_bad_predictions_are_an_error_of_the_day_and_count_in_the_evidence(world: World, invoke: Invoke) -> None:
    world.change_production("UPDATE flights.prediction_log SET other_probability = 1.5 WHERE request_id = 'f0001'")
    world.deploy()
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(world.postgres, code, out, err)
    assert f"expectations are not met by the predictions of other for {day(0)}" in " ".join(err.split())
    assert set(world.evidence().challenger) == {"a_a_check", "other"}
    _, out, _ = invoke("verdict", "late", "--json")
    warnings = {one["name"]: " ".join(one["warnings"]) for one in json.loads(out)["challengers"]}
    assert f"predictions do not meet their expectations on 1 day, which count: {day(0)}" in warnings["other"]
    assert "expectations" not in warnings["a_a_check"]


def test_an_unknown_day_or_order_of_days_is_a_usage_error(untouched: World, invoke: Invoke, monkeypatch: Any) -> None:
    declare(untouched, monkeypatch)
    untouched.deploy()
    for arguments in (["--from", "yesterday"], ["--from", "2024-03-02", "--to", "2024-03-01"]):
        code, out, err = invoke("run", "late", *arguments)
        assert code == 2
        assert "Traceback" not in out + err
        assert "must" in err


def test_an_interrupted_run_says_during_which_day_and_how_to_go_on(
    reading: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy(challengers=[OTHER])
    compare = steps.compare

    def interrupted(context: DeploymentContext, of: dt.date) -> int:
        if of == day(1):
            raise KeyboardInterrupt
        return compare(context, of)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "compare", interrupted)
        code, out, err = invoke("run", "late", "--from", day(0), "--to", day(2))
    *_, said, command = err.splitlines()
    assert (code, out) == (130, "")
    assert said == f"warning interrupted during {day(1)}: what is complete is kept; go on with"
    assert command == f"shadow run late --from {day(1)} --to {day(2)}"
    assert invoke(*command.split()[1:])[0] == 0
    assert set(reading.evidence().day) == {day(0), day(1), day(2)}


def test_the_real_program_ends_with_code_1_and_one_message(untouched: World) -> None:
    untouched.deploy(requests={"table": "flights.nowhere"})
    ended = subprocess.run(
        [sys.executable, "-m", "shadow_deployment", "run", "late", "--from", str(day(0))],
        cwd=PROJECT,
        env=os.environ | untouched.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_message(untouched.postgres, ended.returncode, ended.stdout, ended.stderr)
    assert "requests.table == 'flights.nowhere'" in " ".join(ended.stderr.split())
    assert ended.stdout == ""


def test_validate_reads_a_file_without_any_connection(
    untouched: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched.deploy()
    for name in untouched.variables():
        monkeypatch.delenv(name, raising=False)
    file = untouched.deployments / "late.yaml"
    code, out, _ = invoke("validate", file)
    assert code == 0
    assert "is a valid deployment: late, challengers other, a_a_check" in " ".join(out.split())
    file.write_text(file.read_text().replace("brier_score", "brier"))
    code, _, err = invoke("validate", file)
    assert code == 1
    assert "policy.rules[0].metric == 'brier', must be one of brier_score" in " ".join(err.split())


def test_no_password_is_in_what_a_day_logs(reading: World, invoke: Invoke, caplog: pytest.LogCaptureFixture) -> None:
    reading.deploy(challengers=[OTHER])
    with caplog.at_level("DEBUG"):
        code, out, err = invoke("run", "late", "--from", day(0))
    assert code == 0
    for password in passwords(reading.postgres):
        assert password not in out + err + caplog.text


def test_a_doubtful_policy_is_warned_of_and_refused_only_where_that_is_asked_for(
    untouched: World, invoke: Invoke
) -> None:
    untouched.deploy(policy={"alpha": 0.2})
    file = untouched.deployments / "late.yaml"
    code, out, err = invoke("validate", file)
    assert code == 0
    assert "is a valid deployment" in " ".join(out.split())
    assert "warning deployment late: policy.alpha == 0.2, above 0.1" in " ".join(err.split())
    assert "late.yaml:" in err
    assert invoke("validate", file, "--strict")[0] == 1
    untouched.deploy(policy={"alpha": 0.05, "burn_in": 28})
    assert invoke("validate", file, "--strict")[0] == 0
