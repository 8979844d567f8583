"""Models on SageMaker endpoints, called through boto3 with the credentials of Airflow's amazon provider.

Rows go as CSV, predictions come as CSV or JSON: see `models.remote.records`.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.base.redaction import excerpt
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.model import Limits
from shadow_deployment.data.predictor import Predictions, Predictor
from shadow_deployment.errors import ModelError, TransientError
from shadow_deployment.integrations.aws import PATIENCE, code_of, source_of, translated
from shadow_deployment.models.model_words import text_values
from shadow_deployment.models.remote.calls import Caller, ChunkedCalls, RetryLater, RowsRefused, TimedOut, TooLarge
from shadow_deployment.models.remote.records import CSV, csv_lines, parse_predictions

LARGEST_CALL = 6 << 20  # what InvokeEndpoint takes
ONCE = {"retries": {"mode": "standard", "total_max_attempts": 1}}  # `Caller` retries, within the rate
_RIGHTS = "allow sagemaker:InvokeEndpoint on the endpoint"
_INVALID = ("ValidationError", "ValidationException")


class SageMakerPredictor:
    """A model behind an endpoint of SageMaker; `client` is boto3's for sagemaker-runtime.

    SageMaker does not say which model predicts, but which of the endpoint's variants: all predictions of a task come
    from one variant, the address's where it names one.
    """

    def __init__(self, client: Any, model: Challenger, deployment: Deployment) -> None:
        limits = model.limits or Limits()
        self._client = client
        self._credentials = source_of(model.conn_id)
        self._name = model.model_key
        self._endpoint, _, self._variant = model.address.partition("/")
        self._target = {"TargetVariant": self._variant} if self._variant else {}
        self._features = deployment.requests.features
        self._classes = len(deployment.classes)
        self._seconds = limits.seconds
        self._call = Caller(self._name, limits.calls_per_second)
        self._chunks = ChunkedCalls(self._name, limits.rows)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return a prediction or an error for each row.

        Raises ModelError or TransientError for what is no fault of a row.
        """
        lines, errors = csv_lines(batch, self._features)
        shape = (batch.num_rows, self._classes) if self._classes else (batch.num_rows,)
        hidden = cache(partial(text_values, batch))

        def call(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
            body = b"".join(lines[row] for row in rows)
            if len(body) > LARGEST_CALL:
                raise TooLarge(f"the call is larger than the {LARGEST_CALL >> 20} MB that SageMaker takes")
            (kind, content), spent = self._call(lambda: self._invoke(body, hidden))
            return parse_predictions(kind, content, len(rows), self._classes), spent

        return self._chunks.predict(errors, shape, call)

    def _invoke(self, body: bytes, hidden: Callable[[], set[str]]) -> tuple[str, bytes]:
        """Return type and content of one response; raise what its failure stands for."""
        from botocore.exceptions import ClientError, ReadTimeoutError

        try:
            with translated(self._name, self._credentials, _RIGHTS, kind=ModelError):
                try:
                    response = self._client.invoke_endpoint(
                        EndpointName=self._endpoint, Body=body, ContentType=CSV, Accept=CSV, **self._target
                    )
                    content: bytes = response["Body"].read()
                except ReadTimeoutError:
                    raise TimedOut(f"no response within {self._seconds:g} s") from None
                except ClientError as error:
                    self._refuse(error, hidden)
                    raise
        except TransientError as error:
            raise RetryLater(str(error).removeprefix(f"{self._name}: "), busy=True) from error
        self._require_variant(str(response.get("InvokedProductionVariant") or ""))
        return str(response.get("ContentType") or ""), content

    def _refuse(self, error: Any, hidden: Callable[[], set[str]]) -> None:
        """Raise RowsRefused where the container failed, ModelError where SageMaker does not know the endpoint."""
        code, message = code_of(error), str(error.response.get("Error", {}).get("Message", ""))
        if code == "ModelError":
            status = error.response.get("OriginalStatusCode", "an error")
            words = excerpt(str(error.response.get("OriginalMessage") or ""), hidden())
            kind = TooLarge if status == 413 else RowsRefused
            raise kind(f"the container returns {status}{f': {words}' if words else ''}") from error
        if code in _INVALID:
            raise ModelError(
                f"{self._name}: {code}: {message} (credentials of {self._credentials}); create the endpoint, or "
                "correct its name in the address or region_name in the connection"
            ) from error

    def _require_variant(self, variant: str) -> None:
        if variant and self._variant and variant != self._variant:
            raise ModelError(
                f"{self._name}: variants {self._variant} and {variant} of the endpoint respond: evidence is of one "
                "model; put the variant into the address, as in sagemaker:ENDPOINT/VARIANT"
            )
        self._variant = variant or self._variant


def open_sagemaker(model: Challenger, deployment: Deployment) -> Predictor:
    """Return the model at sagemaker:ENDPOINT[/VARIANT] or sagemaker:transform/MODEL/INSTANCE_TYPE.

    Raises CredentialsError where the connection is not declared, ModelError where it cannot be used.
    """
    if model.is_transform:
        from shadow_deployment.integrations.sagemaker_transform import TransformPredictor

        return TransformPredictor(client_for("sagemaker", model), model, deployment)
    seconds = (model.limits or Limits()).seconds
    runtime = client_for("sagemaker-runtime", model, **ONCE, read_timeout=seconds)
    return SageMakerPredictor(runtime, model, deployment)


def client_for(service: str, model: Challenger, **settings: Any) -> Any:
    """Return boto3's client for a service of SageMaker, as `aws.client` does, with other settings."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    from shadow_deployment.integrations.connections import airflow_connection

    what, credentials = f"{model.model_key} cannot be opened", source_of(model.conn_id)
    if model.conn_id is not None:
        airflow_connection(model.conn_id)  # the hook would take other credentials for one that is not declared
    try:
        with translated(what, credentials, _RIGHTS, kind=ModelError):
            hook = AwsBaseHook(aws_conn_id=model.conn_id, client_type=service)
            return hook.get_client_type(config=Config(**(PATIENCE | settings)).merge(hook.config))
    except ValueError as error:  # an endpoint or a setting that boto3 refuses
        raise ModelError(f"{what}: {error} (credentials of {credentials}); correct the connection") from error
