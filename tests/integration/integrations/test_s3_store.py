"""Snapshots and reports on S3: the same evidence as from a folder, whole objects or none, and errors that say why."""

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, DeploymentError, ShadowError, SnapshotError, TransientError
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.integrations.s3_storage import S3Store, open_s3
from shadow_deployment.pipeline.run import run_day
from shadow_deployment.report.publishing import publish
from tests.production import World, day
from tests.receivers import KEYS, REGION, aws


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws() as found:
        yield found


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A bucket of this test's own, that the connection store_aws leads to."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    extra = {"endpoint_url": endpoint, "region_name": REGION}
    declared = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "s3cret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", json.dumps(declared))
    found = boto3.resource("s3", endpoint_url=endpoint, region_name=REGION, **KEYS).Bucket(
        f"bucket-{abs(hash(request.node.nodeid))}"
    )
    found.create(CreateBucketConfiguration={"LocationConstraint": REGION})
    return found


@pytest.fixture
def store(bucket: Any) -> S3Store:
    return open_s3(f"s3://{bucket.name}/shadow/snapshots/", "store_aws")


def keys(bucket: Any) -> list[str]:
    return sorted(one.key for one in bucket.objects.all())


def stored(world: World, bucket: Any) -> DeploymentContext:
    place = {"snapshots": f"s3://{bucket.name}/shadow", "snapshots_conn_id": "store_aws"}

    def connections(conn_id: str) -> Connection:
        return world.connection(conn_id)

    return DeploymentContext(world.deploy(store=place), connections, AwsCloud())


def test_days_on_s3_give_the_evidence_of_days_in_a_folder(worlds: Callable[..., World], bucket: Any) -> None:
    here, there = worlds(), worlds()
    for number in range(3):
        assert run_day(here.shadow(), day(number)) == run_day(stored(there, bucket), day(number)) == []
    assert there.content() == here.content()
    assert [one[:5] for one in there.verdicts()] == [one[:5] for one in here.verdicts()]
    names = [str(path.relative_to(here.snapshots)) for path in here.snapshots.rglob("*") if path.is_file()]
    assert [key.removeprefix("shadow/") for key in keys(bucket)] == sorted(names)
    assert not there.snapshots.exists()


def test_a_day_that_is_run_again_reads_its_snapshot_from_s3(worlds: Callable[..., World], bucket: Any) -> None:
    world = worlds()
    run_day(stored(world, bucket), day(0))
    before, written = world.content(), {one.key: one.last_modified for one in bucket.objects.all()}
    run_day(stored(world, bucket), day(0))
    assert world.content() == before
    assert {one.key: one.last_modified for one in bucket.objects.all()} == written


def test_a_snapshot_that_was_changed_or_removed_on_s3_is_refused(worlds: Callable[..., World], bucket: Any) -> None:
    world = worlds()
    run_day(stored(world, bucket), day(0))
    part = next(key for key in keys(bucket) if key.endswith("part-00000.parquet"))
    content = bucket.Object(part).get()["Body"].read()
    bucket.put_object(Key=part, Body=content[:-1] + b"x")
    with pytest.raises(SnapshotError, match="the inputs were changed; restore them"):
        run_day(stored(world, bucket), day(0))
    bucket.Object(part).delete()
    with pytest.raises(SnapshotError, match=r"part-00000\.parquet is missing.* older version of the object"):
        run_day(stored(world, bucket), day(0))


def test_the_reports_of_a_day_are_kept_on_s3_as_pages(worlds: Callable[..., World], bucket: Any) -> None:
    world = worlds()
    shadow = stored(world, bucket)
    run_day(shadow, day(0))
    names = publish(shadow, day(0), ["other"])
    found = bucket.Object(f"shadow/{names[0]}").get()
    assert found["ContentType"] == "text/html; charset=utf-8"
    assert b"<!doctype html>" in found["Body"].read()[:100].lower()


