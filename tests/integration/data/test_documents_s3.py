"""Documents on S3 are compared and set by S3 itself, and every refusal says what to do."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from shadow_deployment.data.documents import DocumentChangedError, revise
from shadow_deployment.errors import CredentialsError, DeploymentError, RegistryError, ShadowError, TransientError
from shadow_deployment.integrations import aws
from shadow_deployment.integrations.aws import S3Document, open_document
from shadow_deployment.promotion import registry, status
from tests import receivers
from tests.conftest import PROJECT as FOLDER
from tests.conftest import Invoke, declare
from tests.integration.promotion.promoting import by, judge, settings
from tests.production import World

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'
SECRET = "neverToBeSeenInAnyText"


def refusal(call: Callable[[], object], error: type[Exception] = RegistryError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_without_an_opener_for_s3_the_place_is_refused_with_its_key(worlds: Callable[..., World]) -> None:
    world = worlds()
    uri = "s3://bucket/champion.json"
    shadow = world.shadow(**settings(world, promotion={"manifest": uri}, status={"file": uri}))
    judge(shadow, 0, "PASS")
    message = refusal(lambda: registry.promote(shadow, "other", **by("ada")), DeploymentError)
    assert f"promotion.manifest == {uri!r} is not written" in message
    assert "shadow_deployment.integrations.cloud" in message
    message = refusal(lambda: status.update(shadow), DeploymentError)
    assert f"status.file == {uri!r} is not written" in message


def test_neither_the_command_line_nor_the_opener_imports_airflow_before_s3_is_used() -> None:
    program = "import sys, shadow_deployment.cli.main, shadow_deployment.integrations.cloud as cloud; "
    program += "cloud.TerminalCloud().document('/a/b', None); "
    program += "sys.exit(' '.join({'airflow', 'boto3', 'botocore', 'httpx'} & set(sys.modules)) or 0)"
    ended = subprocess.run([sys.executable, "-c", program], check=False, cwd=FOLDER, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 that lives in memory."""
    with receivers.aws() as found:
        yield found


def declared(endpoint: str, **extra: Any) -> str:
    fields = {"endpoint_url": endpoint, "region_name": "eu-central-1", **extra}
    return json.dumps({"conn_type": "aws", "login": "AKIAEXAMPLE", "password": SECRET, "extra": fields})


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A bucket of this test's own, as boto3 sees it, that the connection store_aws leads to."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared(endpoint))
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    made = boto3.resource(
        "s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    ).Bucket(name)
    made.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return made


def content(bucket: Any, key: str) -> bytes:
    return bytes(bucket.Object(key).get()["Body"].read())


def test_an_object_is_compared_and_set_by_s3_itself(bucket: Any) -> None:
    uri = f"s3://{bucket.name}/a folder/champion.json"
    mine, theirs = open_document(uri, "store_aws"), open_document(uri, "store_aws")
    assert str(mine) == uri
    assert mine.read() == theirs.read() == (None, None)
    mine.replace(OLD, None)
    with pytest.raises(DocumentChangedError):
        theirs.replace(b"theirs", None)
    seen, tag = theirs.read()
    assert (seen, content(bucket, "a folder/champion.json")) == (OLD, OLD)
    mine.replace(NEW, mine.read()[1])
    with pytest.raises(DocumentChangedError):
        theirs.replace(b"theirs", tag)
    tag = theirs.read()[1]
    bucket.Object("a folder/champion.json").delete()
    with pytest.raises(DocumentChangedError):
        theirs.replace(b"theirs", tag)
    assert list(bucket.objects.all()) == []


def test_an_object_that_is_overtaken_keeps_what_both_have_written(bucket: Any) -> None:
    document, other = (open_document(f"s3://{bucket.name}/a", "store_aws") for _ in range(2))
    contents: list[bytes | None] = []

    def change(found: bytes | None) -> bytes:
        contents.append(found)
        if len(contents) == 1:
            revise(other, lambda _: b"theirs")
        return (found or b"") + b", mine"

    assert revise(document, change) is True
    assert (contents, content(bucket, "a")) == ([None, b"theirs"], b"theirs, mine")
    assert revise(document, lambda found: found or b"") is False


def test_an_object_keeps_its_type_and_metadata_and_a_new_one_is_json(bucket: Any) -> None:
    bucket.put_object(Key="a", Body=OLD, ContentType="text/x", CacheControl="no-cache", Metadata={"owner": "ada"})
    for key in ("a", "b"):
        revise(open_document(f"s3://{bucket.name}/{key}", "store_aws"), lambda _: NEW)
    kept, made = bucket.Object("a").get(), bucket.Object("b").get()
    assert (kept["ContentType"], kept["CacheControl"], kept["Metadata"]) == ("text/x", "no-cache", {"owner": "ada"})
    assert (made["ContentType"], content(bucket, "a")) == ("application/json", NEW)


def test_what_keeps_s3_from_being_used_is_reported(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(open_document("s3://no-such-bucket-here/a", "store_aws").read)
    assert "s3://no-such-bucket-here/a cannot be read: NoSuchBucket" in message
    assert "credentials of connection store_aws); create the bucket, or correct its name" in message
    assert "connection nowhere is not declared" in refusal(
        lambda: open_document("s3://bucket/a", "nowhere"), CredentialsError
    )
    assert "correct the address" in refusal(open_document("s3://a+b/a", "store_aws").read)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    message = refusal(open_document(f"s3://{bucket.name}/a", None).read)
    assert "Unable to locate credentials" in message
    assert "declare them in the connection that conn_id names" in message
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared("no address"))
    assert "correct the connection" in refusal(lambda: open_document("s3://bucket/a", "store_aws"))


def test_a_server_that_is_not_there_or_does_not_answer_is_worth_another_try(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = {"connect_timeout": 1, "read_timeout": 0.2, "retries": {"total_max_attempts": 1}}
    monkeypatch.setattr(aws, "PATIENCE", once)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared(address))
        document = open_document("s3://bucket/a", "store_aws")
        assert "Could not connect to the endpoint" in refusal(document.read, TransientError)
        silent.listen()
        assert "timeout" in refusal(lambda: document.replace(NEW, None), TransientError)


def test_the_connections_own_settings_win(endpoint: str, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"s3": {"addressing_style": "virtual"}, "read_timeout": 7}
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared(endpoint, config_kwargs=settings))
    document = open_document("s3://bucket/a", "store_aws")
    assert isinstance(document, S3Document)
    config = document._client.meta.config
    assert (config.s3["addressing_style"], config.read_timeout, config.connect_timeout) == ("virtual", 7, 5)


