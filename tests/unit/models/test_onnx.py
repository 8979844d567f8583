"""ONNX models: what fits the features answers as scikit-learn does, what does not is refused with what to change."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from onnx import TensorProto, helper

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.errors import ModelError
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.models.onnx import OnnxPredictor
from tests.builders import a_deployment

FLOAT, DOUBLE, INT64, INT32 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32
TEXT, BOOL = TensorProto.STRING, TensorProto.BOOL
COLUMN = (None, 1)

Tensor = tuple[str, int, Sequence[int | None]]
Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Write an ONNX model of some nodes."""

    def write(
        inputs: Sequence[Tensor], nodes: Sequence[Any], outputs: Sequence[Tensor], **constants: Sequence[int]
    ) -> Path:
        graph = helper.make_graph(
            list(nodes),
            "model",
            [helper.make_tensor_value_info(*one) for one in inputs],
            [helper.make_tensor_value_info(*one) for one in outputs],
            [helper.make_tensor(name, INT64, [len(values)], values) for name, values in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        return path

    return write


@pytest.fixture
def cast_to_float(build: Build) -> Callable[[int], Path]:
    """A model that answers its one feature, whatever type it is asked to take it as."""
    return lambda kind: build(
        [("x", kind, COLUMN)], [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)], [("y", FLOAT, COLUMN)]
    )


@pytest.fixture
def total(build: Build) -> Path:
    """A model of one matrix with three columns: their sum."""
    node = helper.make_node("ReduceSum", ["all", "axes"], ["y"], keepdims=1)
    return build([("all", FLOAT, (None, 3))], [node], [("y", FLOAT, COLUMN)], axes=[1])


def opened(path: Path, features: Sequence[str]) -> OnnxPredictor:
    return OnnxPredictor(path.read_bytes(), features, name=str(path))


def batch(**columns: Any) -> pa.RecordBatch:
    arrays = {name: one if isinstance(one, pa.Array) else pa.array(one) for name, one in columns.items()}
    return pa.record_batch(arrays)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, dict[str, Any]]:
    """A classifier of numbers and text by scikit-learn, the same as ONNX, and requests that it was not trained on."""
    import pandas as pd
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(7)
    rows = 400
    content = {
        "dep_hour": random.integers(0, 24, rows).astype(np.float32),
        "distance": random.normal(1000, 300, rows).astype(np.float32),
        "origin": random.choice(["EWR", "JFK", "LGA"], rows),
    }
    frame = pd.DataFrame(content)
    late = random.random(rows) < 1 / (1 + np.exp(-(frame["dep_hour"] - 12) / 4 - (frame["origin"] == "JFK")))
    model = make_pipeline(
        make_column_transformer(
            (StandardScaler(), ["dep_hour", "distance"]), (OneHotEncoder(handle_unknown="ignore"), ["origin"])
        ),
        LogisticRegression(),
    ).fit(frame[:300], late[:300])
    types = {"origin": StringTensorType([None, 1])}
    inputs = [(name, types.get(name, FloatTensorType([None, 1]))) for name in frame.columns]
    path = tmp_path_factory.mktemp("trained") / "model.onnx"
    path.write_bytes(to_onnx(model, initial_types=inputs, options={"zipmap": False}).SerializeToString())
    unseen = frame[300:].reset_index(drop=True)
    unseen.loc[0, "origin"] = "never seen"
    return model, path, {name: unseen[name].tolist() for name in unseen.columns}


def test_answers_are_those_of_scikit_learn(trained: tuple[Any, Path, dict[str, Any]]) -> None:
    import pandas as pd

    model, path, content = trained
    answers = opened(path, ["distance", "origin", "dep_hour"]).predict(batch(**content))
    assert_allclose(answers.values, model.predict_proba(pd.DataFrame(content))[:, 1], atol=1e-6, rtol=0)
    assert answers.values.dtype == np.float64
    assert not answers.errors


def test_the_same_batch_gets_the_same_bits_again(trained: tuple[Any, Path, dict[str, Any]]) -> None:
    _, path, content = trained
    first, again = (opened(path, list(content)).predict(batch(**content)).values for _ in range(2))
    assert_array_equal(first, again)


def test_a_null_text_is_an_error_of_its_row_and_a_null_number_is_not(trained: tuple[Any, Path, dict[str, Any]]) -> None:
    _, path, _ = trained
    content = batch(dep_hour=[6.0, 6.0, None], distance=[900.0] * 3, origin=["JFK", None, "JFK"])
    answers = opened(path, ["dep_hour", "distance", "origin"]).predict(content)
    assert answers.errors == {1: "feature origin is null, the model's input is tensor(string)"}
    assert 0 < answers.values[0] < 1
    assert np.isnan(answers.values[2])


