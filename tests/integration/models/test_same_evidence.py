"""The same model, whatever it is kept as: the evidence is the same to 1e-6."""

import datetime as dt
import hashlib
import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from shadow_deployment.errors import ModelError
from shadow_deployment.models.loading import model_digest
from shadow_deployment.models.sandbox import runtimes
from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke, declare
from tests.integration.models.misbehaving import WEIGHTS
from tests.production import World, day, linear_model

REQUIREMENTS = ["mlflow-skinny==3.17.2", "pandas==3.1.1", "pyarrow==26.0.1"]
NO_NETWORK = ("dns error", "error sending request", "connection error", "temporary failure in name resolution")
PROGRAM = """
import sys
import mlflow
import numpy as np

class Linear(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        total = sum(weight * model_input[name] for name, weight in {weights}.items())
        return 1 / (1 + np.exp(-total))

folder, store = sys.argv[1:]
mlflow.pyfunc.save_model(folder, python_model=Linear(), pip_requirements=[])
mlflow.set_tracking_uri(store)
with mlflow.start_run():
    mlflow.pyfunc.log_model(name="m", python_model=Linear(), pip_requirements=[], registered_model_name="late")
mlflow.MlflowClient().set_registered_model_alias("late", "serving", "1")
mlflow.MlflowClient().set_model_version_tag("late", "1", "trained_until", "2024-01-31")
"""


def estimator() -> LogisticRegression:
    """Return an estimator that is the linear model."""
    frame = pd.DataFrame({name: [0.0, 1.0] for name in WEIGHTS})
    model = LogisticRegression(fit_intercept=False).fit(frame, [0, 1])
    model.coef_ = np.array([list(WEIGHTS.values())])
    return model