ANSWERS: list[tuple[str, int, type[ShadowError], str]] = [
    ("AccessDenied", 403, RegistryError, "allow s3:GetObject and s3:PutObject"),
    ("ExpiredToken", 400, RegistryError, "renew the session's credentials"),
    ("InvalidAccessKeyId", 403, RegistryError, "correct the access key"),
    ("SignatureDoesNotMatch", 403, RegistryError, "correct the access key"),
    ("RequestTimeTooSkewed", 403, RegistryError, "clock"),
    ("NotImplemented", 501, RegistryError, "conditional writes"),
    ("SomethingNew", 418, RegistryError, "SomethingNew: as AWS says"),
    ("SlowDown", 503, TransientError, "SlowDown"),
    ("RequestTimeout", 400, TransientError, "RequestTimeout"),
    ("TooMany", 429, TransientError, "TooMany"),
    ("InternalError", 500, TransientError, "InternalError"),
]


@pytest.mark.parametrize(("code", "http", "error", "said"), ANSWERS, ids=[one[0] for one in ANSWERS])
@pytest.mark.parametrize("method", ["get_object", "put_object"])
def test_each_refusal_of_s3_says_what_to_do_and_whether_to_try_again(
    code: str, http: int, error: type[ShadowError], said: str, method: str
) -> None:
    document, stubber = stubbed()
    stubber.add_client_error(method, code, "as AWS says", http)
    with stubber:
        read = method == "get_object"
        text = refusal(document.read if read else lambda: document.replace(NEW, '"tag"'), error)
    assert f"s3://bucket/key cannot be {'read' if read else 'written'}: {code}: as AWS says" in text
    assert said in text
    assert "credentials of connection store_aws" in text


@pytest.mark.parametrize(
    ("code", "http"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409), ("NoSuchKey", 404)]
)
def test_each_word_of_s3_for_a_lost_race_is_understood(code: str, http: int) -> None:
    document, stubber = stubbed()
    stubber.add_client_error("put_object", code, "as AWS says", http)
    with stubber, pytest.raises(DocumentChangedError):
        document.replace(NEW, '"tag"')


def stubbed() -> tuple[S3Document, Stubber]:
    import boto3

    client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key=SECRET)
    return S3Document(client, "bucket", "key", "connection store_aws"), Stubber(client)


@pytest.fixture
def published(worlds: Callable[..., World], bucket: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose manifest and status file are in the bucket, and whose challenger passes."""
    world = declare(worlds(), monkeypatch)
    where = {"manifest": f"s3://{bucket.name}/late/champion.json", "conn_id": "store_aws"}
    told = {"file": f"s3://{bucket.name}/master.json", "conn_id": "store_aws"}
    judge(world.shadow(**settings(world, promotion=where, status=told)), 0, "PASS")
    return world


def test_a_promotion_is_published_to_s3_and_the_command_line_says_so(
    published: World, bucket: Any, invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    words = ("--challenger", "other", "--approved-by", "ada", "--reason", "it is better", "--yes")
    assert invoke("promote", "late", *words)[0] == 0
    manifest = json.loads(content(bucket, "late/champion.json"))
    assert (manifest["champion"]["name"], manifest["number"], manifest["approved_by"]) == ("other", 1, "ada")
    bucket.Object("late/champion.json").delete()
    code, out, err = invoke("champion", "late", "--publish", "--json")
    assert (code, json.loads(out)["name"]) == (0, "other")
    assert json.loads(content(bucket, "late/champion.json")) == manifest
    code, out, _ = invoke("champion", "late", "--publish")
    assert f"wrote s3://{bucket.name}/late/champion.json" in out
    assert SECRET not in f"{out}{err}{caplog.text}"


def test_the_status_file_on_s3_keeps_what_others_have_there(published: World, bucket: Any, invoke: Invoke) -> None:
    theirs = (
        '{\n "recommendations": [\n  {"id": "é", "score": 1.10}, {"id": "late/other"}, {"id": "late/linear"}\n ]\n}'
    )
    bucket.put_object(Key="master.json", Body=theirs.encode())
    code, out, _ = invoke("status", "late", "--write")
    assert (code, "wrote s3://" in out) == (0, True)
    written = content(bucket, "master.json").decode()
    assert '"id": "é",' in written
    assert '"score": 1.10' in written
    entries = {one["id"]: one for one in json.loads(written)["recommendations"]}
    assert (list(entries), entries["late/other"]["shadow"]["status"]) == (["é", "late/other", "late/linear"], "passed")
    assert "nothing to change" in invoke("status", "late", "--write")[1]
