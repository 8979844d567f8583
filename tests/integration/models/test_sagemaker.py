"""Models on SageMaker: the answers of the file itself, by an endpoint or by a batch transform, and clear refusals."""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import CredentialsError, DeploymentError, ModelError, ShadowError, TransientError
from shadow_deployment.integrations import s3_storage, sagemaker, sagemaker_transform
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.integrations.sagemaker import open_sagemaker
from shadow_deployment.models.loading import load
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.models.remote import calls
from shadow_deployment.models.remote.calls import RetryLimits, RowsRefused
from shadow_deployment.models.remote.records import csv_lines, parse_predictions
from shadow_deployment.pipeline import run
from tests import receivers
from tests.builders import a_deployment
from tests.integration.models.aws_server import Aws, Refusal, Rows, aws_server
from tests.production import World, day, linear_model
from tests.receivers import KEYS, REGION
from tests.unit.models.test_onnx import batch

FEATURES = ["dep_hour", "distance"]
WEIGHTS = {"dep_hour": 0.05, "distance": -0.0004}
_numbers = itertools.count(1)
_clients: dict[Any, Any] = {}
_make, _make_s3 = sagemaker.client_for, s3_storage.client


def logistic(rows: Rows) -> tuple[str, str]:
    """Answer as the ONNX model of the same weights does."""
    totals = [sum(w * float(x) for w, x in zip(WEIGHTS.values(), row, strict=True)) for row in rows]
    return "text/csv; charset=utf-8", "".join(f"{1 / (1 + math.exp(-total))!r}\n" for total in totals)


def client_for(service: str, model: Challenger, **patience: Any) -> Any:
    """Return the client that was made for the same connection before: to make one takes long."""
    declared = os.environ.get(f"AIRFLOW_CONN_{(model.conn_id or '').upper()}")
    key = (service, model.conn_id, declared, str(patience))
    if declared is None or key not in _clients:
        _clients[key] = _make(service, model, **patience)
    return _clients[key]


def client_for_s3(service: str, conn_id: str | None) -> Any:
    """Return S3's, likewise."""
    key = (service, os.environ.get(f"AIRFLOW_CONN_{(conn_id or '').upper()}"))
    if key not in _clients:
        _clients[key] = _make_s3(service, conn_id)
    return _clients[key]


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as found:
        yield found


@pytest.fixture
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(attempts=3, seconds=0.2, first=0.01, longest=0.1))
    monkeypatch.setattr(sagemaker, "client_for", client_for)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", server.connection())
    server.container, server.variant, server.seconds, server.always = logistic, "AllTraffic", 0.0, None
    for kept in (server.refusals, server.bodies, server.asked):
        kept.clear()
    return server


def predictor(
    address: str = "late", deployment: Deployment | None = None, conn_id: str | None = "models_aws", **limits: Any
) -> Any:
    model = Challenger(name="served", model=f"sagemaker:{address}", conn_id=conn_id, limits=limits or None)
    return open_sagemaker(model, deployment or a_deployment())


def flights(rows: int = 10) -> pa.RecordBatch:
    random = np.random.default_rng(rows)
    return batch(dep_hour=random.integers(5, 23, rows).astype(float), distance=random.normal(900, 400, rows))