def test_a_file_is_there_whole_or_not_at_all(store: S3Store, bucket: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(store, "late/a.bin", b"x" * (9 << 20), killed=True)  # more than is kept in memory
    assert keys(bucket) == []
    assert not store.exists("late/a.bin")
    content = os.urandom(20 << 20)  # more than one part of an upload
    write(store, "late/a.bin", content)
    assert store.exists("late/a.bin")
    assert keys(bucket) == ["shadow/snapshots/late/a.bin"]
    assert store.path("late/a.bin").read_bytes() == content
    store.sweep("late")
    assert keys(bucket) == ["shadow/snapshots/late/a.bin"]


def test_a_folder_is_removed_with_all_its_objects_and_nothing_beside_it(store: S3Store) -> None:
    for name in ("late/day/part.parquet", "late/day/manifest.json", "late/day.1/part.parquet"):
        with store.writing(name) as file:
            file.write(b"x")
    store.path("late/day/part.parquet")
    store.remove("late/day")
    store.remove("late/day")
    assert not store.exists("late/day/manifest.json")
    assert store.exists("late/day.1/part.parquet")
    with pytest.raises(SnapshotError, match="is missing"):
        store.path("late/day/part.parquet")
    with pytest.raises(SnapshotError, match="must be a folder below"):
        store.remove("late/../other")


def test_what_was_fetched_goes_with_the_store(bucket: Any) -> None:
    bucket.put_object(Key="a", Body=b"1")
    store = open_s3(f"s3://{bucket.name}", "store_aws")
    path = store.path("a")
    assert store.path("a") == path
    assert list(path.parent.iterdir()) == [path]
    del store
    assert not path.parent.exists()


@pytest.mark.parametrize("uri", ["s3://", "s3:///folder"])
def test_a_place_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(DeploymentError, match="must be s3://BUCKET/PREFIX"):
        open_s3(uri, None)


def test_what_keeps_s3_from_being_used_is_reported(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SnapshotError, match=r"s3://no-such-bucket-x/a cannot be written: NoSuchBucket.*create the buc"):
        write(open_s3("s3://no-such-bucket-x", "store_aws"), "a")
    with pytest.raises(CredentialsError, match="connection nowhere is not declared"):
        open_s3(f"s3://{bucket.name}", "nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    with pytest.raises(SnapshotError, match=r"Unable to locate credentials.*declare them in the connection"):
        open_s3(f"s3://{bucket.name}", None).exists("a")


@pytest.mark.parametrize(
    ("code", "status", "error", "message"),
    [
        ("AccessDenied", 403, SnapshotError, "allow s3:GetObject, s3:PutObject and s3:DeleteObject below the prefix"),
        ("ExpiredToken", 400, SnapshotError, "renew the session's credentials"),
        ("SlowDown", 503, TransientError, "SlowDown"),
        ("InternalError", 500, TransientError, "InternalError"),
    ],
)
def test_each_refusal_says_what_to_do_and_writes_nothing(
    code: str, status: int, error: type[ShadowError], message: str, tmp_path: Path
) -> None:
    import boto3

    client = boto3.client("s3", region_name=REGION, **KEYS)
    for method, call in {
        "head_object": lambda store: store.exists("a"),
        "put_object": lambda store: store._upload("a", io.BytesIO(b"1")),
    }.items():
        with Stubber(client) as stubber:
            stubber.add_client_error(method, code, "as AWS says", status)
            with pytest.raises(error, match=message) as caught:
                call(S3Store(client, "bucket", "", "connection store_aws"))
            assert "s3://bucket/a cannot be" in str(caught.value)
            assert type(caught.value) is error


def write(store: S3Store, name: str, content: bytes = b"1", *, killed: bool = False) -> None:
    with store.writing(name) as file:
        file.write(content)
        assert not store.exists(name)
        if killed:
            raise KeyboardInterrupt
