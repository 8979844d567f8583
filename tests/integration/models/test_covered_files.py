"""A model is the files that its digest covers: no other is read, unpickled or run."""

import gc
import hashlib
import pickle
import py_compile
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import window_of
from shadow_deployment.errors import DeploymentError, ModelError
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.models.sandbox import mlflow, python, sklearn
from shadow_deployment.models.sandbox.process import ModelDiedError
from tests.integration.models.beside import batch, loaded, surrounded
from tests.integration.models.estimators import fitted, saved
from tests.production import day, linear_model


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
        challenger = Challenger.model_validate({"name": "one", "model": f"sklearn:{path}", **lacking})
        with pytest.raises(ModelError, match="needs digest and unpickle: true"):
            load(shadow, challenger, window_of(shadow.deployment, day(0)))
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
    real = sklearn.files.pinned

    def pinned(*arguments: Any) -> Challenger:
        (tmp_path / "model.joblib").write_bytes(pickle.dumps(Trap(mark)))
        return real(*arguments)

    monkeypatch.setattr(sklearn.files, "pinned", pinned)
    with pytest.raises(ModelError, match=f"has SHA-256 [0-9a-f]{{64}}, must have {declared['digest']}"):
        loaded(declared)
    assert not mark.exists()


def test_a_source_that_is_changed_before_its_process_starts_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, source = tmp_path / "mark", tmp_path / "changing_model.py"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source.write_text("def predict(frame):\n    return [1.0] * len(frame)\n")
    real = python.SandboxProgram.of

    def of(*arguments: Any, **fields: Any) -> Any:
        source.write_text(f"open({str(mark)!r}, 'w')\ndef predict(frame):\n    return [0.0] * len(frame)\n")
        return real(*arguments, **fields)

    model = {"model": "python:changing_model:predict"}
    assert loaded(model).predict(batch([1.0])).values.tolist() == [1.0]
    monkeypatch.setattr(python.SandboxProgram, "of", of)
    with pytest.raises(ModelError, match=r"changing_model\.py has SHA-256 \w{64}, must have \w{64}: it was changed"):
        loaded(model)
    assert not mark.exists()


def test_compiled_code_beside_a_source_is_not_run_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "compiled_model.py"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    source.write_text("def predict(frame):\n    return [0.0] * len(frame)\n")
    cached = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert cached is not None
    source.write_text("def predict(frame):\n    return [1.0] * len(frame)\n")
    assert loaded({"model": "python:compiled_model:predict"}).predict(batch([1.0])).values.tolist() == [1.0]


def test_an_onnx_model_is_the_bytes_of_all_its_files(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "late.onnx", {"dep_hour": 1.0}, beside="late.weights")
    model = {"model": f"onnx:{path}"}
    for limits in ({}, {"limits": {"seconds": 20.0}}):
        predictor = loaded(model | limits)
        assert predictor.predict(batch([0.0, 99.0])).values.tolist() == [0.5, 1.0]
    before = model_digest(Challenger(name="one", **model))
    shadow, challenger = surrounded(model)
    (tmp_path / "late.weights").write_bytes(np.float32(-1.0).tobytes())
    after = model_digest(Challenger(name="one", **model))
    assert after != before
    with pytest.raises(ModelError, match=rf"with late\.weights has SHA-256 {after}, must have {before}"):
        load(shadow, challenger, window_of(shadow.deployment, day(0)), before)


def test_a_process_that_is_replaced_does_not_take_up_other_weights(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "late.onnx", {"dep_hour": 1.0}, beside="late.weights")
    predictor = loaded({"model": f"onnx:{path}", "limits": {"seconds": 20.0}})
    (tmp_path / "late.weights").write_bytes(np.float32(-1.0).tobytes())
    predictor._process.kill()  # type: ignore[attr-defined]
    with pytest.raises(ModelDiedError, match=r"could not be restarted: challenger one: model == .* has SHA-256"):
        predictor.predict(batch([99.0]))


FAKE_MLFLOW = """
import os
def load_model(folder):
    number = float(open(os.path.join(folder, "data", "number")).read())
    class Model:
        def predict(self, frame):
            return [number + float(open(os.path.join(folder, "data", "late")).read())] * len(frame)
    return Model()
"""