def refusal(call: Callable[[], object], kind: type[ShadowError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_answers_of_an_endpoint_are_those_of_the_file(aws: Aws, tmp_path: Path) -> None:
    sent = flights(100)
    answers = predictor(rows=40).predict(sent)
    expected = OnnxPredictor(linear_model(tmp_path / "late.onnx", WEIGHTS).read_bytes(), FEATURES).predict(sent)
    assert_allclose(answers.values, expected.values, rtol=0, atol=1e-6)
    assert not answers.errors
    assert [body.count("\n") for body in aws.bodies] == [40, 40, 20]
    path, headers = aws.asked[0]
    assert path == "/endpoints/late/invocations"
    assert (headers["Content-Type"], headers["Accept"]) == ("text/csv", "text/csv")
    assert "X-Amzn-SageMaker-Target-Variant" not in headers
    assert answers.latency_ms is not None
    assert np.isfinite(answers.latency_ms).all()


def test_a_row_is_a_line_of_the_features_in_their_order() -> None:
    sent = batch(
        b=[True, False, None, True],
        a=[0.1, None, math.nan, math.inf],
        n=[2**53 + 1, None, -1, 0],
        t=['JFK "x", y', None, "two\nlines", ""],
        unused=[1, 2, 3, 4],
    )
    lines, errors = csv_lines(sent, ["a", "n", "b", "t"])
    assert lines[0] == b'0.1,9007199254740993,1,"JFK ""x"", y"\n'
    assert lines[1] == b",,0,\n"
    assert lines[2].startswith(b",-1,,")
    assert errors == {
        2: "feature t has a line break, which a line of CSV cannot hold",
        3: "feature a is infinite",
    }
    with pytest.raises(ModelError, match="feature d is date32"):
        csv_lines(batch(d=pa.array([1], pa.date32())), ["d"])


@pytest.mark.parametrize(
    ("kind", "body", "classes", "expected"),
    [
        ("text/csv", "0.25\n0.5\n", 0, [0.25, 0.5]),
        ("text/csv; charset=utf-8", "0.25,0.5", 0, [0.25, 0.5]),
        ("text/csv", "0.75,0.25\n0.5,0.5\n", 0, [0.25, 0.5]),
        ("text/csv", "0,0,1\r\n0.5,0.5,0\r\n", 3, [[0, 0, 1], [0.5, 0.5, 0]]),
        (
            "application/json",
            '{"predictions": [{"score": 0.25, "predicted_label": 0}, {"score": 0.5}]}',
            0,
            [0.25, 0.5],
        ),
        ("application/json", "[0.25, 0.5]", 0, [0.25, 0.5]),
        ("application/json", "[[0.75, 0.25], [0.5, 0.5]]", 0, [0.25, 0.5]),
        (
            "application/json",
            '{"predictions": [{"score": [0, 0, 1]}, {"score": [1, 0, 0]}]}',
            3,
            [[0, 0, 1], [1, 0, 0]],
        ),
        ("application/jsonlines", '{"score": 0.25}\n{"score": 0.5}\n', 0, [0.25, 0.5]),
    ],
)
def test_an_answer_is_read_as_containers_give_it(kind: str, body: str, classes: int, expected: list[Any]) -> None:
    assert parse_predictions(kind, body.encode(), 2, classes).tolist() == expected


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/csv", "0.25\n", "there are 1 predictions for 2 requests"),
        ("text/csv", "0.1\n0.2\n0.3\n", "there are 3 predictions for 2 requests"),
        ("text/csv", "", "there are 0 predictions for 2 requests"),
        ("text/csv", "0.1,0.2,0.7\n0.1,0.2,0.7\n", "must have probabilities of shape (n, 2)"),
        ("text/csv", "0.1\n0.2,0.3\n", "different numbers of columns"),
        ("text/csv", "no\nyes\n", "holds something else than numbers or scores"),
        ("application/json", "[true, false]", "holds something else"),
        ("application/json", '{"outputs": [1, 2]}', "holds something else"),
        ("application/json", '[{"label": 1}, {"label": 0}]', "holds something else"),
        ("application/json", "1", "holds something else"),
        ("application/json", "[" * 100_000, "holds something else"),
        ("application/x-recordio-protobuf", "\x00", "must be text/csv, application/json or application/jsonlines"),
        ("", "0.1\n0.2", "of no type"),
    ],
)
def test_an_answer_that_is_none_is_refused(kind: str, body: str, text: str) -> None:
    with pytest.raises(RowsRefused) as caught:
        parse_predictions(kind, body.encode(), 2, 0)
    assert text in str(caught.value)


def test_a_row_on_which_the_container_fails_is_found(aws: Aws) -> None:
    failed = Refusal(
        424, "ModelError", "see the log", {"OriginalStatusCode": 500, "OriginalMessage": "cannot 'JFK' 37.0"}
    )
    numbers = [float(one) for one in range(8)]

    class Poisoned(list[Any]):
        def __bool__(self) -> bool:
            return True

        def pop(self, _: Any = None) -> Refusal | None:
            return failed if "5.0" in aws.bodies[-1] else None

    aws.refusals = Poisoned()
    answers = predictor(rows=4).predict(batch(dep_hour=numbers, distance=[9.0] * 8))
    assert answers.errors == {5: "the container returns 500: cannot … …"}
    assert [body.count("\n") for body in aws.bodies] == [4, 4, 2, 1, 1, 2]


