"""SageMaker models for large days: a whole shard in one batch transform job, which reads and writes S3.

The job's name is a digest of its input, so that a task that was killed and is retried waits for the same job, and no
shard is paid for twice.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from shadow_deployment.base.redaction import excerpt
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError, SnapshotError, TransientError
from shadow_deployment.integrations.aws import code_of, source_of, translated
from shadow_deployment.integrations.s3_storage import open_s3
from shadow_deployment.models.model_words import text_values
from shadow_deployment.models.remote.calls import RowsRefused
from shadow_deployment.models.remote.records import CSV, csv_lines, parse_predictions

POLL_SECONDS = 15.0
ATTEMPTS = 3
_ROWS = 1_000_000
_PAYLOAD_MB = 6
_RIGHTS = "allow sagemaker:CreateTransformJob and sagemaker:DescribeTransformJob"
_FAILED = ("Failed", "Stopped")
_UNKNOWN = ("ResourceNotFound", "ValidationException", "ValidationError")


class TransformPredictor:
    """A SageMaker model that predicts a shard in one job; `client` is boto3's for sagemaker.

    Requests and predictions lie below `transform/` of the snapshots' store, which must be on S3. Latency is the job's
    time divided by its rows: its throughput, not how long one request waits. Only what CSV cannot hold is an error of
    a row: a job that fails ends the task.
    """

    batch_rows = _ROWS

    def __init__(self, client: Any, model: Challenger, deployment: Deployment) -> None:
        self._client = client
        self._name = model.model_key
        self._credentials = source_of(model.conn_id)
        self._address = model.address
        _, self._model, self._instance = model.address.split("/")
        self._features = deployment.requests.features
        self._classes = len(deployment.classes)
        self._timeout_seconds = deployment.timeout_minutes * 60
        store = deployment.store
        if not store.snapshots.startswith("s3://"):
            raise ModelError(
                f"{self._name}: store.snapshots == {store.snapshots!r}, must be s3://BUCKET/PREFIX: a batch transform "
                "reads and writes S3"
            )
        self._store = open_s3(store.snapshots, store.snapshots_conn_id)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Predict each row in one job; raise ModelError where it fails, TransientError where it takes too long."""
        lines, errors = csv_lines(batch, self._features)
        rows = np.array([row for row in range(batch.num_rows) if row not in errors], np.int64)
        values = np.full((batch.num_rows, self._classes) if self._classes else batch.num_rows, np.nan)
        latency = np.full(batch.num_rows, np.nan)
        if not len(rows):
            return Predictions(values, errors, latency)
        body = b"".join(lines[row] for row in rows)
        digest = hashlib.sha256(b"\0".join([str(self._store).encode(), self._address.encode(), body])).hexdigest()[:40]
        folder = f"transform/{digest}"
        if not self._store.exists(f"{folder}/requests.csv"):
            with self._store.writing(f"{folder}/requests.csv") as file:
                file.write(body)
        job, output = self._completed_job(digest, folder, batch)
        try:
            content = self._store.path(f"{output}/requests.csv.out").read_bytes()
            values[rows] = parse_predictions(CSV, content, len(rows), self._classes)
        except (SnapshotError, RowsRefused) as error:
            raise ModelError(
                f"{self._name}: transform job {job['TransformJobName']} is completed, but {error}"
            ) from error
        latency[rows] = _milliseconds(job) / len(rows)
        return Predictions(values, errors, latency)

    def _completed_job(self, digest: str, folder: str, batch: pa.RecordBatch) -> tuple[Mapping[str, Any], str]:
        """Return the completed job and the folder of its output; each job that failed before has used up a name."""
        reason = ""
        for attempt in range(ATTEMPTS):
            name, output = f"shadow-{digest}-{attempt}", f"{folder}/output-{attempt}"
            previous = self._describe(name)
            if previous is not None and previous["TransformJobStatus"] in _FAILED:
                reason = self._reason(previous, batch)
                continue
            if previous is None:
                self._create(name, folder, output)
            job = self._wait(name)
            if job["TransformJobStatus"] in _FAILED:
                raise ModelError(
                    f"{self._name}: transform job {name} {self._reason(job, batch)}; see its log in CloudWatch, and "
                    "clear the task to start another"
                )
            return job, output
        raise ModelError(
            f"{self._name}: {ATTEMPTS} transform jobs have failed on this shard, the last, shadow-{digest}-"
            f"{ATTEMPTS - 1}, {reason}; correct the model and give it another name"
        )

    def _wait(self, name: str) -> Mapping[str, Any]:
        """Return a job once it has completed or failed; raise TransientError after the deployment's timeout."""
        polling: Any = Retrying(
            retry=retry_if_result(lambda job: not job or job["TransformJobStatus"] not in ("Completed", *_FAILED)),
            wait=wait_fixed(POLL_SECONDS),
            stop=stop_after_delay(self._timeout_seconds),
        )
        try:
            job: Mapping[str, Any] = polling(self._describe, name)
        except RetryError as error:
            last = error.last_attempt.result()
            status = last["TransformJobStatus"] if last else "unknown yet"
            raise TransientError(
                f"{self._name}: transform job {name} is {status} after {self._timeout_seconds / 60:g} minutes; the "
                "next try waits for the same job, for up to timeout_minutes"
            ) from error
        return job

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        """Return SageMaker's description of a job; None where there is none."""
        from botocore.exceptions import ClientError

        with translated(f"{self._name}: transform job {name}", self._credentials, _RIGHTS, kind=ModelError):
            try:
                job: Mapping[str, Any] = self._client.describe_transform_job(TransformJobName=name)
            except ClientError as error:
                if code_of(error) in _UNKNOWN and "could not find" in str(error).lower():
                    return None
                raise
        return job

    def _create(self, name: str, folder: str, output: str) -> None:
        """Start a job, unless a concurrent attempt has just done so."""
        from botocore.exceptions import ClientError

        source = {"S3DataType": "S3Prefix", "S3Uri": f"{self._store}/{folder}/requests.csv"}
        with translated(f"{self._name}: transform job {name}", self._credentials, _RIGHTS, kind=ModelError):
            try:
                self._client.create_transform_job(
                    TransformJobName=name,
                    ModelName=self._model,
                    BatchStrategy="MultiRecord",
                    MaxPayloadInMB=_PAYLOAD_MB,
                    TransformInput={"DataSource": {"S3DataSource": source}, "ContentType": CSV, "SplitType": "Line"},
                    TransformOutput={"S3OutputPath": f"{self._store}/{output}", "Accept": CSV, "AssembleWith": "Line"},
                    TransformResources={"InstanceType": self._instance, "InstanceCount": 1},
                )
            except ClientError as error:
                if code_of(error) != "ResourceInUse":
                    raise

    def _reason(self, job: Mapping[str, Any], batch: pa.RecordBatch) -> str:
        words = excerpt(str(job.get("FailureReason") or ""), text_values(batch))
        return f"is {job['TransformJobStatus']}{f': {words}' if words else ''}"


def _milliseconds(job: Mapping[str, Any]) -> float:
    began, ended = job.get("TransformStartTime"), job.get("TransformEndTime")
    return (ended - began).total_seconds() * 1000 if began and ended else 0.0
