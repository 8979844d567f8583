"""Models behind the Open Inference Protocol over HTTP, as Triton, MLServer and KServe speak it.

One call at a time, so that a slow server is not flooded; calls to busy servers and broken connections are retried,
redirects are not followed.
"""

import json
import logging
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.base.redaction import excerpt
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import Limits
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import CredentialsError, ModelError, TransientError
from shadow_deployment.models.model_words import text_values
from shadow_deployment.models.remote.calls import Caller, ChunkedCalls, RetryLater, RowsRefused, TimedOut, TooLarge
from shadow_deployment.models.remote.http_access import client_options
from shadow_deployment.models.remote.inference_protocol import (
    Metadata,
    default_inputs,
    empty_outputs,
    inference_request,
    parse_metadata,
    parse_outputs,
)
from shadow_deployment.models.tensors import Inputs, TensorSpec, read_predictions

logger = logging.getLogger(__name__)

LARGEST_RESPONSE = 64 << 20
SECONDS_TO_CONNECT = 5.0
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_BUSY = (429, 503)
_UNANSWERED = (408, 502, 504)
_ROWS = (400, 422, 500)
_DENIED = (401, 403, 407)
_NO_METADATA = (404, 405, 501)
_NOT_OIP = "is this a server of the Open Inference Protocol?"


class _Response(NamedTuple):
    status: int
    reason: str
    retry_after: str
    body: bytes


