"""A model in a process of its own: what it does there, its rows pay for and nobody else.

A call that hangs, takes too much memory or ends the process is an error of its rows, which scoring finds by halving.
A process that has grown between calls is replaced, and no row is lost. A model that cannot be helped is not asked for
ever: one that has not answered a single request, or that has cost too much, has errors for all that is left.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.config.model import Limits
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError
from shadow_deployment.models.sandbox.process import ModelDiedError, SandboxProcess

logger = logging.getLogger(__name__)

LOAD_SECONDS = 300.0
MOST_DEATHS = 256
MOST_TIMEOUTS = 16  # halving the 8,192 rows of a batch down to one that hangs takes fourteen
SPARE_SECONDS = 300.0
_OVERHEAD = 1 << 16  # bytes of a frame beside its numbers
_ERROR = 1 << 12  # bytes that the error of one row may have


class ModelCallError(Exception):
    """The model raised, or answered with what are no answers. No error of the engine: rows have it."""


def _no_file() -> bytes:
    return b""


@dataclass(frozen=True)
class SandboxProgram:
    """What a child runs: interpreter, environment, what it is to load, and the bytes of the model's file.

    `read` gives the same bytes at each start, or raises ModelError. `remedies` says by the name of a module what to do
    where it is missing.
    """

    name: str
    interpreter: str
    environment: Mapping[str, str] = field(repr=False)
    task: Mapping[str, Any]
    read: Callable[[], bytes] = _no_file
    remedies: Mapping[str, str] = field(default_factory=dict)


class SandboxedPredictor:
    """A predictor whose model runs in a child process.

    Raises ModelError where the model cannot be loaded there. Answers like any predictor; raises ModelDiedError or
    ModelCallError, which scoring turns into errors of rows.
    """

    def __init__(
        self, program: SandboxProgram, limits: Limits | None, features: Sequence[str], classes: int = 0
    ) -> None:
        self._program = program
        self._limits = limits or Limits()
        self._features = list(features)
        self._width = max(classes, 1)
        self._classes = classes
        self._deaths = 0
        self._lost = 0.0
        self._has_answered = False
        self._given_up: str | None = None
        self._child = self._start()

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Answer each row, in calls of `limits.rows` rows; once the model is given up, with errors alone."""
        if self._given_up is not None:
            return self._refused(batch.num_rows, self._given_up)
        try:
            answers = self._timed(batch)
        except (ModelDiedError, ModelCallError) as error:
            reason = self._hopeless(batch)
            if reason is None:
                raise
            text = f"{type(error).__name__}: {error}; it is not asked again: {reason}"
            logger.warning("challenger %s is not asked again: %s", self._program.name, reason)  # no words of the model
            self._given_up = text
            return self._refused(batch.num_rows, text)
        return answers

    def _timed(self, batch: pa.RecordBatch) -> Predictions:
        """Answer each row; what a call has cost that brought nothing counts as lost."""
        began = time.monotonic()
        try:
            answers = self._parts(batch.select(self._features))
        except ModelDiedError:
            self._deaths += 1
            self._lost += time.monotonic() - began
            raise
        except ModelCallError:
            self._lost += time.monotonic() - began
            self._has_answered = True  # it lives
            raise
        self._has_answered = True
        return answers

    def _parts(self, batch: pa.RecordBatch) -> Predictions:
        rows = self._limits.rows or batch.num_rows
        parts = [self._call(batch.slice(first, rows)) for first in range(0, batch.num_rows, rows)]
        errors = {number * rows + row: text for number, part in enumerate(parts) for row, text in part.errors.items()}
        return Predictions(np.concatenate([part.values for part in parts]), errors)

    def _call(self, batch: pa.RecordBatch) -> Predictions:
        self._ensure()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        size = 8 * batch.num_rows * self._width
        answer, body = self._child.ask(
            {"do": "predict"},
            sink.getvalue().to_pybytes(),
            seconds=self._limits.seconds,
            most=size + _OVERHEAD + _ERROR * batch.num_rows,
        )
        if answer["is"] == "error":
            if answer["kind"] == ModelError.__name__:  # what our own code says of all rows
                raise ModelError(answer["text"].partition(": ")[2])
            raise ModelCallError(answer["text"])
        if answer["is"] != "answers" or len(body) != size:
            self._child.kill()
            raise ModelDiedError("the model's process answered with what is no answer and was killed")
        values: NDArray[np.float64] = np.frombuffer(body, np.float64)
        shape = (batch.num_rows, self._classes) if self._classes else (batch.num_rows,)
        return Predictions(values.reshape(shape), {int(row): str(text) for row, text in answer["errors"].items()})

    def _ensure(self) -> None:
        """Replace a process that has ended, or that has grown beyond its limit since it was asked."""
        if self._child.is_alive:
            held = self._child.memory()
            if held <= self._limits.memory_mb:
                return
            logger.info("challenger %s: its process holds %.0f MiB and is replaced", self._program.name, held)
            self._child.kill()
        try:
            self._child = self._start()
        except ModelError as error:  # it was loaded before, so this is no reason to stop the day
            raise ModelDiedError(f"the model's process could not be started again: {error}") from error

    def _start(self) -> SandboxProcess:
        program = self._program
        content = program.read()
        child = SandboxProcess(program.interpreter, program.environment, memory_mb=self._limits.memory_mb)
        said = f"challenger {program.name}: the model cannot be loaded"
        try:
            answer, _ = child.ask({"do": "load", **program.task}, content, seconds=LOAD_SECONDS, most=_OVERHEAD)
        except ModelDiedError as error:
            raise ModelError(f"{said}: {error}") from error
        if answer["is"] == "ready":
            return child
        words = child.last_words
        child.kill()
        remedy = program.remedies.get(str(answer.get("missing") or "").partition(".")[0], "")
        raise ModelError(f"{said}: {answer['text']}{remedy}{f'; it had printed: {words}' if words else ''}")

    def _hopeless(self, batch: pa.RecordBatch) -> str | None:
        """Say why a model is not worth asking again: it has cost too much, or answers no single request either."""
        if self._deaths > MOST_DEATHS:
            return f"its process has ended {self._deaths} times"
        if self._lost > MOST_TIMEOUTS * self._limits.seconds + SPARE_SECONDS:
            return f"calls without an answer have taken {self._lost:.0f} seconds"
        if not self._has_answered and batch.num_rows > 1 and not self._answers_any(batch):
            return "it answers no single request either"
        return None

    def _answers_any(self, batch: pa.RecordBatch) -> bool:
        """Whether it comes back from a call with the first, the middle or the last request alone."""
        for row in sorted({0, batch.num_rows // 2, batch.num_rows - 1}):
            try:
                self._timed(batch.slice(row, 1))
            except ModelDiedError:
                continue
            except ModelCallError:
                return True
            return True
        return False

    def _refused(self, rows: int, text: str) -> Predictions:
        shape = (rows, self._classes) if self._classes else (rows,)
        return Predictions(np.full(shape, np.nan), dict.fromkeys(range(rows), text))
