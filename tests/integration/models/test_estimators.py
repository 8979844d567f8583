"""Estimators of scikit-learn as models: which probability they answer with, and which are refused."""

import os
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_allclose
from sklearn.svm import LinearSVC

from shadow_deployment.errors import ModelError
from tests.integration.models.beside import batch, loaded
from tests.integration.models.estimators import CLASSES, HOURS, THREE, fitted, frame, saved


@pytest.mark.parametrize("how", ["joblib", "pickle", "skops"])
def test_a_classifier_answers_with_the_probability_of_the_second_class(tmp_path: Path, how: str) -> None:
    model = fitted([0, 0, 1, 1])
    probabilities = loaded(saved(tmp_path, model, how)).predict(batch(HOURS)).values
    assert_allclose(probabilities, model.predict_proba(frame(HOURS))[:, 1], rtol=1e-12)


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
    predictor = loaded(saved(tmp_path, model), **{k: v for k, v in THREE.items() if k != "challengers"})
    values = predictor.predict(batch(HOURS)).values
    columns = [
        list(map(str, model.classes_)).index(name if labels[0] == "away" else str(CLASSES.index(name)))
        for name in CLASSES
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
