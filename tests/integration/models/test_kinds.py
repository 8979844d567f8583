"""Functions and estimators as models: what they are shown, what they may answer, and which file they are."""

import hashlib
import os
import pickle
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from shadow_deployment.base.paths import SOURCE_ROOT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import KINDS
from shadow_deployment.config.window import window_of
from shadow_deployment.errors import DeploymentError, ModelError
from shadow_deployment.models import loading
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.models.sandbox import sklearn
from shadow_deployment.models.sandbox.runtimes import missing_packages
from tests.builders import a_deployment
from tests.integration.models.beside import FEATURES, MISBEHAVING, batch, loaded, surrounded
from tests.production import day

HOURS = [1.0, 9.0, 17.0, 23.0]
CLASSES = ["home", "draw", "away"]
THREE: dict[str, Any] = {
    "task": "multiclass",
    "classes": CLASSES,
    "requests": {"prediction": ["a", "b", "c"]},
    "policy": {"rules": [{"metric": "log_loss", "is": "superior"}]},
    "challengers": [],
}


def frame(hours: list[float]) -> Any:
    import pandas as pd

    return pd.DataFrame({"dep_hour": hours, "distance": [100.0] * len(hours)})


def fitted(labels: list[Any]) -> LogisticRegression:
    return LogisticRegression().fit(frame(HOURS), labels)