@pytest.fixture
def mlflow_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as MLflow saves one, and a stand-in for its library in the sandbox."""
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    for name, content in (("MLmodel", "flavors: {}"), ("data/number", "1"), ("data/late", "0.5")):
        (folder / name).write_text(content)
    (tmp_path / "library" / "mlflow").mkdir(parents=True)
    fetching = (
        "import shutil\n"
        "def download_artifacts(artifact_uri, dst_path):\n"
        f"    return shutil.copytree({str(folder)!r}, dst_path + '/late')\n"
    )
    for name, content in (("__init__.py", ""), ("pyfunc.py", FAKE_MLFLOW), ("artifacts.py", fetching)):
        (tmp_path / "library" / "mlflow" / name).write_text(content)
    real = mlflow.SandboxProgram.of
    library = [str(tmp_path / "library")]
    monkeypatch.setattr(mlflow.SandboxProgram, "of", lambda *args, **fields: real(*args, **fields, path=library))
    return folder


def test_an_mlflow_model_is_a_copy_of_the_files_that_its_digest_covers(mlflow_folder: Path) -> None:
    model = {"model": f"mlflow:{mlflow_folder}"}
    predictor = loaded(model)
    assert predictor.predict(batch([1.0])).values.tolist() == [1.5]
    before = model_digest(Challenger(name="one", **model))
    (mlflow_folder / "data" / "late").write_text("5")
    assert predictor.predict(batch([1.0])).values.tolist() == [1.5], "also of a file that is opened later"
    after = model_digest(Challenger(name="one", **model))
    assert after != before
    with pytest.raises(ModelError, match=f"its files have SHA-256 {after}, must have {before}"):
        loaded(model | {"digest": before})
    predictor._process.kill()  # type: ignore[attr-defined]
    with pytest.raises(ModelDiedError, match=f"has SHA-256 {after}, must have {before}"):
        predictor.predict(batch([1.0]))


def test_a_registered_mlflow_model_with_a_digest_is_checked_once_it_is_downloaded(
    mlflow_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    right = model_digest(Challenger(name="one", model=f"mlflow:{mlflow_folder}"))
    model = {"model": "mlflow:models:/late/1", "digest": right}
    assert model_digest(Challenger(name="one", **model)) == right
    assert loaded(model).predict(batch([1.0])).values.tolist() == [1.5]
    (mlflow_folder / "data" / "number").write_text("7")
    with pytest.raises(ModelError, match=rf"models:/late/1 has SHA-256 \w{{64}}, must have {right}"):
        loaded(model)


def test_the_copy_goes_with_the_process(mlflow_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    predictor = loaded({"model": f"mlflow:{mlflow_folder}"})
    assert len(list(copies.iterdir())) == 1
    predictor._process.kill()  # type: ignore[attr-defined]
    assert predictor.predict(batch([1.0])).values.tolist() == [1.5]
    assert len(list(copies.iterdir())) == 1
    del predictor
    gc.collect()
    assert list(copies.iterdir()) == []


def test_links_within_an_mlflow_folder_are_followed_and_those_out_of_it_refused(
    mlflow_folder: Path, tmp_path: Path
) -> None:
    model = {"model": f"mlflow:{mlflow_folder}"}
    before = model_digest(Challenger(name="one", **model))
    (mlflow_folder / "data" / "late").unlink()
    (mlflow_folder / "data" / "late").symlink_to("number")
    assert model_digest(Challenger(name="one", **model)) != before
    assert loaded(model).predict(batch([1.0])).values.tolist() == [2.0]
    (tmp_path / "number").write_text("7")
    (mlflow_folder / "data" / "late").unlink()
    (mlflow_folder / "data" / "late").symlink_to(tmp_path / "number")
    with pytest.raises(ModelError, match=r"challenger one: model == .*late is a link to .*number, must stay within"):
        loaded(model)


def test_a_reference_out_of_the_models_folder_is_refused(tmp_path: Path) -> None:
    import onnx

    path = linear_model(tmp_path / "in" / "late.onnx", {"dep_hour": 1.0}, beside="late.weights")
    model = onnx.load(path, load_external_data=False)
    (tmp_path / "weights").write_bytes(np.float32(1.0).tobytes())
    for name in ("../weights", str(tmp_path / "weights"), ""):
        model.graph.initializer[0].external_data[0].value = name
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match=f"refers to the file {name!r}, must be one in its own folder"):
            loaded({"model": f"onnx:{path}"})
    model.graph.initializer[0].external_data[0].value = "link"
    path.write_bytes(model.SerializeToString())
    (path.parent / "link").symlink_to(tmp_path / "weights")
    with pytest.raises(ModelError, match="refers to the file 'link', must be one in its own folder"):
        loaded({"model": f"onnx:{path}"})


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