def test_calls_that_are_too_large_are_halved(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.refusals = [Refusal(424, "ModelError", more={"OriginalStatusCode": 413})]
    assert not predictor(rows=4).predict(flights(8)).errors
    assert [body.count("\n") for body in aws.bodies] == [4, 2, 2, 2, 2]
    monkeypatch.setattr("shadow_deployment.integrations.sagemaker.LARGEST_CALL", 100)
    aws.bodies.clear()
    content = {name: ["a" * 40, "b" * 40, "c" * 200] for name in FEATURES}
    aws.container = lambda rows: ("text/csv", "\n".join("0.5" for _ in rows))
    answers = predictor(rows=4).predict(batch(**content))
    assert list(answers.errors) == [2]
    assert "larger than the" in answers.errors[2]
    assert max(map(len, aws.bodies)) <= 100


@pytest.mark.parametrize(
    "busy",
    [
        Refusal(400, "ThrottlingException"),
        Refusal(503, "ServiceUnavailable"),
        Refusal(429, "ModelNotReadyException"),
        Refusal(500, "InternalFailure"),
    ],
)
def test_what_passes_is_waited_for_and_then_left_to_a_later_try(aws: Aws, busy: Refusal) -> None:
    one = predictor()
    aws.refusals = [busy, busy]
    assert not one.predict(flights(3)).errors
    assert len(aws.bodies) == 3
    aws.always = busy
    aws.bodies.clear()
    said = refusal(lambda: one.predict(flights(3)), TransientError)
    assert busy.code in said
    assert said.endswith(f"{len(aws.bodies)} times")  # boto3 does not try again by itself, beside the rate
    assert said.count("challenger served") == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Refusal(400, "ValidationError", "Endpoint late of account 1 not found."), "create the endpoint, or correct"),
        (Refusal(403, "AccessDeniedException", "not authorized"), "allow sagemaker:InvokeEndpoint on the endpoint"),
        (Refusal(403, "ExpiredTokenException", "expired"), "renew the session's credentials"),
        (Refusal(403, "UnrecognizedClientException", "The token is invalid"), "see what AWS says of this code"),
        (Refusal(403, "InvalidSignatureException", "bad"), "see what AWS says of this code"),
    ],
)
def test_what_aws_refuses_ends_the_task_and_says_what_to_do(aws: Aws, answer: Refusal, text: str) -> None:
    aws.always = answer
    said = refusal(lambda: predictor().predict(flights(600)))
    assert answer.code in said
    assert answer.message in said
    assert text in said
    assert "credentials of connection models_aws" in said
    assert len(aws.bodies) == 1