def saved(folder: Path, model: Any, how: str = "joblib") -> dict[str, Any]:
    """Write an estimator; return what a deployment says of it."""
    path = folder / f"model.{how}"
    if how == "joblib":
        joblib.dump(model, path, compress=3)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(model))
    else:
        import skops.io

        skops.io.dump(model, path)
        return {"model": f"skops:{path}"}
    return {"model": f"sklearn:{path}", "unpickle": True, "digest": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize("how", ["joblib", "pickle", "skops"])
def test_a_classifier_answers_with_the_probability_of_the_second_class(tmp_path: Path, how: str) -> None:
    model = fitted([0, 0, 1, 1])
    found = loaded(saved(tmp_path, model, how)).predict(batch(HOURS)).values
    assert_allclose(found, model.predict_proba(frame(HOURS))[:, 1], rtol=1e-12)


def test_one_without_probabilities_or_for_another_task_answers_with_what_it_predicts(tmp_path: Path) -> None:
    model = LinearSVC().fit(frame(HOURS), [0, 0, 1, 1])
    assert loaded(saved(tmp_path, model)).predict(batch(HOURS)).values.tolist() == model.predict(frame(HOURS)).tolist()
    regression = {
        "task": "regression",
        "tolerance": 1.0,
        "policy": {"rules": [{"metric": "squared_error", "is": "superior"}]},
    }
    answers = loaded(saved(tmp_path, fitted([0, 0, 1, 1])), **regression).predict(batch(HOURS))
    assert set(answers.values.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("labels", [["away", "draw", "home", "home"], [2, 1, 0, 0]], ids=["names", "numbers"])
def test_classes_come_in_the_order_of_the_deployment(tmp_path: Path, labels: list[Any]) -> None:
    model = fitted(labels)
    found = loaded(saved(tmp_path, model), **{k: v for k, v in THREE.items() if k != "challengers"})
    values = found.predict(batch(HOURS)).values
    columns = [
        list(map(str, model.classes_)).index(one if labels[0] == "away" else str(CLASSES.index(one))) for one in CLASSES
    ]
    assert_allclose(values, model.predict_proba(frame(HOURS))[:, columns], rtol=1e-12)


def test_other_classes_are_refused_where_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"its classes are a, b, c, must be two for a binary task"):
        loaded(saved(tmp_path, fitted(["a", "b", "c", "c"])))
    with pytest.raises(ModelError, match=r"its classes are away, draw, nobody, must be home, draw, away"):
        loaded(
            saved(tmp_path, fitted(["away", "draw", "nobody", "nobody"])),
            **{key: value for key, value in THREE.items() if key != "challengers"},
        )


class Trap:
    """An object whose unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_nothing_is_unpickled_that_is_not_trusted_by_digest(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "trap.joblib"
    path.write_bytes(pickle.dumps(Trap(mark)))
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DeploymentError, match=r"challengers\[0\].digest is missing"):
        loaded({"model": f"sklearn:{path}", "unpickle": True})
    with pytest.raises(DeploymentError, match=r"challengers\[0\].unpickle must be true"):
        loaded({"model": f"sklearn:{path}", "digest": right})
    for lacking in ({"digest": right}, {"unpickle": True}):
        shadow, _ = surrounded({"model": "champion"})
        one = Challenger.model_validate({"name": "one", "model": f"sklearn:{path}", **lacking})
        with pytest.raises(ModelError, match="needs digest and unpickle: true"):
            load(shadow, one, window_of(shadow.deployment, day(0)))
    with pytest.raises(ModelError, match="has SHA-256"):
        loaded({"model": f"sklearn:{path}", "unpickle": True, "digest": "0" * 64})
    assert not mark.exists()
    with pytest.raises(ModelError, match="cannot be loaded"):  # what it is, once it is trusted, is no estimator
        loaded({"model": f"sklearn:{path}", "unpickle": True, "digest": right})
    assert mark.exists()


def test_a_file_that_is_changed_between_the_check_and_the_reading_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, mark = saved(tmp_path, fitted([0, 0, 1, 1])), tmp_path / "mark"
    real = sklearn.files.fetch

    def fetch(*arguments: Any) -> Path:
        path = real(*arguments)
        monkeypatch.setattr(sklearn.files, "digest", lambda model: model.digest)
        path.write_bytes(pickle.dumps(Trap(mark)))
        return path

    monkeypatch.setattr(sklearn.files, "fetch", fetch)
    with pytest.raises(ModelError, match="it was changed while it was read"):
        loaded(declared)
    assert not mark.exists()


def test_skops_names_the_types_that_are_not_trusted(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    model = FunctionTransformer(os.path.basename)
    declared = saved(tmp_path, model, "skops")
    with pytest.raises(ModelError) as caught:
        loaded(declared)
    assert "it holds types that are not trusted: posixpath.basename" in str(caught.value)
    assert "name them in trusted" in str(caught.value)
    with pytest.raises(ModelError, match="has no attribute 'predict'"):
        loaded({**declared, "trusted": ["posixpath.basename"]})


def test_a_library_that_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    with pytest.raises(ModelError) as caught:
        loaded({"model": f"mlflow:{tmp_path}"})
    assert str(caught.value) == (
        'challenger one needs the extra "mlflow": pip install "shadow-deployment[mlflow]", or declare runtime'
    )


@pytest.mark.parametrize("limits", [{}, {"limits": {"seconds": 20.0}}])
def test_an_onnx_model_without_onnxruntime_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any]
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError('gone', name='onnxruntime')\n")
    (tmp_path / "model.onnx").write_bytes(b"not read")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("shadow_deployment.models.sandbox.onnx.SOURCE_ROOT", tmp_path)
    (tmp_path / "shadow_deployment").symlink_to(SOURCE_ROOT / "shadow_deployment")
    with pytest.raises(ModelError) as caught:
        loaded({"model": f"onnx:{tmp_path}/model.onnx", **limits})
    assert str(caught.value) == (
        'challenger one needs the extra "onnx": pip install "shadow-deployment[onnx]", or declare runtime'
    )


def test_each_extra_that_an_error_names_is_declared() -> None:
    declared = tomllib.loads((SOURCE_ROOT.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    hints = missing_packages(Challenger(name="a", model="skops:a.skops"))
    assert {re.search(r"\[(\w+)\]", hint)[1] for hint in hints.values()} <= set(declared)  # type: ignore[index]


def test_every_kind_of_a_deployment_file_can_be_loaded() -> None:
    assert set(loading.KINDS) == set(KINDS)


def test_the_registry_of_kinds_loads_no_model_library() -> None:
    heavy = {"onnxruntime", "sklearn", "mlflow", "boto3", "httpx", "airflow", "pandas"}
    program = f"import sys, shadow_deployment.models.loading; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_function_is_shown_the_features_and_nothing_else() -> None:
    answers = loaded({"model": f"{MISBEHAVING}describe"}).predict(
        pa.RecordBatch.from_pydict(
            {"distance": pa.array([1, None]), "champion": [0.1, 0.2], "dep_hour": pa.array(["a", None])}
        )
    )
    assert answers.values.tolist() == [1.0, 1.0]


def test_an_onnx_model_with_limits_answers_as_without(tmp_path: Path) -> None:
    from tests.production import linear_model

    path = linear_model(tmp_path / "linear.onnx", {"dep_hour": 0.1})
    sent = batch([1.0, 2.0, None], distance=np.ones(3))  # type: ignore[list-item]
    alone, apart = (
        loaded({"model": f"onnx:{path}", **limits}).predict(sent) for limits in ({}, {"limits": {"seconds": 9.0}})
    )
    assert_allclose(apart.values, alone.values, rtol=0)
    with pytest.raises(ModelError, match="cannot be loaded as an ONNX model"):
        loaded({"model": f"onnx:{__file__}", "limits": {}})
    text = batch([1.0]).set_column(1, "dep_hour", pa.array(["x"]))
    with pytest.raises(ModelError, match=r"^(?!ModelError).*feature dep_hour is string"):
        loaded({"model": f"onnx:{path}", "limits": {}}).predict(text)


def test_the_digest_of_a_function_is_its_source_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    package = tmp_path / "somebody"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('looking must not run anything')\n")
    (package / "model.py").write_text("raise RuntimeError('nor this')\n")

    def digest(function: str = "predict", **fields: Any) -> str:
        return model_digest(
            Challenger.model_validate({"name": "a", "model": f"python:somebody.model:{function}", **fields})
        )

    first = digest()
    assert (digest(), digest(limits={"seconds": 1.0})) == (first, first)
    assert digest("other") != first
    assert digest(runtime={"python": sys.executable}) != first
    (package / "model.py").write_text("changed = True\n")
    assert digest() != first
    assert "somebody" not in sys.modules
    with pytest.raises(ModelError, match=r"no module somebody.absent: put it below .* or on PYTHONPATH"):
        model_digest(Challenger(name="a", model="python:somebody.absent:predict"))
    elsewhere = Challenger.model_validate(
        {"name": "a", "model": "python:only_there:predict", "runtime": {"python": "/opt/python"}}
    )
    assert len(model_digest(elsewhere)) == 64


@pytest.mark.parametrize("kind", ["skops", "sklearn"])
def test_the_digest_of_an_estimator_is_that_of_its_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"some bytes")
    wanted = hashlib.sha256(b"some bytes").hexdigest()
    assert model_digest(Challenger(name="a", model=f"{kind}:{path}", digest=wanted)) == wanted
    path.write_bytes(b"other bytes")
    with pytest.raises(ModelError, match="must have"):
        model_digest(Challenger(name="a", model=f"{kind}:{path}", digest=wanted))


def test_limits_of_an_endpoint_mean_nothing_to_a_function() -> None:
    with pytest.raises(DeploymentError, match=r"challengers\[0\].limits.calls_per_second does not apply to python"):
        a_deployment(
            challengers=[{"name": "a", "model": f"{MISBEHAVING}good", "limits": {"calls_per_second": 2.0}}],
            requests={"features": FEATURES},
        )
