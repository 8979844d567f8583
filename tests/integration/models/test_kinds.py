"""Each kind of model can be loaded, names the library that it lacks, and is shown the features alone."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.base.paths import SOURCE_ROOT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import KINDS
from shadow_deployment.errors import DeploymentError, ModelError
from shadow_deployment.models import loading
from shadow_deployment.models.sandbox.runtimes import missing_packages
from tests.builders import a_deployment
from tests.integration.models.beside import FEATURES, MISBEHAVING, batch, loaded
from tests.production import linear_model


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


def test_limits_of_an_endpoint_mean_nothing_to_a_function() -> None:
    with pytest.raises(DeploymentError, match=r"challengers\[0\].limits.calls_per_second does not apply to python"):
        a_deployment(
            challengers=[{"name": "a", "model": f"{MISBEHAVING}good", "limits": {"calls_per_second": 2.0}}],
            requests={"features": FEATURES},
        )
