"""A model behind batch transform: the answers and evidence of the file itself, a job for each shard."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import DeploymentError, TransientError
from shadow_deployment.integrations import s3_storage, sagemaker, sagemaker_transform
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.pipeline import run
from tests.builders import a_deployment
from tests.integration.models.aws_server import Aws, Refusal, Rows
from tests.integration.models.sagemaker.asking import (
    FEATURES,
    WEIGHTS,
    _numbers,
    client_for,
    client_for_s3,
    flights,
    logistic,
    predictor,
    refusal,
    require_same_evidence,
)
from tests.production import World, day, linear_model
from tests.receivers import KEYS, REGION
from tests.unit.models.test_onnx import batch


class Jobs:
    """SageMaker and S3 of moto; `plays` is the container of its batch transform jobs, which moto does not run."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        self.endpoint = endpoint
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **KEYS)
        self.bucket = f"snapshots-of-late-{next(_numbers)}"
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.plays: Callable[[Rows], tuple[str, str] | None] = logistic
        self.status = "Completed"
        self.reason = ""
        self.started: list[dict[str, Any]] = []

    def named(self) -> list[str]:
        """Return the keys of the bucket."""
        return [content["Key"] for content in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def play(self, job: Any) -> None:
        """Do what the container would: read lines, write a line for each."""
        source = job.transform_input["DataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{self.bucket}/")
        body = self.s3.get_object(Bucket=self.bucket, Key=source)["Body"].read().decode()
        answer = self.plays([line.split(",") for line in body.splitlines()])
        folder = job.transform_output["S3OutputPath"].removeprefix(f"s3://{self.bucket}/")
        if answer is not None:
            key = f"{folder}/{source.rpartition('/')[2]}.out"
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=answer[1].encode())