def test_one_matrix_is_filled_in_the_order_of_the_features(build: Build) -> None:
    node = helper.make_node("Gather", ["all", "first"], ["y"], axis=1)
    path = build([("all", FLOAT, (None, 2))], [node], [("y", FLOAT, COLUMN)], first=[0])
    content = batch(a=[1.0, 2.0], b=[10, 20])
    assert_array_equal(opened(path, ["a", "b"]).predict(content).values, [1, 2])
    assert_array_equal(opened(path, ["b", "a"]).predict(content).values, [10, 20])


def test_a_matrix_takes_numbers_and_booleans_of_any_kind(total: Path) -> None:
    content = batch(a=pa.array([1, 2], pa.int16()), b=[0.5, 0.25], c=[True, False])
    assert_array_equal(opened(total, ["a", "b", "c"]).predict(content).values, [2.5, 2.25])


def test_a_null_number_is_missing_to_a_model_of_floats(total: Path) -> None:
    answers = opened(total, ["a", "b", "c"]).predict(batch(a=[1, None], b=[1.0, 1.0], c=[1.0, 1.0]))
    assert_array_equal(answers.values, [3, np.nan])
    assert not answers.errors


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (INT64, [5, None, 7], [5, 7]),
        (INT32, [5, None, 7], [5, 7]),
        (INT64, [True, None, False], [1, 0]),
        (BOOL, [True, None, False], [1, 0]),
    ],
)
def test_a_null_where_a_model_takes_no_missing_value_is_an_error_of_its_row(
    kind: int, values: list[Any], expected: list[float], cast_to_float: Callable[[int], Path]
) -> None:
    answers = opened(cast_to_float(kind), ["x"]).predict(batch(x=values))
    assert list(answers.errors) == [1]
    assert answers.errors[1].startswith("feature x is null, the model's input is tensor(")
    assert_array_equal(answers.values[[0, 2]], expected)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (INT64, [1.0, np.nan, 3.0]),
        (INT64, [1.0, 0.5, 3.0]),
        (INT64, [1.0, 1e300, 3.0]),
        (INT32, [1, 2**40, 3]),
        (BOOL, [1.0, np.nan, 0.0]),
        (BOOL, [1.0, 0.5, 0.0]),
        (BOOL, [1, 2, 0]),
    ],
)
def test_a_number_that_the_input_cannot_hold_is_an_error_of_its_row(
    kind: int, values: list[float], cast_to_float: Callable[[int], Path]
) -> None:
    answers = opened(cast_to_float(kind), ["x"]).predict(batch(x=values))
    assert list(answers.errors) == [1]
    assert answers.errors[1].startswith("feature x is not a whole number that the model's input, tensor(")
    assert_array_equal(answers.values[[0, 2]], [values[0], values[2]])


@pytest.mark.parametrize(
    ("kind", "values"),
    [(FLOAT, [0.5, 2.0]), (DOUBLE, [0.5, 2.0]), (FLOAT, [1, 2]), (INT64, [1, 2]), (TEXT, ["0.5", "2"])],
)
def test_a_feature_reaches_the_model_as_its_input_takes_it(
    kind: int, values: list[Any], cast_to_float: Callable[[int], Path]
) -> None:
    answers = opened(cast_to_float(kind), ["x"]).predict(batch(x=values))
    assert_array_equal(answers.values, [float(value) for value in values])


def test_inputs_without_a_second_dimension_are_filled_too(build: Build) -> None:
    node = helper.make_node("Add", ["a", "b"], ["y"])
    path = build([("a", FLOAT, (None,)), ("b", FLOAT, (None,))], [node], [("y", FLOAT, (None,))])
    assert_array_equal(opened(path, ["a", "b"]).predict(batch(a=[1.0, 2.0], b=[3.0, 4.0])).values, [4, 6])


def test_inputs_are_found_by_name_and_features_may_be_more(cast_to_float: Callable[[int], Path]) -> None:
    answers = opened(cast_to_float(FLOAT), ["other", "x"]).predict(batch(other=[9.0], x=[1.0]))
    assert_array_equal(answers.values, [1])


def test_inputs_that_are_no_features_are_named(build: Build) -> None:
    node = helper.make_node("Add", ["dep_hour", "weather"], ["y"])
    path = build([("dep_hour", FLOAT, COLUMN), ("weather", FLOAT, COLUMN)], [node], [("y", FLOAT, COLUMN)])
    with pytest.raises(ModelError, match=r"inputs weather are not features; requests\.features has dep_hour, distance"):
        opened(path, ["dep_hour", "distance"])


def test_a_matrix_of_another_width_is_refused(total: Path) -> None:
    with pytest.raises(ModelError) as caught:
        opened(total, ["a", "b"])
    assert str(caught.value) == (
        f"{total}: input all takes 3 columns, must take 2, one for each of requests.features: a, b"
    )