def test_without_credentials_connection_or_region_no_call_is_made(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "connection nowhere is not declared" in refusal(lambda: predictor(conn_id="nowhere"), CredentialsError)
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", aws.connection(endpoint_url="no address"))
    assert "cannot be opened" in refusal(predictor)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    assert "region" in refusal(lambda: predictor(conn_id=None))
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert "Unable to locate credentials" in refusal(lambda: predictor(conn_id=None).predict(flights(1)))
    assert aws.bodies == []


def test_a_call_has_its_seconds(aws: Aws) -> None:
    aws.seconds = 120.0
    one = predictor(seconds=0.1)
    assert "no response within 0.1 s" in refusal(lambda: one.predict(flights(1)), TransientError)


def test_two_variants_are_two_models(aws: Aws) -> None:
    predictor("late/blue", rows=5)
    aws.variant = "blue"
    assert not predictor("late/blue").predict(flights(1)).errors
    assert aws.asked[-1][1]["X-Amzn-SageMaker-Target-Variant"] == "blue"
    assert "variants green and blue" in refusal(lambda: predictor("late/green").predict(flights(1)))
    one = predictor()
    assert not one.predict(flights(1)).errors
    aws.variant = "green"
    said = refusal(lambda: one.predict(flights(1)))
    assert "variants blue and green of the endpoint respond: evidence is of one model" in said


def test_a_program_without_the_cloud_says_so(worlds: Callable[..., World]) -> None:
    shadow = worlds().shadow(challengers=[{"name": "served", "model": "sagemaker:late"}])
    model = shadow.deployment.challengers[0]
    said = refusal(lambda: load(shadow, model, window_of(shadow.deployment, day(0))), DeploymentError)
    assert "model == 'sagemaker:late'" in said
    assert "shadow_deployment.integrations.cloud" in said


def evidence_of(world: World, name: str) -> Any:
    evidence = world.evidence()
    return evidence[evidence["challenger"] == name].drop(columns=["challenger", "digest"]).reset_index(drop=True)


def require_same_evidence(world: World) -> None:
    filed, served = evidence_of(world, "filed"), evidence_of(world, "served")
    numbers = filed.select_dtypes("number").columns
    assert len(filed) == len(served) > 10
    assert_allclose(served[numbers].to_numpy(float), filed[numbers].to_numpy(float), rtol=0, atol=1e-6)


def test_the_evidence_of_an_endpoint_is_that_of_the_file(
    aws: Aws, tmp_path: Path, worlds: Callable[..., World]
) -> None:
    world, path = worlds(), linear_model(tmp_path / "late.onnx", WEIGHTS)
    served = {"name": "served", "model": "sagemaker:late", "conn_id": "models_aws", "limits": {"rows": 7}}
    shadow = world.shadow(challengers=[{"name": "filed", "model": f"onnx:{path}"}, served])
    assert not run.run_day(replace(shadow, cloud=AwsCloud()), day(0))
    require_same_evidence(world)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of SageMaker and S3 in memory."""
    with receivers.aws() as endpoint:
        yield endpoint


def test_canned_answers_of_moto_are_read(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    results = [{"Body": "0.25\n0.5\n", "ContentType": "text/csv", "InvokedProductionVariant": "AllTraffic"}]
    content = {"region": REGION, "results": results}
    httpx.post(f"{moto}/moto-api/static/sagemaker/endpoint-results", json=content, timeout=120).raise_for_status()
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", Aws(port=int(moto.rpartition(":")[2])).connection())
    assert predictor().predict(flights(2)).values.tolist() == [0.25, 0.5]


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
        return [one["Key"] for one in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

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
        found.started.append(named)
        job.transform_job_status, job.failure_reason = found.status, found.reason
        if found.status == "Completed":
            found.play(job)
        return job

    found = Jobs(moto)
    monkeypatch.setattr(SageMakerModelBackend, "create_transform_job", played)
    monkeypatch.setattr(sagemaker, "client_for", client_for)
    monkeypatch.setattr(s3_storage, "client", client_for_s3)
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", Aws(port=int(moto.rpartition(":")[2])).connection())
    return found


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
    said = refusal(lambda: transforming(jobs, timeout_minutes=2).predict(flights(2)), TransientError)
    assert "is InProgress after 2 minutes; the next try waits for the same job" in said


def test_a_job_that_fails_ends_the_task_and_another_try_is_another_job(jobs: Jobs) -> None:
    jobs.status, jobs.reason = "Failed", "AlgorithmError: no column 7"
    sent, one = flights(5), transforming(jobs)
    for number in range(3):
        said = refusal(lambda: one.predict(sent))
        assert f"-{number} is Failed: AlgorithmError: no column …; see its log in CloudWatch" in said
    assert "3 transform jobs have failed on this shard" in refusal(lambda: one.predict(sent))
    assert len(jobs.started) == 3


def test_a_job_after_one_that_failed_has_a_folder_of_its_own(jobs: Jobs) -> None:
    jobs.status = "Stopped"
    refusal(lambda: transforming(jobs).predict(flights(5)))
    jobs.status = "Completed"
    assert not transforming(jobs).predict(flights(5)).errors
    assert [one["transform_output"]["S3OutputPath"][-8:] for one in jobs.started] == ["output-0", "output-1"]


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
    said = refusal(lambda: a_deployment(challengers=[model]), DeploymentError)
    assert "must be s3://BUCKET/PREFIX where challengers[0] is a batch transform" in said
    said = refusal(lambda: a_deployment(challengers=[{**model, "limits": {"rows": 5}}]), DeploymentError)
    assert "challengers[0].limits does not apply to a batch transform" in said


def test_what_sagemaker_refuses_is_reported(jobs: Jobs, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER_AWS", aws.connection())
    aws.always = Refusal(400, "AccessDeniedException", "not authorized")
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", Aws(port=int(jobs.endpoint.rpartition(":")[2])).connection())
    store = {"conn_id": "shadow_db", "snapshots": f"s3://{jobs.bucket}/late", "snapshots_conn_id": "store_aws"}
    one = predictor("transform/late/ml.m5.large", a_deployment(store=store), "other_aws")
    said = refusal(lambda: one.predict(flights(2)))
    assert "allow sagemaker:CreateTransformJob and sagemaker:DescribeTransformJob" in said


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
    assert ([one.num_rows for one in tables], len(jobs.started)) == ([10], 1)
    assert isinstance(transforming(jobs).predict(flights(1)), Predictions)