@pytest.fixture
def jobs(moto: str, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    from moto.sagemaker.models import SageMakerModelBackend

    monkeypatch.setattr(sagemaker_transform, "POLL_SECONDS", 0.01)
    create = SageMakerModelBackend.create_transform_job

    def played(self: Any, *arguments: Any, **named: Any) -> Any:
        job = create(self, *arguments, **named)
        jobs.started.append(named)
        job.transform_job_status, job.failure_reason = jobs.status, jobs.reason
        if jobs.status == "Completed":
            jobs.play(job)
        return job

    jobs = Jobs(moto)
    monkeypatch.setattr(SageMakerModelBackend, "create_transform_job", played)
    monkeypatch.setattr(sagemaker, "client_for", client_for)
    monkeypatch.setattr(s3_storage, "client", client_for_s3)
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", Aws(port=int(moto.rpartition(":")[2])).connection())
    return jobs


def transforming(jobs: Jobs, **changes: Any) -> Any:
    store = {"conn_id": "shadow_db", "snapshots": f"s3://{jobs.bucket}/late", "snapshots_conn_id": "models_aws"}
    return predictor("transform/late-model/ml.m5.large", a_deployment(store=store, **changes))


def known() -> dict[str, Any]:
    """Return moto's own record of its jobs."""
    from moto.sagemaker.models import sagemaker_backends

    return sagemaker_backends["123456789012"][REGION].transform_jobs


def test_a_shard_is_answered_by_one_job(jobs: Jobs, tmp_path: Path) -> None:
    sent = flights(300)
    answers = transforming(jobs).predict(sent)
    expected = OnnxPredictor(linear_model(tmp_path / "late.onnx", WEIGHTS).read_bytes(), FEATURES).predict(sent)
    assert_allclose(answers.values, expected.values, rtol=0, atol=1e-6)
    assert not answers.errors
    (asked,) = jobs.started
    (folder,) = {key.rpartition("/requests.csv")[0] for key in jobs.named() if key.endswith("requests.csv")}
    assert asked["model_name"] == "late-model"
    assert asked["transform_resources"] == {"InstanceType": "ml.m5.large", "InstanceCount": 1}
    assert asked["transform_input"]["SplitType"] == "Line"
    assert asked["transform_output"] == {
        "S3OutputPath": f"s3://{jobs.bucket}/{folder}/output-0",
        "Accept": "text/csv",
        "AssembleWith": "Line",
    }
    assert asked["transform_job_name"] == f"shadow-{folder.rpartition('/')[2]}-0"
    assert len(asked["transform_job_name"]) <= 63


def test_a_row_that_csv_cannot_hold_is_left_out_and_the_others_keep_their_answers(jobs: Jobs) -> None:
    hours = [1.0, math.inf, 3.0]
    answers = transforming(jobs).predict(batch(dep_hour=hours, distance=[0.0, 0.0, 0.0]))
    assert answers.errors == {1: "feature dep_hour is infinite"}
    assert_allclose(answers.values[[0, 2]], [1 / (1 + math.exp(-0.05)), 1 / (1 + math.exp(-0.15))])
    assert not transforming(jobs).predict(batch(dep_hour=[math.inf], distance=[0.0])).values[0] < 1
    assert len(jobs.started) == 1


def test_a_task_that_is_killed_and_runs_again_waits_for_the_same_job(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException): ...

    def killed(seconds: float) -> None:
        raise KilledError

    jobs.status = "InProgress"
    sent = flights(20)
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", killed)
        with pytest.raises(KilledError):
            transforming(jobs).predict(sent)
    (name,) = [one["transform_job_name"] for one in jobs.started]

    def finish(seconds: float) -> None:
        job = known()[name]
        job.transform_job_status = "Completed"
        jobs.play(job)

    monkeypatch.setattr(time, "sleep", finish)
    assert not transforming(jobs).predict(sent).errors
    assert len(jobs.started) == 1
    again = transforming(jobs).predict(sent)
    assert not again.errors
    assert len(jobs.started) == 1


def test_a_job_that_is_not_done_in_time_is_left_to_a_later_try(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    jobs.status = "InProgress"
    message = refusal(lambda: transforming(jobs, timeout_minutes=2).predict(flights(2)), TransientError)
    assert "is InProgress after 2 minutes; the next try waits for the same job" in message


def test_a_job_that_fails_ends_the_task_and_another_try_is_another_job(jobs: Jobs) -> None:
    jobs.status, jobs.reason = "Failed", "AlgorithmError: no column 7"
    sent, model = flights(5), transforming(jobs)
    for number in range(3):
        message = refusal(lambda: model.predict(sent))
        assert f"-{number} is Failed: AlgorithmError: no column …; see its log in CloudWatch" in message
    assert "3 transform jobs have failed on this shard" in refusal(lambda: model.predict(sent))
    assert len(jobs.started) == 3


def test_a_job_after_one_that_failed_has_a_folder_of_its_own(jobs: Jobs) -> None:
    jobs.status = "Stopped"
    refusal(lambda: transforming(jobs).predict(flights(5)))
    jobs.status = "Completed"
    assert not transforming(jobs).predict(flights(5)).errors
    assert [job["transform_output"]["S3OutputPath"][-8:] for job in jobs.started] == ["output-0", "output-1"]


@pytest.mark.parametrize(
    ("plays", "text"),
    [
        (lambda rows: None, "is completed, but"),
        (lambda rows: ("", "0.5\n"), "is completed, but there are 1 predictions for 5 requests"),
        (lambda rows: ("", "a\n" * 5), "is completed, but the response is text/csv, but holds something else"),
    ],
)
def test_answers_that_are_missing_or_too_few_end_the_task(jobs: Jobs, plays: Any, text: str) -> None:
    jobs.plays = plays
    assert text in refusal(lambda: transforming(jobs).predict(flights(5)))


@pytest.mark.parametrize(
    ("address", "is_right"),
    [
        ("late", True),
        ("late-2024/AllTraffic", True),
        ("transform/late/ml.m5.large", True),
        ("transform/late", False),
        ("transform/late/m5", False),
        ("late/", False),
        ("-late", False),
        ("a/b/c", False),
        ("arn:aws:sagemaker:eu-central-1:1:endpoint/late", False),
    ],
)
def test_an_address_names_an_endpoint_or_a_model_and_its_machine(address: str, is_right: bool) -> None:
    if is_right:
        assert Challenger(name="served", model=f"sagemaker:{address}").is_transform == address.startswith("transform/")
    else:
        with pytest.raises(
            ValueError, match=r"must be sagemaker:ENDPOINT\[/VARIANT\] or sagemaker:transform/MODEL/INST"
        ):
            Challenger(name="served", model=f"sagemaker:{address}")


def test_a_transform_without_a_bucket_is_refused_where_it_is_declared() -> None:
    model = {"name": "served", "model": "sagemaker:transform/late/ml.m5.large"}
    message = refusal(lambda: a_deployment(challengers=[model]), DeploymentError)
    assert "must be s3://BUCKET/PREFIX where challengers[0] is a batch transform" in message
    message = refusal(lambda: a_deployment(challengers=[{**model, "limits": {"rows": 5}}]), DeploymentError)
    assert "challengers[0].limits does not apply to a batch transform" in message


def test_what_sagemaker_refuses_is_reported(jobs: Jobs, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER_AWS", aws.connection())
    aws.always = Refusal(400, "AccessDeniedException", "not authorized")
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", Aws(port=int(jobs.endpoint.rpartition(":")[2])).connection())
    store = {"conn_id": "shadow_db", "snapshots": f"s3://{jobs.bucket}/late", "snapshots_conn_id": "store_aws"}
    transform = predictor("transform/late/ml.m5.large", a_deployment(store=store), "other_aws")
    message = refusal(lambda: transform.predict(flights(2)))
    assert "allow sagemaker:CreateTransformJob and sagemaker:DescribeTransformJob" in message


def test_the_evidence_of_a_transform_is_that_of_the_file(
    jobs: Jobs, tmp_path: Path, worlds: Callable[..., World]
) -> None:
    world, path = worlds(), linear_model(tmp_path / "late.onnx", WEIGHTS)
    served = {"name": "served", "model": "sagemaker:transform/late/ml.m5.large", "conn_id": "models_aws"}
    shadow = world.shadow(
        challengers=[{"name": "filed", "model": f"onnx:{path}"}, served],
        store={"snapshots": f"s3://{jobs.bucket}/late", "snapshots_conn_id": "models_aws"},
    )
    assert not run.run_day(replace(shadow, cloud=AwsCloud()), day(0))
    require_same_evidence(world)
    assert len(jobs.started) == len(world.query("SELECT 1 FROM shadow.scoring")) / 2 == 3


def test_a_shard_is_shown_at_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    import pyarrow.parquet as pq

    from shadow_deployment.pipeline.challengers import scoring

    monkeypatch.setattr(scoring, "BATCH_ROWS", 4)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([flights(10)]), file)
    tables = list(scoring.score(transforming(jobs), pq.ParquetFile(file), 0, FEATURES))
    assert ([table.num_rows for table in tables], len(jobs.started)) == ([10], 1)
    assert isinstance(transforming(jobs).predict(flights(1)), Predictions)
