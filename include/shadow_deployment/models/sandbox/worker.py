"""The program of the sandbox process: it holds a foreign model, perhaps in an interpreter of its own, or a metric.

It imports nothing of this package, except for an ONNX model or a metric, and runs on Python 3.9 and newer with pyarrow,
and with pandas where the model takes a DataFrame. Two pipes, whose numbers are its arguments, carry frames both ways:
the lengths of a JSON header and a body, the header, the body. Whatever the model prints goes elsewhere.

A request is `{"do": "load", "kind": ...}`, with the bytes of a model's file as its body where there is one,
`{"do": "predict"}` with a batch as an Arrow stream, or `{"do": "versions"}`; the reply carries the request's number. A
reply is `{"is": "ready"}`, `{"is": "predictions"}` with one float64 for each row and class as its body,
`{"is": "versions"}`, or `{"is": "error", "text": ...}`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

LENGTHS = struct.Struct("<IQ")
LONGEST_ERROR = 2_000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
CLONE_NEWUSER, CAPABILITY_VERSION = 0x10000000, 0x20080522
CHUNK = 1 << 20  # bytes that are read at once

Predict = Callable[[Any], "tuple[Any, dict[int, str]]"]


class ModelOutputError(Exception):
    """The model returned something other than predictions, or the declaration names something other than a model."""


class MisalignedOutputError(ModelOutputError):
    """The model returned predictions of which nobody knows whose they are: of another length, or with another index."""


def load(task: dict[str, Any], body: bytes) -> Predict:
    """Return the model as a function of an Arrow batch; may raise whatever its file or module raises."""
    importlib.import_module("pyarrow")
    sys.path[:0] = task.get("path", [])
    if task["kind"] == "onnx":
        return _onnx(task, body)
    importlib.import_module("pandas")
    if task["kind"] == "metric":
        return _metric(task)
    model = {"python": _python, "sklearn": _sklearn, "skops": _skops, "mlflow": _mlflow}[task["kind"]](task, body)

    def predict(batch: Any) -> tuple[Any, dict[int, str]]:
        return to_float64(model(batch.to_pandas()), batch.num_rows, task), {}

    return predict


def to_float64(output: Any, rows: int, task: dict[str, Any]) -> Any:
    """Return a model's output as float64 of shape (rows,), or (rows, classes) where there are classes.

    None and missing values become NaN. Of two columns for a binary task the second counts. Raises ModelOutputError for
    anything but numbers, and MisalignedOutputError for another shape, and for an index that is not that of the frame.
    """
    import numpy as np

    what, of_them = ("the function", "values") if "arguments" in task else ("the model", "predictions")
    classes, output = task["classes"], _in_order_of_rows(output, rows, what)
    if classes and sorted(map(str, getattr(output, "columns", ()))) == sorted(classes):
        output = output[sorted(output.columns, key=lambda name: classes.index(str(name)))]
    if isinstance(output, np.ma.MaskedArray):
        output = np.ma.filled(output.astype(np.float64), np.nan)
    array = np.asarray(output)
    if array.dtype.kind == "O" and array.ndim:
        array = np.array([_number(item, what) for item in array.ravel()], np.float64).reshape(array.shape)
    if array.dtype.kind not in "biuf":
        kind = "text" if array.dtype.kind in "US" else type(output).__name__ if not array.ndim else array.dtype
        raise ModelOutputError(f"{what} returned {kind}, must be numbers")
    shape = array.shape
    if not classes and shape == (rows, 1):
        array = array[:, 0]
    elif task["task"] == "binary" and shape == (rows, 2):
        array = array[:, 1]
    expected = (rows, len(classes)) if classes else (rows,)
    if array.shape != expected:
        problem = f"{of_them} of shape {shape} for {rows} requests, must be {expected}"
        raise MisalignedOutputError(f"{what} returned {problem}")
    return np.ascontiguousarray(array, np.float64)


def _in_order_of_rows(output: Any, rows: int, what: str) -> Any:
    """Return a Series or DataFrame in the order of the frame, whose index is 0 to rows - 1; other output as it is."""
    index = getattr(output, "index", None)
    if index is None or callable(index) or len(index) != rows:
        return output
    labels = list(index)
    if labels == list(range(rows)):
        return output
    if set(labels) != set(range(rows)):
        raise MisalignedOutputError(
            f"{what} returned {type(output).__name__} with an index that is not that of its {rows} requests: keep "
            "the index of the DataFrame, or return an array in its order"
        )
    return output.sort_index()


def _number(value: Any, what: str) -> float:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return float("nan")
    if isinstance(value, (str, bytes)):
        raise ModelOutputError(f"{what} returned text, must be numbers")
    return float(value)


def _python(task: dict[str, Any], _: bytes) -> Callable[[Any], Any]:
    function: Any = _module(task["module"], task.get("sha256"))
    for name in task["function"].split("."):
        function = getattr(function, name)
    if isinstance(function, type) or not callable(function):
        takes = ", ".join(task.get("arguments", ["a DataFrame"]))
        raise ModelOutputError(f"{task['function']} of {task['module']} is not a function that takes {takes}")
    return function  # type: ignore[no-any-return]


def _metric(task: dict[str, Any]) -> Predict:
    from shadow_deployment.models.sandbox.metric_calls import checked

    return checked(_python(task, b""), task, to_float64, ModelOutputError)


def _module(name: str, sha256: str | None) -> Any:
    """Import a module from source with this digest, not from its compiled form; any source where it is None."""
    spec = importlib.util.find_spec(name)
    if sha256 is None or spec is None or spec.origin is None:
        return importlib.import_module(name)
    spec.loader = _CheckedLoader(name, spec.origin, sha256)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class _CheckedLoader(importlib.machinery.SourceFileLoader):
    """Runs the bytes whose digest it has checked."""

    def __init__(self, name: str, path: str, sha256: str) -> None:
        super().__init__(name, path)
        self._sha256 = sha256

    def get_code(self, fullname: str) -> Any:  # noqa: ARG002 (the name of the method that is replaced)
        source = self.get_data(self.path)
        _require_digest(self.path, hashlib.sha256(source).hexdigest(), self._sha256)
        return self.source_to_code(source, self.path)


def _require_digest(what: str, actual: str, wanted: str) -> None:
    if actual != wanted:
        raise ModelOutputError(
            f"{what} has SHA-256 {actual}, must have {wanted}: it was changed, so restore it, or give the model a new "
            "version"
        )


def folder_digest(folder: str) -> str:
    """Return the SHA-256 of a folder's files and links with their names, without Python's compiled files.

    Raises ModelOutputError where a link leaves the folder.
    """
    root, digests = pathlib.Path(folder), []
    for path in sorted(path for path in root.rglob("*") if "__pycache__" not in path.parts):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            if root.resolve() not in path.resolve().parents:
                raise ModelOutputError(f"{path} is a link to {path.resolve()}, must stay within {root}")
            digests.append([name, f"-> {path.readlink()}"])
        elif path.is_file():
            total = hashlib.sha256()
            with path.open("rb") as file:
                for chunk in iter(lambda: file.read(CHUNK), b""):
                    total.update(chunk)
            digests.append([name, total.hexdigest()])
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _sklearn(task: dict[str, Any], body: bytes) -> Callable[[Any], Any]:
    joblib: Any = importlib.import_module("joblib")
    return _estimator(joblib.load(io.BytesIO(body)), task)


def _skops(task: dict[str, Any], body: bytes) -> Callable[[Any], Any]:
    skops: Any = importlib.import_module("skops.io")
    unknown = [name for name in skops.get_untrusted_types(data=body) if name not in task["trusted"]]
    if unknown:
        raise ModelOutputError(
            f"it holds types that are not trusted: {', '.join(unknown)}; if you know them all, name them in trusted"
        )
    return _estimator(skops.loads(body, trusted=task["trusted"]), task)


def _estimator(model: Any, task: dict[str, Any]) -> Callable[[Any], Any]:
    """Return an estimator's method to call: for probabilities where the task and the model have them."""
    if task["task"] == "regression" or not hasattr(model, "predict_proba"):
        return model.predict  # type: ignore[no-any-return]
    known, classes = [str(name) for name in getattr(model, "classes_", task["classes"])], task["classes"]
    if not classes:
        if len(known) != 2:
            raise ModelOutputError(f"its classes are {', '.join(known)}, must be two for a binary task")
        return lambda frame: model.predict_proba(frame)[:, 1]
    if sorted(known) != sorted(classes) and known != [str(number) for number in range(len(classes))]:
        raise ModelOutputError(f"its classes are {', '.join(known)}, must be {', '.join(classes)}")
    if sorted(known) != sorted(classes):
        return model.predict_proba  # type: ignore[no-any-return]
    order = [known.index(name) for name in classes]
    return lambda frame: model.predict_proba(frame)[:, order]


