"""Every place in an ONNX model where a tensor may lie in another file, as the onnx library writes it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from shadow_deployment.errors import ModelError
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.models.onnx_references import external_files
from tests.production import linear_model


def outside(name: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("offset", "0"), ("location", name), ("length", "8")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def in_node(**fields: Any) -> Any:
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.append(AttributeProto(name="value", **fields))
    return node


def in_graph(**fields: Any) -> ModelProto:
    return ModelProto(graph=GraphProto(**fields))


PLACES: dict[str, Callable[[TensorProto], ModelProto]] = {
    "initializer": lambda one: in_graph(initializer=[one]),
    "sparse values": lambda one: in_graph(sparse_initializer=[SparseTensorProto(values=one)]),
    "sparse indices": lambda one: in_graph(sparse_initializer=[SparseTensorProto(indices=one)]),
    "attribute": lambda one: in_graph(node=[in_node(t=one)]),
    "attributes": lambda one: in_graph(node=[in_node(tensors=[one])]),
    "sparse attribute": lambda one: in_graph(node=[in_node(sparse_tensor=SparseTensorProto(values=one))]),
    "sparse attributes": lambda one: in_graph(node=[in_node(sparse_tensors=[SparseTensorProto(values=one)])]),
    "graph of a node": lambda one: in_graph(node=[in_node(g=GraphProto(initializer=[one]))]),
    "graphs of a node": lambda one: in_graph(node=[in_node(graphs=[GraphProto(node=[in_node(t=one)])])]),
    "function": lambda one: ModelProto(functions=[onnx.FunctionProto(node=[in_node(t=one)])]),
    "attribute of a function": lambda one: ModelProto(
        functions=[onnx.FunctionProto(attribute_proto=[AttributeProto(name="a", t=one)])]
    ),
    "training": lambda one: ModelProto(training_info=[onnx.TrainingInfoProto(algorithm=GraphProto(initializer=[one]))]),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_file_is_found_wherever_a_model_refers_to_it(place: str) -> None:
    model = PLACES[place](outside("deep/weights.bin"))
    assert external_files(model.SerializeToString()) == ["deep/weights.bin"]


def test_each_file_is_named_once_and_other_tensors_are_passed_over() -> None:
    numbers = numpy_helper.from_array(np.arange(1000, dtype=np.float32), "inside")
    model = in_graph(initializer=[outside("b"), numbers, outside("a"), outside("b")], doc_string="x" * 999)
    model.opset_import.add(domain="", version=17)
    assert external_files(model.SerializeToString()) == ["a", "b"]


def test_what_is_no_model_refers_to_nothing_and_ends() -> None:
    content = PLACES["function"](outside("w")).SerializeToString()
    dice = random.Random(4)
    for end in range(len(content)):
        external_files(content[:end])
    for length in range(200):
        external_files(dice.randbytes(length))
    assert external_files(b"") == external_files(b"\xff" * 40) == []


def test_a_file_that_was_not_given_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = linear_model(tmp_path / "late.onnx", {"x": 1.0}, beside="weights")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded as an ONNX model"):
        OnnxPredictor(path.read_bytes(), ["x"])