@pytest.mark.parametrize(("kind", "shape"), [(TensorProto.INT8, COLUMN), (FLOAT, (None, 4)), (FLOAT, (None, 1, 1))])
def test_an_input_that_no_feature_can_fill_is_refused(kind: int, shape: Sequence[int | None], build: Build) -> None:
    path = build([("x", kind, shape)], [helper.make_node("Identity", ["x"], ["y"])], [("y", kind, shape)])
    with pytest.raises(ModelError, match=r"input x is .* must be a tensor of shape"):
        opened(path, ["x", "other"])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (FLOAT, pa.array(["a", "b"])),
        (INT64, pa.array(["a", "b"])),
        (TEXT, pa.array([1.0, 2.0])),
        (FLOAT, pa.array([0, 1], pa.timestamp("us", "UTC"))),
        (INT64, pa.array([0, 1], pa.date32())),
    ],
)
def test_a_feature_of_another_kind_than_the_input_ends_scoring(
    kind: int, values: pa.Array, cast_to_float: Callable[[int], Path]
) -> None:
    with pytest.raises(ModelError, match=r"feature x is .*, the model's input is tensor"):
        opened(cast_to_float(kind), ["x"]).predict(batch(x=values))


@pytest.mark.parametrize("shape", [COLUMN, (None,)])
def test_a_regression_answers_with_its_only_output(shape: Sequence[int | None], build: Build) -> None:
    path = build([("x", DOUBLE, shape)], [helper.make_node("Neg", ["x"], ["y"])], [("y", DOUBLE, shape)])
    assert_array_equal(opened(path, ["x"]).predict(batch(x=[1.5, -2.0, 1e300])).values, [-1.5, 2.0, -1e300])


def test_a_classifier_answers_with_the_probability_of_the_second_class(build: Build) -> None:
    nodes = [
        helper.make_node("ArgMax", ["all"], ["label"], axis=1),
        helper.make_node("Identity", ["all"], ["probabilities"]),
    ]
    outputs = [("label", INT64, COLUMN), ("probabilities", FLOAT, (None, 2))]
    path = build([("all", FLOAT, (None, 2))], nodes, outputs)
    assert_array_equal(opened(path, ["a", "b"]).predict(batch(a=[0.75, 0.5], b=[0.25, 0.5])).values, [0.25, 0.5])


@pytest.mark.parametrize(
    "outputs",
    [
        [("label", INT64, (None, 3))],
        [("probabilities", FLOAT, (None, 3))],
        [("one", FLOAT, COLUMN), ("two", FLOAT, COLUMN)],
    ],
)
def test_outputs_that_are_not_one_answer_a_row_are_refused(outputs: list[Tensor], build: Build) -> None:
    nodes = []
    for name, kind, shape in outputs:
        if shape == COLUMN:
            nodes.append(helper.make_node("Gather", ["all", "first"], [name], axis=1))
        else:
            nodes.append(helper.make_node("Cast", ["all"], [name], to=kind))
    path = build([("all", FLOAT, (None, 3))], nodes, outputs, first=[0])
    with pytest.raises(ModelError, match=r"must have probabilities of shape \(n, 2\) or one float output"):
        opened(path, ["a", "b", "c"]).predict(batch(a=[1.0], b=[1.0], c=[1.0]))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07\x12"])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.onnx cannot be loaded as an ONNX model"):
        opened(path, ["x"])


def test_a_challenger_is_loaded_with_the_features_of_the_deployment(cast_to_float: Callable[[int], Path]) -> None:
    deployment = a_deployment(requests={"features": ["x"]})
    challenger = Challenger(name="other", model=f"onnx:{cast_to_float(FLOAT)}")
    window = window_of(deployment, deployment.start)
    predictor = load(DeploymentContext(deployment, environment), challenger, window)
    assert_array_equal(predictor.predict(batch(x=[1.0, 2.0])).values, [1, 2])


def test_a_model_that_is_missing_is_named_with_what_to_do() -> None:
    deployment = a_deployment()
    challenger = Challenger(name="other", model="onnx:include/models/nowhere.onnx")
    for use in (
        lambda: model_digest(challenger),
        lambda: load(DeploymentContext(deployment, environment), challenger, window_of(deployment, deployment.start)),
    ):
        with pytest.raises(
            ModelError, match=r"challenger other: model == .*include/models/nowhere\.onnx.* put the model"
        ):
            use()


def test_a_model_is_told_from_another_by_what_its_file_holds(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("first.onnx", "copy.onnx", "other.onnx"))
    for path, content in ((first, b"one"), (copy, b"one"), (other, b"two")):
        path.write_bytes(content)
    digests = [model_digest(Challenger(name="a", model=f"onnx:{path}")) for path in (first, copy, other)]
    assert digests[0] == digests[1] != digests[2]
    assert model_digest(Challenger(name="a", model="logged:t.a")) != model_digest(
        Challenger(name="a", model="logged:t.b")
    )