def _mlflow(task: dict[str, Any], _: bytes) -> Callable[[Any], Any]:
    """Load a model from the folder of this process, to which a registered one with a digest is downloaded first."""
    pyfunc: Any = importlib.import_module("mlflow.pyfunc")
    uri, sha256 = task.get("uri"), task.get("sha256")
    if sha256 is None:
        return pyfunc.load_model(uri).predict  # type: ignore[no-any-return]
    folder = task["folder"]
    if uri is not None:
        artifacts: Any = importlib.import_module("mlflow.artifacts")
        folder = artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
    _require_digest(uri or task["source"], folder_digest(folder), sha256)
    return pyfunc.load_model(folder).predict  # type: ignore[no-any-return]


def _onnx(task: dict[str, Any], body: bytes) -> Predict:
    from shadow_deployment.models.onnx import OnnxPredictor

    files, start = {}, 0
    for name, size in task["sizes"]:
        files[name] = body[start : start + size]
        start += size
    content, classes = files.pop(""), len(task["classes"])
    model = OnnxPredictor(content, task["features"], name=task["file"], external=files, classes=classes)

    def predict(batch: Any) -> tuple[Any, dict[int, str]]:
        predictions = model.predict(batch)
        return to_float64(predictions.values, batch.num_rows, task), dict(predictions.errors)

    return predict


