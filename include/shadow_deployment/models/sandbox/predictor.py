"""A model in a sandbox process: what it does there costs its own rows and nothing else.

A call that hangs, takes too much memory or ends the process is an error of its rows, which scoring finds by bisection.
A process that has grown between calls is replaced, and no row is lost. A model is given up once it has failed on every
single request it was tried with, or has cost too much: all rows that are left then get its last error.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.base.redaction import secrets_in, without_secrets, without_values
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.model import Limits
from shadow_deployment.context import ModelProcesses
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError
from shadow_deployment.models.model_words import without_columns, without_requests
from shadow_deployment.models.sandbox.process import ModelDiedError, SandboxProcess, environment
from shadow_deployment.models.sandbox.runtimes import interpreter, missing_packages
from shadow_deployment.models.sandbox.worker import MisalignedOutputError

logger = logging.getLogger(__name__)

LOAD_SECONDS = 300.0
MOST_DEATHS = 256
MOST_TIMEOUTS = 16  # bisecting the 8,192 rows of a batch down to one that hangs takes fourteen
SPARE_SECONDS = 300.0
_OVERHEAD = 1 << 16  # bytes of a frame beside its numbers
_ERROR = 1 << 12  # bytes that the error of one row may have
_EXIT_CODE = re.compile(r"SystemExit: \d{1,3}")


class ModelCallError(Exception):
    """The model raised, or returned something other than predictions. Its rows get this error."""


def _no_file() -> bytes:
    return b""


@dataclass(frozen=True)
class SandboxProgram:
    """What a sandbox runs: interpreter, environment, the request that loads the model, and the bytes of its file.

    `read` returns the same bytes at each start, or raises ModelError; `stage` puts a model's files into a folder of the
    process, whose path the request then has; the request has a digest of either. `missing` says, by module, what to do
    where the interpreter lacks it. Equal programs load the same model.
    """

    name: str
    interpreter: str
    environment: Mapping[str, str] = field(repr=False)
    task: Mapping[str, Any]
    limits: Limits
    missing: Mapping[str, str]
    read: Callable[[], bytes] = field(default=_no_file, compare=False)
    stage: Callable[[Path], None] | None = field(default=None, compare=False)

    @property
    def secrets(self) -> list[str]:
        """What nobody may read in what the model writes."""
        return secrets_in(self.environment)

    @classmethod
    def of(
        cls,
        model: Challenger,
        deployment: Deployment,
        *,
        variables: Mapping[str, str] = MappingProxyType({}),
        read: Callable[[], bytes] = _no_file,
        stage: Callable[[Path], None] | None = None,
        **task: Any,
    ) -> Self:
        """Return the program of a model; `task` is what the worker needs to load this kind of model.

        Raises ModelError where its interpreter is missing or cannot be built.
        """
        return cls(
            name=model.name,
            interpreter=interpreter(model),
            environment=environment(**variables),
            task={"kind": model.kind, "task": deployment.task, "classes": deployment.classes, **task},
            limits=model.limits or Limits(),
            missing=missing_packages(model),
            read=read,
            stage=stage,
        )


class SandboxedPredictor:
    """A predictor whose model runs in a sandbox process.

    Raises ModelError where the model cannot be loaded there. A call may raise ModelDiedError or ModelCallError, which
    scoring turns into errors of rows; their texts hold no values of the requests. Where processes are kept, it takes
    over that of the same program.
    """

    def __init__(self, program: SandboxProgram, deployment: Deployment, kept: ModelProcesses | None = None) -> None:
        self._program = program
        self._kept = kept
        self._limits = program.limits
        self._features = list(deployment.requests.features)
        self._classes = len(deployment.classes)
        self._deaths = 0
        self._wasted_seconds = 0.0
        self._has_responded = False
        self._last_error: str | None = None  # once the model is given up
        running = kept.find(program) if kept else None
        self._is_checked = kept is None
        self._process = running or self._start()

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return a prediction for each row, in calls of `limits.rows` rows; only errors once the model is given up."""
        if self._last_error is None:
            try:
                return self._timed(batch)
            except (ModelDiedError, ModelCallError) as error:
                reason = self._reason_to_give_up(batch)
                if reason is None:
                    raise
                logger.warning("challenger %s gets no more calls: %s", self._program.name, reason)  # none of its words
                self._last_error = f"{type(error).__name__}: {error}; no more calls are made: {reason}"
        shape = (batch.num_rows, self._classes) if self._classes else (batch.num_rows,)
        return Predictions(np.full(shape, np.nan), dict.fromkeys(range(batch.num_rows), self._last_error))

    def _timed(self, batch: pa.RecordBatch) -> Predictions:
        """Predict each row; count the time of a call that brought nothing."""
        began = time.monotonic()
        inputs = batch.select(self._features)
        try:
            self._check_state(inputs)
            predictions = self._in_parts(inputs)
        except ModelDiedError:
            self._deaths += 1
            self._wasted_seconds += time.monotonic() - began
            raise
        except ModelCallError:
            self._wasted_seconds += time.monotonic() - began
            self._has_responded = True
            raise
        self._has_responded = True
        return predictions

    def _in_parts(self, batch: pa.RecordBatch) -> Predictions:
        rows = self._limits.rows or batch.num_rows
        parts = [self._call(batch.slice(first, rows)) for first in range(0, batch.num_rows, rows)]
        errors = {number * rows + row: text for number, part in enumerate(parts) for row, text in part.errors.items()}
        return Predictions(np.concatenate([part.values for part in parts]), errors)

    def _check_state(self, inputs: pa.RecordBatch) -> None:
        """Replace a kept process whose model does not answer as it did when it was new, before its first call."""
        if self._is_checked or self._kept is None:
            return
        self._is_checked = True
        self._ensure_process()
        if not self._kept.is_as_new(self._program, inputs, self._answer):
            self._process.kill()
        if self._process.is_alive:
            self._process.forget_output()  # it may show other days' requests

    def _answer(self, batch: pa.RecordBatch) -> tuple[bytes, Mapping[int, str]] | str:
        """Return what the model says of some requests, to be compared; an error of the call is one answer too."""
        try:
            predictions = self._call(batch)
        except (ModelDiedError, ModelCallError) as error:
            return str(error)
        return predictions.values.tobytes(), predictions.errors

    def _call(self, batch: pa.RecordBatch) -> Predictions:
        self._ensure_process()
        shape = (batch.num_rows, self._classes) if self._classes else (batch.num_rows,)
        size = 8 * int(np.prod(shape))
        most_bytes = size + _OVERHEAD + _ERROR * batch.num_rows
        try:
            reply, body = self._process.call(
                {"do": "predict"}, in_arrow_stream(batch), seconds=self._limits.seconds, most_bytes=most_bytes
            )
        except ModelDiedError as error:
            raise ModelDiedError(error.reason, self._without_requests(error.output, batch)) from None
        if reply["is"] == "error" and reply["kind"] == MisalignedOutputError.__name__:
            words = without_secrets(str(reply["text"]), self._program.secrets)
            text = f"{ModelCallError.__name__}: {words}"  # of fewer rows it would say the same, or guess right
            return Predictions(np.full(shape, np.nan), dict.fromkeys(range(batch.num_rows), text))
        if reply["is"] == "error":
            self._raise(reply, batch)
        if reply["is"] != "predictions" or len(body) != size:
            self._process.kill()
            raise ModelDiedError("the model's process sent something other than predictions and was killed")
        values: NDArray[np.float64] = np.frombuffer(body, np.float64)
        errors = {int(row): str(text) for row, text in reply["errors"].items()}
        if self._program.task["kind"] != "onnx":  # where no foreign code could write them
            errors = {row: self._without_requests(text, batch) for row, text in errors.items()}
        return Predictions(values.reshape(shape), errors)

    def _raise(self, reply: Mapping[str, Any], batch: pa.RecordBatch) -> None:
        text, kind = without_secrets(str(reply["text"]), self._program.secrets), str(reply["kind"])
        if not reply["is_foreign"]:
            raise ModelCallError(text)
        if kind == ModelError.__name__ and self._program.task["kind"] == "onnx":  # our own code, about all rows
            raise ModelError(text)
        if needed := without_columns(text, reply.get("columns") or [], batch):
            raise ModelCallError(f"{kind}: {needed}")
        words = f"{kind}: {text}"
        raise ModelCallError(words if _EXIT_CODE.fullmatch(words) else self._without_requests(words, batch))

    def _without_requests(self, text: str, batch: pa.RecordBatch) -> str:
        return without_requests(text, batch, self._features, self._program.secrets)

    def _ensure_process(self) -> None:
        """Replace a process that has ended, or has grown beyond its limit since its last call."""
        if self._process.is_alive:
            resident = self._process.memory()
            if resident <= self._limits.memory_mb:
                return
            logger.info("challenger %s: its process holds %.0f MiB and is replaced", self._program.name, resident)
            self._process.kill()
        try:
            self._process = self._start()
        except ModelError as error:
            raise ModelDiedError(f"the model's process could not be restarted: {error}") from error

    def _start(self) -> SandboxProcess:
        program = self._program
        content, task = program.read(), {"do": "load", **program.task}
        process = SandboxProcess(
            program.interpreter, program.environment, memory_mb=self._limits.memory_mb, stage=program.stage
        )
        if process.folder is not None:
            task["folder"] = str(process.folder)
        problem = f"challenger {program.name}: the model cannot be loaded"
        try:
            reply, _ = process.call(task, content, seconds=LOAD_SECONDS, most_bytes=_OVERHEAD)
        except ModelDiedError as error:
            raise ModelError(f"{problem}: {error.reason}{_printed(program, error.output)}") from None
        if reply["is"] == "ready":
            if self._kept is not None:
                self._kept.keep(program, process)
            return process
        output = process.output_tail
        process.kill()
        words = f"{error_text(program, reply)}{_printed(program, output)}"
        raise ModelError(missing_package(program, reply) or f"{problem}: {words}")

    def _reason_to_give_up(self, batch: pa.RecordBatch) -> str | None:
        """Return why a model gets no more calls: it has cost too much, or fails on each single request too."""
        if self._deaths > MOST_DEATHS:
            return f"its process has ended {self._deaths} times"
        if self._wasted_seconds > MOST_TIMEOUTS * self._limits.seconds + SPARE_SECONDS:
            return f"calls without a result have taken {self._wasted_seconds:.0f} seconds"
        if not self._has_responded and batch.num_rows > 1 and not self._survives_any(batch):
            return "it fails on each single request too"
        return None

    def _survives_any(self, batch: pa.RecordBatch) -> bool:
        """Whether it returns from a call with the first, the middle or the last request alone."""
        for row in sorted({0, batch.num_rows // 2, batch.num_rows - 1}):
            try:
                self._timed(batch.slice(row, 1))
            except ModelDiedError:
                continue
            except ModelCallError:
                return True
            return True
        return False


def missing_package(program: SandboxProgram, reply: Mapping[str, Any]) -> str | None:
    """Return what to say where the interpreter lacks a package that the program needs; None for other errors."""
    hint = program.missing.get(str(reply.get("missing") or "").partition(".")[0])
    return f"challenger {program.name} {hint}" if hint else None


def error_text(program: SandboxProgram, reply: Mapping[str, Any]) -> str:
    """Return the text of an error reply without secrets, with the kind of a foreign exception."""
    text = f"{reply['kind']}: {reply['text']}" if reply["is_foreign"] else str(reply["text"])
    return without_secrets(text, program.secrets)


def _printed(program: SandboxProgram, output: str) -> str:
    """Return what a model has printed without values, which may be those of its training data."""
    return f"; it had printed: {without_values(without_secrets(output, program.secrets))}" if output else ""


def in_arrow_stream(batch: pa.RecordBatch) -> bytes:
    """Return a batch as the sandbox process reads it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())