class EndpointPredictor:
    """A model on a server, with inputs and outputs as those of `OnnxPredictor`.

    A server without metadata gets one input of shape (n, 1) for each feature. JSON has no NaN: a row with a null number
    is an error unless the challenger's `nulls` says how the server takes it, and infinity always is one. Predictions of
    another version than the address or the challenger declares are refused. Raises ModelError, CredentialsError or
    TransientError where the server cannot be used.
    """

    def __init__(
        self, model: Challenger, connection: Connection | None, features: Sequence[str], *, classes: int = 0
    ) -> None:
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line for each call
        limits = model.limits or Limits()
        self._model = model
        self._name = model.model_key
        self._features = list(features)
        self._classes = classes
        self._seconds = limits.seconds
        options = client_options(model.address, connection) if connection else {}
        headers = options.pop("headers", {})
        credentials = [connection.login, connection.password, *headers.values()] if connection else []
        self._secrets = {secret for secret in credentials if secret}
        timeout = httpx.Timeout(limits.seconds, connect=min(SECONDS_TO_CONNECT, limits.seconds))
        self._client = httpx.Client(**options, headers=headers | _JSON, timeout=timeout, follow_redirects=False)
        weakref.finalize(self, self._client.close)
        self._call = Caller(self._name, limits.calls_per_second)
        self._chunks = ChunkedCalls(self._name, limits.rows)
        _, _, version = model.address.partition("/versions/")
        self._version = unquote(version) or model.version
        self._is_pinned = bool(version)
        self._has_warned = False
        self._metadata = self._fetch_metadata()
        self._inputs: Inputs | None = None
        if self._metadata.inputs:
            self._fit(self._metadata.inputs)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return a prediction or an error for each row.

        Raises ModelError, CredentialsError or TransientError for what is no fault of a row.
        """
        if self._inputs is None:
            self._fit(default_inputs(batch.schema, self._features))
        assert self._inputs is not None  # noqa: S101 (it was fitted)
        arrays, errors = self._inputs.arrays(batch)
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                fits = np.isfinite(array) if self._model.nulls is None else ~np.isinf(array)
                for row in np.flatnonzero(~fits.reshape(batch.num_rows, -1).all(axis=1)):
                    text = f"is null or no number that {self._kinds[name]} and JSON can hold"
                    errors.setdefault(int(row), f"{self._feature(name, array[row])} {text}")
        shape = (batch.num_rows, self._classes) if self._classes else (batch.num_rows,)
        hidden = cache(partial(text_values, batch))

        def call(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
            body = inference_request(
                {name: array[rows] for name, array in arrays.items()}, self._kinds, self._model.nulls
            )
            content, spent = self._call(lambda: self._infer(body, hidden))
            return self._values(content, len(rows)), spent

        return self._chunks.predict(errors, shape, call)

    def _feature(self, name: str, values: NDArray[Any]) -> str:
        if name in self._features:
            return f"feature {name}"
        return f"feature {', '.join(self._features[column] for column in np.flatnonzero(~np.isfinite(values)))}"

    def _fit(self, specs: Sequence[TensorSpec]) -> None:
        self._inputs = Inputs(self._name, specs, self._features)
        self._kinds = {spec.name: spec.kind for spec in specs}
        fixed = {spec.shape[0] for spec in specs if spec.shape[0] is not None}
        if fixed - {1}:
            raise ModelError(
                f"{self._name}: its inputs take exactly {', '.join(map(str, sorted(fixed)))} rows per call, must take "
                "any number, -1, or 1"
            )
        if fixed:
            self._chunks = ChunkedCalls(self._name, 1)

    def _fetch_metadata(self) -> Metadata:
        """Return the model's metadata, empty where the server gives none."""
        try:
            body, _ = self._call(self._metadata_body)
            if body is None:
                return Metadata()
            metadata = parse_metadata(_parse_json(body))
        except TimedOut as error:
            raise TransientError(f"{self._name}: {error}") from error
        except (RowsRefused, ValueError) as error:
            raise ModelError(f"{self._name}: its metadata cannot be used: {error}; {_NOT_OIP}") from error
        empty = empty_outputs(metadata.outputs)
        if empty is not None:
            read_predictions(empty, self._classes, self._name)
        if metadata.versions and self._version not in metadata.versions:
            raise self._other_version(", ".join(metadata.versions))
        return metadata

    def _metadata_body(self) -> bytes | None:
        response = self._exchange("GET", self._model.address)
        return None if response.status in _NO_METADATA else self._accept(response)

    def _infer(self, body: bytes, hidden: Callable[[], set[str]]) -> Any:
        return _parse_json(self._accept(self._exchange("POST", f"{self._model.address}/infer", body), hidden))

    def _exchange(self, method: str, url: str, body: bytes | None = None) -> _Response:
        """Send one request and read its whole response within the seconds of a call."""
        import httpx

        deadline, late = time.monotonic() + self._seconds, f"no response within {self._seconds:g} s"
        try:
            with self._client.stream(method, url, content=body) as response:
                content = bytearray()
                for piece in response.iter_bytes():
                    content += piece
                    if time.monotonic() > deadline:
                        raise TimedOut(late)
                    if len(content) > LARGEST_RESPONSE:
                        raise RowsRefused(f"the response is larger than {LARGEST_RESPONSE >> 20} MB")
                retry_after = response.headers.get("Retry-After", "")
                return _Response(response.status_code, response.reason_phrase, retry_after, bytes(content))
        except httpx.ConnectTimeout:
            raise RetryLater("the server cannot be reached") from None
        except httpx.TimeoutException:
            raise TimedOut(late) from None
        except httpx.DecodingError:
            raise RowsRefused("the response has a broken encoding") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ModelError(f"{self._name}: {error}; correct the address") from error
        except httpx.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CredentialsError(
                    f"{self._name}: {error}; set verify in the extra of the connection that conn_id names to a file "
                    "with the certificate of the authority"
                ) from error
            text = excerpt(str(error)).rstrip(".")
            raise RetryLater(f"the connection fails: {type(error).__name__}: {text}") from None

    def _accept(self, response: _Response, hidden: Callable[[], set[str]] = set) -> bytes:
        """Return the body of a successful response; raise what another status stands for."""
        status, text = response.status, f"HTTP {response.status} {response.reason}".strip()
        if status == 200:
            return response.body
        if status in _BUSY:
            raise RetryLater(text, busy=True, after=_seconds(response.retry_after))
        if status in _UNANSWERED:
            raise RetryLater(text)
        if message := excerpt(_error_message(response.body), hidden() | self._secrets):
            text = f"{text}: {message}"
        if status == 413:
            raise TooLarge(text)
        if status in _ROWS:
            raise RowsRefused(text)
        if status in _DENIED:
            conn_id = self._model.conn_id
            place = f"connection {conn_id}" if conn_id else "a connection, and name it as conn_id"
            raise CredentialsError(f"{self._name}: {text}; put the credentials for this server into {place}")
        if 300 <= status < 400:
            raise ModelError(f"{self._name}: {text}: it redirects, must be the address of the model itself")
        if status in (404, 410):
            raise ModelError(f"{self._name}: {text}; load the model and this version there, or correct the address")
        raise ModelError(f"{self._name}: {text}; {_NOT_OIP}")

    def _values(self, content: Any, rows: int) -> NDArray[np.float64]:
        """Return the predictions in a response; raise RowsRefused without them, ModelError for another version."""
        arrays = parse_outputs(content, rows)
        self._require_version(content)
        try:
            return read_predictions(arrays, self._classes, "the server")
        except ModelError as error:
            raise RowsRefused(str(error)) from None

    def _require_version(self, content: Mapping[str, Any]) -> None:
        version = content.get("model_version")
        if version in (None, ""):
            if len(self._metadata.versions) > 1 and not self._is_pinned:
                raise ModelError(
                    f"{self._name}: the server has versions {', '.join(self._metadata.versions)} and does not say "
                    "which of them predicts; put /versions/VERSION into the address"
                )
            if not self._has_warned and not self._metadata.versions:
                logger.warning("%s: the server does not say which version predicts", self._name)
            self._has_warned = True
        elif str(version) != self._version:
            raise self._other_version(str(version))

    def _other_version(self, version: str) -> ModelError:
        place = "/versions/ in the address" if self._is_pinned else "the challenger's version"
        printable = "".join(character for character in version if character.isprintable())[:80]
        return ModelError(
            f"{self._name}: the server has version {printable}, must have {self._version}, {place}: "
            "evidence is of one version; serve that one, or declare a challenger of the other with "
            "/versions/VERSION in its address"
        )


def load(context: DeploymentContext, model: Challenger, _: Window) -> EndpointPredictor:
    """Return a model on a server, with the credentials of its connection."""
    connection = context.connections(model.conn_id) if model.conn_id else None
    deployment = context.deployment
    return EndpointPredictor(model, connection, deployment.requests.features, classes=len(deployment.classes))


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RowsRefused("the response is not JSON") from None


def _error_message(body: bytes) -> str:
    """Return the text of an error: the protocol's `error`, or the whole body."""
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(content["error"]) if isinstance(content, dict) and "error" in content else text


def _seconds(retry_after: str) -> float | None:
    """Return the seconds that Retry-After asks to wait; None where it is missing or cannot be parsed."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    return max((when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
