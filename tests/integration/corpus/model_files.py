"""The files of models that are no good, beside one that is."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.production import linear_model


def write(folder: Path) -> None:
    """Write each file under the name that the tables call it."""
    good = linear_model(folder / "good.onnx", {"dep_hour": 0.05, "distance": -0.0004}).read_bytes()
    linear_model(folder / "windy.onnx", {"dep_hour": 0.05, "wind": 1.0})
    fallen = bytearray(good)
    fallen[good.index(b"Sigmoid")] ^= 0xFF
    contents = {
        "empty.onnx": b"",
        "text.onnx": b"not a model",
        "page.onnx": b"<!DOCTYPE html><html><body>Not Found</body></html>",
        "cut.onnx": good[: len(good) // 2],
        "fallen.onnx": bytes(fallen),
        "zeros.onnx": bytes(4096),
        "list.pkl": pickle.dumps([0.5]),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    _graph(folder / "wide.onnx", {"matrix": [None, 3]}, [("ReduceSum", "total", [None, 1])])
    _graph(folder / "images.onnx", {"dep_hour": [None, 3, 8, 8]}, [("Sigmoid", "p", [None, 3, 8, 8])])
    _graph(folder / "two.onnx", {"dep_hour": [None, 1]}, [("Sigmoid", "p", [None, 1]), ("Tanh", "q", [None, 1])])
    _graph(folder / "three.onnx", {"matrix": [None, 2]}, [("Concat", "p", [None, 4])])
    _graph(folder / "says.onnx", {"dep_hour": [None, 1]}, [("Cast", "said", [None, 1])])


def _graph(path: Path, inputs: Mapping[str, Sequence[Any]], outputs: Sequence[tuple[str, str, Sequence[Any]]]) -> None:
    """Write a model in which each output is one operation on the only input."""
    from onnx import TensorProto, helper, save

    (name,) = inputs
    attributes: dict[str, dict[str, Any]] = {"Cast": {"to": TensorProto.STRING}, "Concat": {"axis": 1}}
    nodes = [
        helper.make_node(kind, [name] * (2 if kind == "Concat" else 1), [output], **attributes.get(kind, {}))
        for kind, output, _ in outputs
    ]
    kinds = {output: TensorProto.STRING if kind == "Cast" else TensorProto.FLOAT for kind, output, _ in outputs}
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, inputs[name])],
        [helper.make_tensor_value_info(output, kinds[output], shape) for _, output, shape in outputs],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
