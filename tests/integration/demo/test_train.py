"""The models: trained on what was known, the same every time, and in ONNX what they are in scikit-learn."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss

from shadow_demo import flights, train

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def requests() -> pd.DataFrame:
    return flights.requests()


@pytest.fixture(scope="module")
def pipelines(requests: pd.DataFrame) -> dict[str, Any]:
    known = train.training_set(requests)
    return {train.CHAMPION: train.fit_champion(known), train.CHALLENGER: train.fit_challenger(known)}


@pytest.fixture(scope="module")
def models(requests: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    train.train(folder, requests)
    return folder


@pytest.fixture(scope="module")
def unseen(requests: pd.DataFrame) -> pd.DataFrame:
    """Requests after training, as the models are fed them: some lack values, some name what training never met."""
    rows = requests[requests["predicted_at"] >= train.TRAINED_UNTIL].sample(20_000, random_state=13)
    rows = rows.astype({name: "float32" for name in flights.FEATURES if name not in flights.TEXT})
    rows.iloc[:1000, rows.columns.get_indexer(["wind_speed", "wind_gust", "recent_late_share"])] = np.nan
    rows.iloc[500:1500, rows.columns.get_indexer(["carrier"])] = "??"
    rows.iloc[1000:2000, rows.columns.get_indexer(["dest"])] = "ZZZ"
    rows.iloc[1900:2100, rows.columns.get_indexer(["origin", "dest"])] = "NEW"
    return rows


def test_training_sees_nothing_that_was_not_known_by_the_end_of_february(requests: pd.DataFrame) -> None:
    known = train.training_set(requests)
    assert known["predicted_at"].max() < pd.Timestamp("2013-03-01T00:00Z")
    assert known["known_at"].max() < pd.Timestamp("2013-03-01T00:00Z")
    assert known["is_late"].notna().all()
    assert len(known) == 49_674


def test_training_again_gives_the_same_bytes(models: Path, tmp_path: Path) -> None:
    """In another process, with other string hashes and another number of threads."""
    command = "import pathlib, sys; from shadow_demo import train; train.ensure_models(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", command, tmp_path], cwd=PROJECT, env=environment, check=True, timeout=300)
    digests = [
        {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in train.FILES}
        for folder in (models, tmp_path)
    ]
    assert digests[0] == digests[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(train.FILES)


@pytest.mark.parametrize(
    ("file", "features"),
    [(train.CHAMPION, train.CHAMPION_FEATURES), (train.CHALLENGER, train.CHALLENGER_FEATURES)],
)
def test_onnx_answers_what_scikit_learn_answers(
    file: str, features: tuple[str, ...], models: Path, pipelines: dict[str, Any], unseen: pd.DataFrame
) -> None:
    expected = pipelines[file].predict_proba(unseen[[*features]])[:, 1]
    np.testing.assert_allclose(flights.score(models / file, unseen), expected, atol=1e-5, rtol=0)
    assert np.isfinite(expected).all()
    assert expected.std() > 0.05


@pytest.mark.parametrize("file", train.FILES)
def test_a_model_takes_one_input_per_feature_and_gives_probabilities(file: str, models: Path) -> None:
    model = onnx.load(models / file)
    onnx.checker.check_model(model, full_check=True)
    features = train.CHAMPION_FEATURES if file == train.CHAMPION else train.CHALLENGER_FEATURES
    assert tuple(tensor.name for tensor in model.graph.input) == features
    for tensor in model.graph.input:
        kind = onnx.TensorProto.STRING if tensor.name in flights.TEXT else onnx.TensorProto.FLOAT
        assert tensor.type.tensor_type.elem_type == kind
        assert tensor.type.tensor_type.shape.dim[1].dim_value == 1
    assert [tensor.name for tensor in model.graph.output] == ["label", "probabilities"]


def test_the_bug_is_the_unit_and_nothing_else(models: Path, unseen: pd.DataFrame) -> None:
    percent = unseen.assign(recent_late_share=unseen["recent_late_share"] * np.float32(100))
    np.testing.assert_array_equal(
        flights.score(models / train.PERCENT, unseen), flights.score(models / train.CHALLENGER, percent)
    )
    good, faulty = (onnx.load(models / file).graph for file in (train.CHALLENGER, train.PERCENT))
    first, *others = faulty.node
    assert (first.op_type, first.input[0]) == ("Mul", "recent_late_share")
    assert [(node.op_type, list(node.attribute)) for node in others] == [
        (node.op_type, list(node.attribute)) for node in good.node
    ]


def test_more_wind_or_lateness_never_makes_a_flight_less_likely_to_be_late(models: Path, unseen: pd.DataFrame) -> None:
    for name, step in (("wind_speed", 15), ("wind_gust", 15), ("recent_late_share", 0.3)):
        more = unseen.assign(**{name: unseen[name] + np.float32(step)})
        change = flights.score(models / train.CHALLENGER, more) - flights.score(models / train.CHALLENGER, unseen)
        assert change.min() > -1e-6
        assert change.max() > 0.01


def test_models_are_trained_only_where_one_is_missing(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(flights, "requests", lambda: pytest.fail("the flights were read"))
        train.ensure_models(models)
    trained: list[Path] = []
    monkeypatch.setattr(flights, "requests", pd.DataFrame)
    monkeypatch.setattr(train, "train", lambda folder, table: trained.append(folder))
    train.ensure_models(models / "empty")
    assert trained == [models / "empty"]


def test_the_command_prints_the_brier_scores_of_what_it_trained(
    requests: pd.DataFrame,
    pipelines: dict[str, Any],
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained: list[Path] = []
    monkeypatch.setattr(train, "MODELS", models)
    monkeypatch.setattr(train, "train", lambda folder, table: trained.append(folder))
    monkeypatch.setattr(flights, "requests", lambda: requests)
    train.main()
    assert trained == [models]
    printed = {
        line.split()[0]: [float(word) for word in line.split()[1:]] for line in capsys.readouterr().out.splitlines()[1:]
    }
    rows = requests[
        requests["predicted_at"].between("2013-03-01T00:00Z", "2013-05-01T00:00Z") & requests["is_late"].notna()
    ]
    for file, features in ((train.CHAMPION, train.CHAMPION_FEATURES), (train.CHALLENGER, train.CHALLENGER_FEATURES)):
        expected = brier_score_loss(rows["is_late"], pipelines[file].predict_proba(rows[[*features]])[:, 1])
        assert printed[file][1] == pytest.approx(expected, abs=1e-4)
    assert printed[train.CHALLENGER][1] < printed[train.CHAMPION][1] < printed[train.PERCENT][1]
