"""A model behind an endpoint: the answers and evidence of the file itself, and clear refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.config.window import window_of
from shadow_deployment.errors import CredentialsError, DeploymentError, TransientError
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.models.loading import load
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.pipeline import run
from tests.integration.models.aws_server import Aws, Refusal
from tests.integration.models.sagemaker.asking import (
    FEATURES,
    WEIGHTS,
    flights,
    predictor,
    refusal,
    require_same_evidence,
)
from tests.production import World, day, linear_model
from tests.receivers import REGION
from tests.unit.models.test_onnx import batch


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


def test_a_row_on_which_the_container_fails_is_found(aws: Aws) -> None:
    failed = Refusal(
        424, "ModelError", "see the log", {"OriginalStatusCode": 500, "OriginalMessage": "cannot 'JFK' 37.0"}
    )
    numbers = [float(row) for row in range(8)]

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
    model = predictor()
    aws.refusals = [busy, busy]
    assert not model.predict(flights(3)).errors
    assert len(aws.bodies) == 3
    aws.always = busy
    aws.bodies.clear()
    message = refusal(lambda: model.predict(flights(3)), TransientError)
    assert busy.code in message
    assert message.endswith(f"{len(aws.bodies)} times")  # boto3 does not try again by itself, beside the rate
    assert message.count("challenger served") == 1


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
    message = refusal(lambda: predictor().predict(flights(600)))
    assert answer.code in message
    assert answer.message in message
    assert text in message
    assert "credentials of connection models_aws" in message
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
    model = predictor(seconds=0.1)
    assert "no response within 0.1 s" in refusal(lambda: model.predict(flights(1)), TransientError)


def test_two_variants_are_two_models(aws: Aws) -> None:
    predictor("late/blue", rows=5)
    aws.variant = "blue"
    assert not predictor("late/blue").predict(flights(1)).errors
    assert aws.asked[-1][1]["X-Amzn-SageMaker-Target-Variant"] == "blue"
    assert "variants green and blue" in refusal(lambda: predictor("late/green").predict(flights(1)))
    model = predictor()
    assert not model.predict(flights(1)).errors
    aws.variant = "green"
    message = refusal(lambda: model.predict(flights(1)))
    assert "variants blue and green of the endpoint respond: evidence is of one model" in message


def test_a_program_without_the_cloud_says_so(worlds: Callable[..., World]) -> None:
    shadow = worlds().shadow(challengers=[{"name": "served", "model": "sagemaker:late"}])
    model = shadow.deployment.challengers[0]
    message = refusal(lambda: load(shadow, model, window_of(shadow.deployment, day(0))), DeploymentError)
    assert "model == 'sagemaker:late'" in message
    assert "shadow_deployment.integrations.cloud" in message


def test_the_evidence_of_an_endpoint_is_that_of_the_file(
    aws: Aws, tmp_path: Path, worlds: Callable[..., World]
) -> None:
    world, path = worlds(), linear_model(tmp_path / "late.onnx", WEIGHTS)
    served = {"name": "served", "model": "sagemaker:late", "conn_id": "models_aws", "limits": {"rows": 7}}
    shadow = world.shadow(challengers=[{"name": "filed", "model": f"onnx:{path}"}, served])
    assert not run.run_day(replace(shadow, cloud=AwsCloud()), day(0))
    require_same_evidence(world)


def test_canned_answers_of_moto_are_read(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    results = [{"Body": "0.25\n0.5\n", "ContentType": "text/csv", "InvokedProductionVariant": "AllTraffic"}]
    content = {"region": REGION, "results": results}
    httpx.post(f"{moto}/moto-api/static/sagemaker/endpoint-results", json=content, timeout=120).raise_for_status()
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", Aws(port=int(moto.rpartition(":")[2])).connection())
    assert predictor().predict(flights(2)).values.tolist() == [0.25, 0.5]
