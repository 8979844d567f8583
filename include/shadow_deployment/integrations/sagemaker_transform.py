"""Models on SageMaker for large days: a shard at once, by a batch transform job that reads and writes S3.

The job's name is made of what it is asked, so that a task that is killed and runs again waits for the same job, and a
shard that was answered is not paid for twice.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError, SnapshotError, TransientError
from shadow_deployment.integrations.aws import code_of, source_of, translated
from shadow_deployment.integrations.s3_storage import open_s3
from shadow_deployment.models.remote.calls import Refused, excerpt, texts
from shadow_deployment.models.remote.records import CSV, read, written

GLANCE_SECONDS = 15.0
ATTEMPTS = 3
_ROWS = 1_000_000
_PAYLOAD_MB = 6
_RIGHTS = "allow sagemaker:CreateTransformJob and sagemaker:DescribeTransformJob"
_ENDED = ("Failed", "Stopped")
_UNKNOWN = ("ResourceNotFound", "ValidationException", "ValidationError")


class TransformPredictor:
    """A model of SageMaker's that answers a shard in one job; `client` is boto3's for sagemaker.

    Requests and answers lie below `transform/` of the snapshots' store, which must be on S3. Latency is the time of the
    job divided by its rows: how much it gets done, not how long one request waits. Nothing here is an error of a row
    but what CSV cannot hold: a job that fails ends the task.
    """

    batch_rows = _ROWS

    def __init__(self, client: Any, model: Challenger, deployment: Deployment) -> None:
        self._client = client
        self._name = f"challenger {model.name}: model == {model.model!r}"
        self._credentials = source_of(model.conn_id)
        self._address = model.address
        _, self._model, self._instance = model.address.split("/")
        self._features = deployment.requests.features
        self._classes = len(deployment.classes)
        self._patience = deployment.timeout_minutes * 60
        store = deployment.store
        if not store.snapshots.startswith("s3://"):
            raise ModelError(
                f"{self._name}: store.snapshots == {store.snapshots!r}, must be s3://BUCKET/PREFIX: a batch transform "
                "reads and writes S3"
            )
        self._store = open_s3(store.snapshots, store.snapshots_conn_id)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Answer each row by one job; raise ModelError where it fails, TransientError where it is not done in time."""
        lines, errors = written(batch, self._features)
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
        job, answers = self._finished(digest, folder, batch)
        try:
            content = self._store.path(f"{answers}/requests.csv.out").read_bytes()
            values[rows] = read(CSV, content, len(rows), self._classes)
        except (SnapshotError, Refused) as error:
            raise ModelError(
                f"{self._name}: transform job {job['TransformJobName']} is completed, but {error}"
            ) from error
        latency[rows] = _milliseconds(job) / len(rows)
        return Predictions(values, errors, latency)

    def _finished(self, digest: str, folder: str, batch: pa.RecordBatch) -> tuple[Mapping[str, Any], str]:
        """Return the job that has answered, and the folder of its answers; a job that failed before is not asked again.

        A name is taken for ever, so that another attempt is another job.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            name, answers = f"shadow-{digest}-{attempt}", f"{folder}/answers-{attempt}"
            found = self._described(name)
            if found is not None and found["TransformJobStatus"] in _ENDED:
                reason = self._reason(found, batch)
                continue
            if found is None:
                self._create(name, folder, answers)
            job = self._awaited(name)
            if job["TransformJobStatus"] in _ENDED:
                raise ModelError(
                    f"{self._name}: transform job {name} {self._reason(job, batch)}; see its log in CloudWatch, and "
                    "clear the task to start another"
                )
            return job, answers
        raise ModelError(
            f"{self._name}: {ATTEMPTS} transform jobs have failed on this shard, the last, shadow-{digest}-"
            f"{ATTEMPTS - 1}, {reason}; correct the model and give it another name"
        )

    def _awaited(self, name: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._patience
        while True:
            job = self._described(name)
            status = job["TransformJobStatus"] if job else "unknown yet"
            if job and status in ("Completed", *_ENDED):
                return job
            if time.monotonic() >= deadline:
                raise TransientError(
                    f"{self._name}: transform job {name} is {status} after {self._patience / 60:g} minutes; the next "
                    "try waits for the same job, and timeout_minutes says how long"
                )
            time.sleep(GLANCE_SECONDS)

    def _described(self, name: str) -> Mapping[str, Any] | None:
        """Return what SageMaker knows of a job; None where there is none."""
        from botocore.exceptions import ClientError

        with translated(f"{self._name}: transform job {name}", self._credentials, _RIGHTS, kind=ModelError):
            try:
                found: Mapping[str, Any] = self._client.describe_transform_job(TransformJobName=name)
            except ClientError as error:
                if code_of(error) in _UNKNOWN and "could not find" in str(error).lower():
                    return None
                raise
        return found

    def _create(self, name: str, folder: str, answers: str) -> None:
        """Start a job, unless another try has just done so."""
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
                    TransformOutput={"S3OutputPath": f"{self._store}/{answers}", "Accept": CSV, "AssembleWith": "Line"},
                    TransformResources={"InstanceType": self._instance, "InstanceCount": 1},
                )
            except ClientError as error:
                if code_of(error) != "ResourceInUse":
                    raise

    def _reason(self, job: Mapping[str, Any], batch: pa.RecordBatch) -> str:
        said = excerpt(str(job.get("FailureReason") or ""), texts(batch))
        return f"is {job['TransformJobStatus']}{f': {said}' if said else ''}"


def _milliseconds(job: Mapping[str, Any]) -> float:
    began, ended = job.get("TransformStartTime"), job.get("TransformEndTime")
    return (ended - began).total_seconds() * 1000 if began and ended else 0.0
