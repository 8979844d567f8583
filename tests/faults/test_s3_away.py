"""An S3 that asks to slow down, hangs, loses answers or breaks off: it is asked again, and the day ends the same."""

import itertools
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import SnapshotError, TransientError
from shadow_deployment.integrations import aws as edge
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.integrations.s3_storage import S3Store, open_s3
from shadow_deployment.pipeline.run import run_day
from tests.faults.flaky_s3 import Fault, FlakyS3, flaky_s3, never
from tests.faults.sameness import SMALL
from tests.faults.test_disk_full import limited
from tests.production import World, day
from tests.receivers import KEYS, REGION

SECRET = "neverToBeSeenInAnyText"
SOONER = {"connect_timeout": 1, "read_timeout": 1}  # how long an S3 is waited for that does not answer
READING = {"HEAD": "GET"}  # what a refusal without words is followed by
_buckets = itertools.count(1)


@pytest.fixture(scope="module")
def s3() -> Iterator[FlakyS3]:
    with flaky_s3() as found:
        yield found


@pytest.fixture
def bucket(s3: FlakyS3, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket of this test's own that the connection store_aws leads to, and no pauses between two tries."""
    import boto3
    from botocore.retries.standard import ExponentialBackoff

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    extra = {"endpoint_url": s3.url, "region_name": REGION}
    declared = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": SECRET, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", json.dumps(declared))
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    s3.fails(never)
    found = boto3.resource("s3", endpoint_url=s3.url, region_name=REGION, **KEYS).Bucket(f"away-{next(_buckets)}")
    found.create(CreateBucketConfiguration={"LocationConstraint": REGION})
    return found


@pytest.fixture(scope="module")
def undisturbed(worlds: Callable[..., World]) -> World:
    world = worlds()
    assert run_day(world.shadow(**SMALL), day(0)) == []
    return world


def stored(world: World, bucket: Any) -> DeploymentContext:
    place = {"snapshots": f"s3://{bucket.name}/shadow", "snapshots_conn_id": "store_aws"}
    return DeploymentContext(world.deploy(**SMALL, store=place), world.connection, AwsCloud())


def assert_same(world: World, bucket: Any, undisturbed: World) -> None:
    assert world.content() == undisturbed.content()
    names = sorted(str(path.relative_to(undisturbed.snapshots)) for path in undisturbed.snapshots.rglob("*.*"))
    assert sorted(one.key.removeprefix("shadow/") for one in bucket.objects.all()) == names


def test_where_s3_asks_to_slow_down_it_is_asked_again_and_the_day_ends_the_same(
    worlds: Callable[..., World], bucket: Any, s3: FlakyS3, undisturbed: World
) -> None:
    world = worlds()
    s3.fails(lambda _method, _path, number: "slow down" if number % 4 else None)
    assert run_day(stored(world, bucket), day(0)) == []
    assert {method for method, _ in s3.failed} == {"HEAD", "PUT", "GET"}
    s3.fails(never)
    assert_same(world, bucket, undisturbed)


@pytest.mark.parametrize(
    ("fault", "method"), [("hang", "PUT"), ("hang", "GET"), ("answer lost", "PUT"), ("cut off", "GET")]
)
def test_a_request_that_is_not_answered_is_made_again_and_the_day_ends_the_same(
    worlds: Callable[..., World],
    bucket: Any,
    s3: FlakyS3,
    undisturbed: World,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    method: str,
) -> None:
    world = worlds()
    monkeypatch.setattr(edge, "PATIENCE", edge.PATIENCE | SOONER)
    s3.fails(lambda found, path, number: fault if (found, number) == (method, 1) and "part-00001" in path else None)
    assert run_day(stored(world, bucket), day(0)) == []
    assert len(s3.failed) == 1
    s3.fails(never)
    assert_same(world, bucket, undisturbed)


@pytest.mark.parametrize(
    ("fault", "method", "name"),
    [
        ("slow down", "HEAD", "manifest"),
        ("slow down", "PUT", "part-00001"),
        ("slow down", "GET", "part-00001"),
        ("hang", "PUT", "manifest"),
        ("hang", "GET", "part-00001"),
        ("answer lost", "PUT", "manifest"),
        ("cut off", "GET", "part-00001"),
    ],
)
def test_an_s3_that_stays_away_leaves_the_day_to_another_try(
    worlds: Callable[..., World],
    bucket: Any,
    s3: FlakyS3,
    undisturbed: World,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    method: str,
    name: str,
) -> None:
    world = worlds()
    s3.fails(lambda found, path, _: fault if found in (method, READING.get(method)) and name in path else None)
    with monkeypatch.context() as impatient:  # only here: a slow machine is no S3 that stays away
        impatient.setattr(edge, "PATIENCE", edge.PATIENCE | SOONER | {"retries": {"total_max_attempts": 1}})
        with pytest.raises(TransientError, match=rf"s3://{bucket.name}/shadow.* cannot be") as caught:
            run_day(stored(world, bucket), day(0))
    assert SECRET not in str(caught.value)
    assert world.query("SELECT FROM shadow.snapshot") == []
    s3.fails(never)
    assert run_day(stored(world, bucket), day(0)) == []
    assert_same(world, bucket, undisturbed)


def test_an_s3_that_never_answers_is_given_up_within_two_minutes() -> None:
    """The tests above wait for less: what a task waits for is what is declared."""
    patience: dict[str, Any] = edge.PATIENCE
    each = patience["connect_timeout"] + patience["read_timeout"]
    assert 2 <= patience["retries"]["total_max_attempts"] <= 120 // each


def test_where_s3_is_back_after_a_refusal_that_said_nothing_it_is_believed(bucket: Any, s3: FlakyS3) -> None:
    """An answer to HEAD has no words, so S3 is asked once more, by GET: it may be well again."""
    store = open_s3(f"s3://{bucket.name}", "store_aws")
    s3.fails(lambda method, _path, _number: "slow down" if method == "HEAD" else None)
    assert not store.exists("a")
    bucket.put_object(Key="a", Body=b"1")
    with pytest.raises(TransientError, match="503"):
        store.exists("a")


def test_where_this_machine_has_no_room_for_what_goes_to_s3_or_comes_from_it_that_is_said(bucket: Any) -> None:
    store, content = open_s3(f"s3://{bucket.name}", "store_aws"), b"x" * (9 << 20)  # more than is kept in memory
    bucket.put_object(Key="there", Body=content)
    with limited(1 << 20):
        with pytest.raises(SnapshotError, match=r"cannot be written: File too large; make room there"):
            write(store, "new", content)
        with pytest.raises(SnapshotError, match=r"cannot be fetched into .*: File too large; make room there, or name"):
            store.path("there")
    assert [one.key for one in bucket.objects.all()] == ["there"]
    assert store.path("there").read_bytes() == content


def write(store: S3Store, name: str, content: bytes) -> None:
    with store.writing(name) as file:
        file.write(content)
