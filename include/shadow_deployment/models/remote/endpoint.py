"""Models behind the Open Inference Protocol over HTTP, as Triton, MLServer and KServe speak it.

One call at a time, so that a slow server is not flooded; busy servers are waited for, connections that break are tried
again, redirects are not followed.
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

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import Limits
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import CredentialsError, ModelError, TransientError
from shadow_deployment.models.remote.calls import (
    Caller,
    Chunks,
    Refused,
    RetryLater,
    TimedOut,
    TooLarge,
    excerpt,
    texts,
)
from shadow_deployment.models.remote.http_access import access
from shadow_deployment.models.remote.inference_protocol import (
    Metadata,
    guessed,
    metadata,
    outputs,
    request,
    require_outputs,
)
from shadow_deployment.models.tensors import Inputs, Tensor, answer

logger = logging.getLogger(__name__)

LARGEST_ANSWER = 64 << 20
SECONDS_TO_CONNECT = 5.0
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_BUSY = (429, 503)
_UNANSWERED = (408, 502, 504)
_ROWS = (400, 422, 500)
_DENIED = (401, 403, 407)
_SILENT = (404, 405, 501)  # how a server says that it gives no metadata


class _Reply(NamedTuple):
    status: int
    reason: str
    retry_after: str
    body: bytes


class EndpointPredictor:
    """A model that a server answers for, with inputs and outputs as those of `OnnxPredictor`.

    Where the server gives no metadata it is asked with one input of shape (n, 1) for each feature. JSON knows no NaN: a
    row with a null number is an error unless the challenger's `nulls` says how the server wants it, and infinity is one
    always. Answers of another version than the address or the challenger
    declares are refused. Raises ModelError, CredentialsError or TransientError where the server cannot be used.
    """

    def __init__(
        self, model: Challenger, connection: Connection | None, features: Sequence[str], *, classes: int = 0
    ) -> None:
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line for each call
        limits = model.limits or Limits()
        self._model = model
        self._name = f"challenger {model.name}: model == {model.model!r}"
        self._features = list(features)
        self._classes = classes
        self._seconds = limits.seconds
        found = access(model.address, connection) if connection else {}
        self._secrets = {one for one in (connection.login, connection.password) if one} if connection else set()
        self._secrets |= {value for value in found.get("headers", {}).values() if value}
        headers = {**found.pop("headers", {}), **_JSON}
        bounds = httpx.Timeout(limits.seconds, connect=min(SECONDS_TO_CONNECT, limits.seconds))
        self._client = httpx.Client(**found, headers=headers, timeout=bounds, follow_redirects=False)
        weakref.finalize(self, self._client.close)
        self._call = Caller(self._name, limits.calls_per_second)
        self._chunks = Chunks(self._name, limits.rows)
        _, _, version = model.address.partition("/versions/")
        self._version = unquote(version) or model.version
        self._is_pinned = bool(version)
        self._is_silent = False
        self._metadata = self._described()
        self._inputs: Inputs | None = None
        if self._metadata.inputs:
            self._fit(self._metadata.inputs)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Answer each row; what cannot be answered is an error of its row.

        Raises ModelError, CredentialsError or TransientError where that says nothing about rows.
        """
        if self._inputs is None:
            self._fit(guessed(batch.schema, self._features))
        assert self._inputs is not None  # noqa: S101 (it was fitted)
        arrays, errors = self._inputs.arrays(batch)
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                fits = np.isfinite(array) if self._model.nulls is None else ~np.isinf(array)
                for row in np.flatnonzero(~fits.reshape(batch.num_rows, -1).all(axis=1)):
                    text = f"is null or no number that {self._kinds[name]} and JSON can hold"
                    errors.setdefault(int(row), f"{self._named(name, array, row)} {text}")
        shape = (batch.num_rows, self._classes) if self._classes else (batch.num_rows,)
        hidden = cache(partial(texts, batch))

        def call(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
            body = request({name: array[rows] for name, array in arrays.items()}, self._kinds, self._model.nulls)
            said, spent = self._call(lambda: self._infer(body, hidden))
            return self._read(said, len(rows)), spent

        return self._chunks.answer(errors, shape, call)

    def _named(self, name: str, array: NDArray[Any], row: Any) -> str:
        if name in self._features:
            return f"feature {name}"
        bad = [self._features[column] for column in np.flatnonzero(~np.isfinite(array[row]))]
        return f"feature {', '.join(bad)}"

    def _fit(self, tensors: Sequence[Tensor]) -> None:
        self._inputs = Inputs(self._name, tensors, self._features)
        self._kinds = {one.name: one.kind for one in tensors}
        fixed = {one.shape[0] for one in tensors if one.shape[0] is not None}
        if fixed - {1}:
            raise ModelError(
                f"{self._name}: its inputs take exactly {', '.join(map(str, sorted(fixed)))} rows at once, must take "
                "any number, -1, or 1"
            )
        if fixed:
            self._chunks = Chunks(self._name, 1)

    def _described(self) -> Metadata:
        """Return the model's metadata, empty where the server gives none."""
        try:
            said, _ = self._call(self._said_of_itself)
            if said is None:
                return Metadata()
            found = metadata(_json(said))
            empty = require_outputs(found.outputs)
        except TimedOut as late:
            raise TransientError(f"{self._name}: {late}") from late
        except (Refused, ValueError) as error:
            raise ModelError(
                f"{self._name}: its metadata cannot be used: {error}; is this a server of the Open Inference Protocol?"
            ) from error
        if empty is not None:
            answer(empty, self._classes, self._name)
        if found.versions and self._version not in found.versions:
            raise self._other_version(", ".join(found.versions))
        return found

    def _said_of_itself(self) -> bytes | None:
        heard = self._heard("GET", self._model.address)
        return None if heard.status in _SILENT else self._accepted(heard)

    def _infer(self, body: bytes, values: Callable[[], set[str]]) -> Any:
        return _json(self._accepted(self._heard("POST", f"{self._model.address}/infer", body), values))

    def _heard(self, method: str, url: str, body: bytes | None = None) -> _Reply:
        """Exchange one request and its answer, whole, within the seconds of a call."""
        import httpx

        deadline, late = time.monotonic() + self._seconds, f"no answer within {self._seconds:g} s"
        try:
            with self._client.stream(method, url, content=body) as got:
                content = bytearray()
                for piece in got.iter_bytes():
                    content += piece
                    if time.monotonic() > deadline:
                        raise TimedOut(late)
                    if len(content) > LARGEST_ANSWER:
                        raise Refused(f"the server answers with more than {LARGEST_ANSWER >> 20} MB")
                return _Reply(got.status_code, got.reason_phrase, got.headers.get("Retry-After", ""), bytes(content))
        except httpx.ConnectTimeout:
            raise RetryLater("the server is not reached") from None
        except httpx.TimeoutException:
            raise TimedOut(late) from None
        except httpx.DecodingError:
            raise Refused("the server answers with an encoding that is broken") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ModelError(f"{self._name}: {error}; correct the address") from error
        except httpx.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CredentialsError(
                    f"{self._name}: {error}; set verify in the extra of the connection that conn_id names to a file "
                    "with the certificate of the authority"
                ) from error
            raise RetryLater(
                f"the connection fails: {type(error).__name__}: {excerpt(str(error)).rstrip('.')}"
            ) from None

    def _accepted(self, heard: _Reply, values: Callable[[], set[str]] = set) -> bytes:
        """Return the body of an answer; raise what its status stands for."""
        status, text = heard.status, f"HTTP {heard.status} {heard.reason}".strip()
        if status == 200:
            return heard.body
        if status in _BUSY:
            raise RetryLater(text, busy=True, after=_seconds(heard.retry_after))
        if status in _UNANSWERED:
            raise RetryLater(text)
        if said := excerpt(_message(heard.body), values() | self._secrets):
            text = f"{text}: {said}"
        if status == 413:
            raise TooLarge(text)
        if status in _ROWS:
            raise Refused(text)
        if status in _DENIED:
            conn_id = self._model.conn_id
            which = f"connection {conn_id}" if conn_id else "a connection, and name it as conn_id"
            raise CredentialsError(f"{self._name}: {text}; put the credentials for this server into {which}")
        if 300 <= status < 400:
            raise ModelError(f"{self._name}: {text}: it leads elsewhere, must be the address of the model itself")
        if status in (404, 410):
            raise ModelError(f"{self._name}: {text}; load the model and this version there, or correct the address")
        raise ModelError(f"{self._name}: {text}; is this a server of the Open Inference Protocol?")

    def _read(self, said: Any, rows: int) -> NDArray[np.float64]:
        """Return the values of an answer; raise Refused where it has none, ModelError where its version is another."""
        arrays = outputs(said, rows)
        self._require_version(said)
        try:
            return answer(arrays, self._classes, "the server")
        except ModelError as error:
            raise Refused(str(error)) from None

    def _require_version(self, said: Mapping[str, Any]) -> None:
        told = said.get("model_version")
        if told in (None, ""):
            if len(self._metadata.versions) > 1 and not self._is_pinned:
                raise ModelError(
                    f"{self._name}: the server has versions {', '.join(self._metadata.versions)} and does not say "
                    "which one answers; put /versions/VERSION into the address"
                )
            if not self._is_silent and not self._metadata.versions:
                logger.warning("%s: the server does not say which version answers", self._name)
            self._is_silent = True
        elif str(told) != self._version:
            raise self._other_version(str(told))

    def _other_version(self, told: str) -> ModelError:
        place = "/versions/ in the address" if self._is_pinned else "the challenger's version"
        return ModelError(
            f"{self._name}: the server has version {_short(told)}, must have {self._version}, {place}: "
            "evidence is of one version; serve that one, or declare a challenger of the other with "
            "/versions/VERSION in its address"
        )


def _short(version: str) -> str:
    return "".join(one for one in version if one.isprintable())[:80]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the server answers with what is no JSON") from None


def _message(body: bytes) -> str:
    """Return the text of an error: the protocol's `error`, or all of it."""
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(said["error"]) if isinstance(said, dict) and "error" in said else text


def _seconds(retry_after: str) -> float | None:
    """Return the seconds that a server asks to be left alone; None where it does not say, or not so that it is read."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    return max((when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
