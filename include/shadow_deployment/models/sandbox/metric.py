"""A custom metric's function in a sandbox process: one value for each request, or an error that says what it did.

It is user's code, so it runs as models do: without connections, memory or standard output of this process, and within
limits. Its words reach an error without the values of the requests.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shadow_deployment.base.modules import folders
from shadow_deployment.base.paths import SOURCE_ROOT
from shadow_deployment.base.redaction import secrets_in, without_secrets, without_values
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.model import Limits
from shadow_deployment.config.policy import CustomMetric
from shadow_deployment.data.custom_metrics import digest_of, source
from shadow_deployment.errors import MetricError
from shadow_deployment.metrics.losses import Array
from shadow_deployment.models.model_words import without_requests
from shadow_deployment.models.sandbox.predictor import LOAD_SECONDS, in_arrow_stream
from shadow_deployment.models.sandbox.process import ModelDiedError, SandboxProcess, environment

_OVERHEAD: Final = 1 << 16  # bytes of a reply beside its numbers


def identity_of(deployment: Deployment, metric: CustomMetric) -> str:
    """Return what tells a function from another one, or from itself under other limits. Raises MetricError."""
    return f"{digest_of(deployment, metric)}/{metric.model_dump_json()}/{deployment.name}/{deployment.classes}"


class SandboxedMetric:
    """A loaded function, in a process that ends with it or at its first error."""

    def __init__(self, deployment: Deployment, metric: CustomMetric, identity: str) -> None:
        """Load it; raise MetricError where its module, function or signature is not what it must be.

        `identity` is that of `identity_of`.
        """
        self._identity = identity
        self._metric, self._limits = metric, metric.limits or Limits()
        self._subject = f"deployment {deployment.name}: metric {metric.name}: {metric.function}"
        variables = environment()
        self._secrets = secrets_in(variables)
        module, function = metric.function.removeprefix("python:").split(":")
        task = {
            "do": "load",
            "kind": "metric",
            "task": "regression",  # one number for each request, whatever is predicted
            "classes": deployment.classes,
            "arguments": ["prediction", *(["label"] if metric.needs_label else []), "request"],
            "path": [*folders(), str(SOURCE_ROOT)],
            "module": module,
            "function": function,
            "sha256": hashlib.sha256(source(deployment, metric)).hexdigest(),
        }
        self._process = SandboxProcess(sys.executable, variables, memory_mb=self._limits.memory_mb, owner="the metric")
        with self._ended_on_error():
            self._call(task, b"", LOAD_SECONDS, 0, None)

    def is_loaded(self, identity: str) -> bool:
        """Return whether it can be called, and is the function of this identity."""
        is_alive = identity == self._identity and self._process.is_alive
        return is_alive and self._process.memory() <= self._limits.memory_mb

    def values(self, inputs: pa.RecordBatch) -> Array:
        """Return the value of each request: shape (n,), finite and within the metric's bounds.

        Args:
            inputs: the columns of the prediction, then the label where the metric needs it, then the features; n rows,
                without a prediction or a label that is missing.

        Raises:
            MetricError: The function fails, takes too long, or returns something else.
        """
        rows = self._limits.rows or max(inputs.num_rows, 1)
        with self._ended_on_error():
            parts = [self._part(inputs.slice(first, rows)) for first in range(0, inputs.num_rows, rows)]
        return np.concatenate([np.zeros(0), *parts])

    def _part(self, inputs: pa.RecordBatch) -> Array:
        size = 8 * inputs.num_rows
        body = self._call({"do": "predict"}, in_arrow_stream(inputs), self._limits.seconds, size, inputs)
        values = np.frombuffer(body, np.float64)
        self._require_within(values, np.isfinite(values), "must be finite numbers")
        if self._metric.bounds:
            low, high = self._metric.bounds
            self._require_within(
                values, (values >= low) & (values <= high), f"must be from {low:g} to {high:g} (bounds)"
            )
        return values

    def _require_within(self, values: Array, valid: Any, allowed: str) -> None:
        wrong = values[~valid]
        if len(wrong):
            got = f"returned {wrong[0]:.4g} for the first of {len(wrong)} such requests in {len(values)}"
            raise self._error(f"{got}, {allowed}")

    def _call(
        self, task: dict[str, Any], body: bytes, seconds: float, size: int, inputs: pa.RecordBatch | None
    ) -> bytes:
        """Return the body of a reply, which has `size` bytes."""
        try:
            reply, content = self._process.call(task, body, seconds=seconds, most_bytes=size + _OVERHEAD)
        except ModelDiedError as error:
            printed = f"; it had printed: {self._words(error.output, inputs)}" if error.output else ""
            raise self._error(f"{error.reason}{printed}") from None
        if reply["is"] == "error":
            text = str(reply["text"])
            raise self._error(self._words(f"{reply['kind']}: {text}", inputs) if reply["is_foreign"] else text)
        if len(content) != size:
            raise self._error("its process sent something other than values")
        return content

    def _words(self, text: str, inputs: pa.RecordBatch | None) -> str:
        if inputs is None:
            return without_values(without_secrets(text, self._secrets))
        return without_requests(text, inputs, inputs.schema.names, self._secrets)

    def _error(self, problem: str) -> MetricError:
        return MetricError(f"{self._subject}: {problem}")

    @contextmanager
    def _ended_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._process.kill()
            raise
