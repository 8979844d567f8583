"""Model files on S3: the one that is declared and no other, and a clear word where it cannot be had."""

import gc
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import LOCAL_FILES, DeploymentContext
from shadow_deployment.errors import CredentialsError, ModelError, ShadowError, TransientError
from shadow_deployment.integrations import aws as edge
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.models import files
from shadow_deployment.models.files import ModelBytes
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import run
from tests import receivers
from tests.integration.models.aws_server import Aws, Refusal, aws_server
from tests.production import World, day, linear_model
from tests.receivers import KEYS, REGION

SECRET = "neverToBeSeenInAnyText"
KEY = "models/late.onnx"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_model(tmp_path_factory.mktemp("filed") / "late.onnx", {"dep_hour": 0.05, "distance": -0.0004})


@pytest.fixture(scope="module")
def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def s3(path: Path) -> Iterator[Any]:
    """S3 in memory with the model in the bucket `models-of-late`."""
    import boto3

    with receivers.aws() as endpoint:
        client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **KEYS)
        client.create_bucket(Bucket="models-of-late", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield client


@pytest.fixture
def declared(s3: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The connection models_aws, and the model where it belongs."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    declare(s3.meta.endpoint_url, monkeypatch)
    s3.upload_file(str(path), "models-of-late", KEY)
    return s3


def declare(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": endpoint, "region_name": REGION}
    fields = {"conn_type": "aws", "login": "testing", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", json.dumps(fields))
    monkeypatch.setattr(edge, "PATIENCE", edge.PATIENCE | {"retries": {"total_max_attempts": 1}})


def on_s3(digest: str, **changes: Any) -> dict[str, Any]:
    address = f"onnx:s3://models-of-late/{KEY}"
    return {"name": "late", "model": address, "digest": digest, "conn_id": "models_aws", **changes}


def fetched(worlds: Callable[..., World], **model: Any) -> ModelBytes:
    shadow = DeploymentContext(worlds().deploy(), pytest.fail, AwsCloud())
    return files.read(shadow, Challenger(**model))


def local(shadow: DeploymentContext) -> Path:
    """Return where the model was downloaded to."""
    return shadow.cloud.store("s3://models-of-late/models", "models_aws").path("late.onnx")


def refusal(call: Callable[[], object], kind: type[ShadowError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_the_evidence_is_that_of_the_same_file_on_disk(
    declared: Any, path: Path, digest: str, worlds: Callable[..., World]
) -> None:
    contents = []
    for model in ({"name": "late", "model": f"onnx:{path}"}, on_s3(digest)):
        world = worlds()
        assert not run.run_day(replace(world.shadow(challengers=[model]), cloud=AwsCloud()), day(0))
        contents.append(world.content())
    assert contents[0] == contents[1]
    assert len(contents[0]["prediction"]) == 60


def test_another_file_than_the_declared_one_is_never_loaded(
    declared: Any, digest: str, worlds: Callable[..., World]
) -> None:
    message = refusal(lambda: fetched(worlds, **on_s3("0" * 64)))
    assert f"has SHA-256 {digest}, must have {'0' * 64}, its digest" in message
    declared.put_object(Bucket="models-of-late", Key=KEY, Body=b"another model")
    assert f"must have {digest}" in refusal(lambda: fetched(worlds, **on_s3(digest)))


def test_a_file_that_was_changed_after_it_was_fetched_is_refused(
    declared: Any, digest: str, worlds: Callable[..., World]
) -> None:
    shadow = DeploymentContext(worlds().deploy(), pytest.fail, AwsCloud())
    model = Challenger(**on_s3(digest))
    read = files.read(shadow, model)
    assert hashlib.sha256(read.content).hexdigest() == digest
    assert files.read(shadow, model) == read
    local(shadow).write_bytes(read.content + b"\0")
    assert f"must have {digest}, its digest" in refusal(lambda: files.read(shadow, model))


def test_files_that_a_model_refers_to_are_fetched_and_covered_by_its_digest(
    declared: Any, tmp_path: Path, worlds: Callable[..., World]
) -> None:
    path = linear_model(tmp_path / "large.onnx", {"dep_hour": 0.05, "distance": -0.0004}, beside="large.weights")
    for name in ("large.onnx", "large.weights"):
        declared.upload_file(str(tmp_path / name), "models-of-late", f"models/{name}")
    whole = model_digest(Challenger(name="late", model=f"onnx:{path}"))
    model = on_s3(whole, model="onnx:s3://models-of-late/models/large.onnx")
    assert fetched(worlds, **model).external == {"large.weights": (tmp_path / "large.weights").read_bytes()}
    declared.put_object(Bucket="models-of-late", Key="models/large.weights", Body=b"another model")
    assert "large.onnx' with large.weights has SHA-256 " in refusal(lambda: fetched(worlds, **model))
    declared.delete_object(Bucket="models-of-late", Key="models/large.weights")
    assert "models/large.weights is missing" in refusal(lambda: fetched(worlds, **model))


def test_what_was_fetched_goes_with_what_fetched_it(declared: Any, digest: str, worlds: Callable[..., World]) -> None:
    shadow = DeploymentContext(worlds().deploy(), pytest.fail, AwsCloud())
    files.read(shadow, Challenger(**on_s3(digest)))
    found = local(shadow)
    assert found.is_file()
    del shadow
    gc.collect()  # what a test before has raised may still hold it
    assert not found.exists()


def test_the_digest_of_a_model_on_s3_is_the_declared_one_without_a_call(digest: str) -> None:
    assert model_digest(Challenger(**on_s3(digest, conn_id="nowhere"))) == digest
    without = Challenger(**{**on_s3(digest), "digest": None})
    assert "digest is missing; declare it for a model on S3" in refusal(lambda: model_digest(without))


@pytest.mark.parametrize("model", ["onnx:s3://models-of-late/no/such.onnx", "onnx:s3://no-such-bucket-here/late.onnx"])
def test_a_file_that_is_not_there_is_named(
    declared: Any, digest: str, worlds: Callable[..., World], model: str
) -> None:
    message = refusal(lambda: fetched(worlds, **on_s3(digest, model=model)))
    assert f"challenger late: model == {model!r}: {model.removeprefix('onnx:')} is missing" in message


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with aws_server() as server:
        declare(server.url, monkeypatch)
        yield server


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Refusal(403, "AccessDenied"), ModelError, "allow s3:GetObject"),
        (Refusal(503, "SlowDown"), TransientError, "SlowDown"),
        (Refusal(500, "InternalError"), TransientError, "InternalError"),
        (Refusal(400, "ExpiredToken"), ModelError, "renew the session"),
    ],
)
def test_what_s3_refuses_is_reported_with_a_remedy(
    refusing: Aws, digest: str, worlds: Callable[..., World], answer: Refusal, kind: type[ShadowError], text: str
) -> None:
    refusing.always = answer
    message = refusal(lambda: fetched(worlds, **on_s3(digest)), kind)
    assert f"s3://models-of-late/{KEY} cannot be read" in message
    assert re.search(text, message)
    assert "credentials of connection models_aws" in message


def test_without_credentials_or_a_connection_no_call_is_made(
    declared: Any, digest: str, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "connection nowhere is not declared" in refusal(
        lambda: fetched(worlds, **on_s3(digest, conn_id="nowhere")), CredentialsError
    )
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    message = refusal(lambda: fetched(worlds, **on_s3(digest, conn_id=None)))
    assert "Unable to locate credentials" in message
    assert "declare them in the connection that conn_id names" in message


def test_a_program_that_opens_files_alone_says_so(digest: str, worlds: Callable[..., World]) -> None:
    shadow = DeploymentContext(worlds().deploy(), pytest.fail, LOCAL_FILES)
    assert "s3://models-of-late/models" in refusal(lambda: files.read(shadow, Challenger(**on_s3(digest))), ShadowError)


def test_a_refused_model_leaves_nothing_in_the_ledger(declared: Any, digest: str, worlds: Callable[..., World]) -> None:
    world = worlds()
    shadow = replace(world.shadow(challengers=[on_s3("f" * 64)]), cloud=AwsCloud())
    with pytest.raises(ModelError):
        run.run_day(shadow, day(0))
    assert world.query("SELECT count(*) FROM shadow.scoring") == [(0,)]
    assert world.query("SELECT count(*) FROM shadow.prediction") == [(0,)]