def versions(task: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return the version of a model's alias, or those that a search finds, each with status and tag `trained_until`."""
    client: Any = importlib.import_module("mlflow").MlflowClient()
    search, alias = client.search_model_versions, task["alias"]
    registered = search(*task["search"]) if alias is None else [client.get_model_version_by_alias(*alias)]
    return [(str(one.version), one.status, one.tags.get("trained_until")) for one in registered]


def serve(requests: io.BufferedReader, replies: io.BufferedWriter) -> None:
    """Reply to requests until the engine closes the pipe, or ends."""
    predict: Predict | None = None
    process = os.getpid()
    while True:
        lengths = requests.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return
        header, body = (requests.read(length) for length in LENGTHS.unpack(lengths))
        task = json.loads(header)
        content = b""
        try:
            if task["do"] == "load":
                predict = load(task, body)
                reply: dict[str, Any] = {"is": "ready"}
            elif task["do"] == "versions":
                reply = {"is": "versions", "versions": versions(task)}
            else:
                values, errors = predict(_batch(body))  # type: ignore[misc]
                reply, content = {"is": "predictions", "errors": errors}, values.tobytes()
        except BaseException as error:  # noqa: BLE001 (a model may raise anything, SystemExit too)
            reply = _error(error)
        if os.getpid() != process:
            os._exit(1)  # a copy that the model has forked returns from a call that is not its own
        del body
        head = json.dumps({**reply, "number": task["number"]}).encode()
        replies.write(LENGTHS.pack(len(head), len(content)) + head + content)
        replies.flush()


def _batch(body: bytes) -> Any:
    import pyarrow as pa

    with pa.ipc.open_stream(body) as stream:
        return stream.read_next_batch()


def _error(error: BaseException) -> dict[str, Any]:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (a foreign exception may raise where its text is read)
        text = "its text cannot be read"
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    is_foreign = not isinstance(error, ModelOutputError)
    text = text[:LONGEST_ERROR].encode("utf-8", "replace").decode()
    reply = {"is": "error", "text": text, "kind": type(error).__name__, "is_foreign": is_foreign}
    return {**reply, "missing": missing, "columns": _absent_columns(error)}


def _absent_columns(error: BaseException) -> list[str]:
    """Return the columns that a DataFrame was asked for and does not have, where that is what was raised."""
    trace = error.__traceback__ if isinstance(error, KeyError) else None
    while trace is not None:
        code, local = trace.tb_frame.f_code, trace.tb_frame.f_locals
        if code.co_name == "__getitem__" and code.co_filename.endswith("frame.py"):
            keys = [local["key"]] if isinstance(local["key"], str) else list(local["key"])
            return [key for key in keys if isinstance(key, str) and key not in local["self"].columns]
        trace = trace.tb_next
    return []


def end_with_parent(parent: int) -> None:
    """End with the engine's process, however that ends, and so do processes that a model forks."""
    os.register_at_fork(after_in_child=lambda: _end_with(os.getppid()))
    _end_with(parent)


def _end_with(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def isolate(how: str) -> None:
    """Give up reading other processes: as another user, or in a user namespace of its own without any capability.

    Linux lets nobody read the environment or memory of a process of a user namespace outside, even as the same user.
    Raises OSError where this machine does not allow it.
    """
    if how == "none":
        return
    if how.startswith("user "):
        number = int(how[5:])
        os.setgroups([])
        os.setgid(number)
        os.setuid(number)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    no_capability = struct.pack("=Ii", CAPABILITY_VERSION, 0), bytes(24)
    if libc.unshare(CLONE_NEWUSER) or libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) or libc.capset(*no_capability):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def is_isolated(how: str, other: int) -> bool:
    """Whether `isolate` keeps this process from another one's environment, and leaves it the files that it needs."""
    specs = [importlib.util.find_spec(name) for name in ("ctypes", "pyarrow")]
    needed = [__file__, *(spec.origin for spec in specs if spec is not None and spec.origin is not None)]
    try:
        isolate(how)
        for path in needed:
            pathlib.Path(path).read_bytes()
    except (OSError, AttributeError):  # or libc has no such function
        return False
    try:
        pathlib.Path(f"/proc/{other}/environ").read_bytes()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def main() -> None:
    """Serve the two pipes that the arguments name, for the process that the third names, isolated as the fourth says.

    With `--isolated HOW PID` only end with 0 where that isolates it from the process.
    """
    if sys.argv[1] == "--isolated":
        sys.exit(0 if is_isolated(sys.argv[2], int(sys.argv[3])) else 1)
    reading, writing, parent = (int(argument) for argument in sys.argv[1:4])
    how = sys.argv[4] if len(sys.argv) > 4 else "none"
    for pipe in (reading, writing):
        os.set_inheritable(pipe, False)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # where memory runs out, this process goes first, not the engine's
    isolate(how)
    end_with_parent(parent)  # which a change of user would undo
    sys.argv[1:] = []
    with open(reading, "rb") as requests, open(writing, "wb") as replies:  # noqa: PTH123
        serve(requests, replies)
    os._exit(0)


if __name__ == "__main__":
    main()