def agree(world: World, challengers: list[dict[str, Any]]) -> None:
    """Run a day with the ONNX model and others; require the same evidence of all, and no error."""
    onnx = {"name": "onnx", "model": f"onnx:{linear_model(world.folder / 'linear.onnx', WEIGHTS)}"}
    shadow = world.shadow(challengers=[onnx, *challengers], sample={"shard_rows": 100})
    assert list(run_days(shadow, [day(0)], Console(file=io.StringIO()))) == []
    assert world.query("SELECT DISTINCT error FROM shadow.prediction") == [(None,)]
    evidence = dict(iter(world.evidence().groupby("challenger")))
    assert sorted(evidence) == sorted(["onnx", *(one["name"] for one in challengers)])
    expected = evidence["onnx"].drop(columns=["challenger", "digest"]).reset_index(drop=True)
    assert expected["pairs"].sum() > 100
    for name, rows in evidence.items():
        found = rows.drop(columns=["challenger", "digest"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-6, atol=1e-6, obj=str(name))


def test_functions_and_estimators_give_the_evidence_of_the_onnx_model(worlds: Callable[..., World]) -> None:
    world = worlds()
    path, onnx = world.folder / "model.joblib", world.folder / "again.onnx"
    linear_model(onnx, WEIGHTS)
    joblib.dump(estimator(), path)
    import skops.io

    skops.io.dump(estimator(), world.folder / "model.skops")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    agree(
        world,
        [
            {"name": "function", "model": "python:tests.integration.models.misbehaving:linear"},
            {"name": "skops", "model": f"skops:{world.folder / 'model.skops'}"},
            {"name": "sklearn", "model": f"sklearn:{path}", "unpickle": True, "digest": digest},
            {"name": "limited", "model": f"onnx:{onnx}", "limits": {"seconds": 30.0, "rows": 7}},
        ],
    )


@pytest.fixture(scope="module")
def mlflow_python() -> str:
    """The interpreter of a runtime with MLflow, made as any is; kept beside the other files of a development."""
    from shadow_deployment.config.deployment import Challenger

    one = Challenger.model_validate({"name": "m", "model": "mlflow:m", "runtime": {"requirements": REQUIREMENTS}})
    try:
        return runtimes.interpreter(one)
    except ModelError as error:
        if not any(words in str(error).lower() for words in NO_NETWORK):
            raise
        pytest.skip(f"MLflow cannot be installed without a network: {error}")


@pytest.fixture(scope="module")
def mlflow_models(mlflow_python: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a model that MLflow has saved, and a file store with the same one registered."""
    folder = tmp_path_factory.mktemp("mlflow")
    store = (folder / "store").as_uri()
    subprocess.run(
        [mlflow_python, "-c", PROGRAM.replace("{weights}", str(WEIGHTS)), str(folder / "model"), store],
        check=True,
        capture_output=True,
        cwd=folder,
        env=os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    return folder / "model", store


def test_mlflow_gives_the_evidence_of_the_onnx_model_from_a_folder_and_by_its_alias(
    worlds: Callable[..., World], mlflow_models: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadow_deployment.models.aliases import resolve_aliases

    folder, store = mlflow_models
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    world = worlds()
    runtime = {"runtime": {"requirements": REQUIREMENTS}}
    alias = {"name": "alias", "model": "mlflow:models:/late@serving", **runtime}
    declared = {"policy": {"replay": "shown", "rules": [{"metric": "brier_score", "is": "superior"}]}}
    shadow = resolve_aliases(world.shadow(challengers=[alias], **declared))
    [found] = shadow.deployment.challengers
    assert (found.model, found.trained_until) == ("mlflow:models:/late/1", dt.date(2024, 1, 31))
    before = model_digest(found)
    agree(
        world,
        [
            {"name": "folder", "model": f"mlflow:{folder}", **runtime},
            {"name": "registered", "model": found.model, **runtime},
        ],
    )
    assert model_digest(found) == before


def test_a_new_version_in_mlflow_waits_for_its_tag_and_then_answers_past_days_in_a_trial_of_its_own(
    worlds: Callable[..., World],
    mlflow_python: str,
    mlflow_models: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    invoke: Invoke,
) -> None:
    _, store = mlflow_models
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    world = declare(worlds(), monkeypatch)
    newest = {"name": "newest", "model": "mlflow:models:/late/latest", "runtime": {"requirements": REQUIREMENTS}}
    world.deploy(
        challengers=[newest], policy={"replay": "count", "rules": [{"metric": "brier_score", "is": "superior"}]}
    )

    def in_mlflow(statement: str) -> None:
        program = f"import mlflow; client = mlflow.MlflowClient({store!r}); {statement}"
        variables = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
        subprocess.run([mlflow_python, "-c", program], check=True, capture_output=True, env=os.environ | variables)

    def scored() -> dict[str, list[dt.date]]:
        rows = world.query(
            "SELECT m.version, array_agg(DISTINCT s.day ORDER BY s.day) FROM shadow.scoring AS c "
            "JOIN shadow.snapshot AS s ON s.id = c.snapshot_id "
            "JOIN shadow.model_version AS m ON m.id = c.challenger_id GROUP BY 1"
        )
        return dict(rows)

    again = "client.create_model_version('late', one.source, model_id=one.model_id)"
    in_mlflow(f"one = client.get_model_version('late', '1'); {again}")
    code, _, err = invoke("run", "late", "--from", day(0), "--to", day(1))
    assert code == 0, err
    assert scored() == {"1": [day(0), day(1)]}
    waits = "ersion 2 in MLflow waits: it has no tag trained_until"
    assert f"newest: v{waits}" in " ".join(invoke("status", "late")[1].split())
    assert f"V{waits}." in invoke("verdict", "late", "--json")[1]
    in_mlflow("client.set_model_version_tag('late', '2', 'trained_until', '2024-02-01')")
    code, _, err = invoke("run", "late", "--from", day(2))
    assert code == 0, err
    assert scored() == {"1": [day(0), day(1)], "2": [day(0), day(1), day(2)]}
    trials = world.query(
        "SELECT m.version, t.batch FROM shadow.trial AS t JOIN shadow.model_version AS m ON m.id = t.challenger_id"
    )
    assert sorted(trials) == [("1", 1), ("2", 2)]
