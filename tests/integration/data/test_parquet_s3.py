"""What can be wrong with Parquet on S3 is said with what to do, and nothing is read in two versions."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.duckdb.formats import Parquet
from shadow_deployment.data.sources.duckdb.session import open_session
from shadow_deployment.errors import CredentialsError, ShadowError, SourceError, TransientError
from shadow_deployment.integrations.cloud import AwsCloud, TerminalCloud
from shadow_deployment.integrations.s3_lake import S3Lake, open_lake
from tests.integration.data.conftest import SECRET, declared
from tests.parquet import encoded
from tests.unit.data.test_parquet import log

DAY = dt.date(2024, 3, 9)
ROWS = 150_000
CODES = [
    ("AccessDenied", 403, CredentialsError, "allow s3:GetObject below the prefix, and s3:ListBucket on the bucket"),
    ("ExpiredToken", 400, CredentialsError, "renew the session's credentials"),
    ("SignatureDoesNotMatch", 403, CredentialsError, "correct the access key and the secret"),
    ("SlowDown", 503, TransientError, ""),
    ("InternalError", 500, TransientError, ""),
    ("PreconditionFailed", 412, TransientError, "was changed while it was read; try again"),
    ("NoSuchKey", 404, TransientError, "was changed while it was read; try again"),
    ("InvalidObjectState", 403, SourceError, "see what AWS says of this code"),
]


class Failing:
    """A client of S3 that answers so many times, and then with an error."""

    def __init__(self, client: Any, answers: int, code: str, status: int) -> None:
        self._client = client
        self._answers = answers
        self._error = {"Error": {"Code": code, "Message": "so"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self.asked: list[tuple[int, int]] = []

    def get_object(self, **options: Any) -> Any:
        first, last = map(int, options["Range"].removeprefix("bytes=").split("-"))
        self.asked.append((first, last + 1))
        if len(self.asked) > self._answers:
            raise ClientError(self._error, "GetObject")
        return self._client.get_object(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.fixture
def pattern(bucket: Any) -> Pattern:
    rows = log(ROWS, dep_hour=np.random.default_rng(1).random(ROWS), beside=np.random.default_rng(2).random(ROWS))
    bucket.put_object(Key=f"a b/{DAY}/x#1.parquet", Body=encoded(rows, row_group_size=10_000))
    bucket.put_object(Key=f"a b/{DAY}/_SUCCESS", Body=b"")
    bucket.put_object(Key=f"a b/{DAY}/deeper/y.parquet", Body=b"")
    return Pattern.parse(f"parquet:s3://{bucket.name}/a b/{{day}}/*.parquet")


def refusal(call: Callable[[], object], error: type[ShadowError]) -> str:
    with pytest.raises(ShadowError) as caught:
        call()
    assert type(caught.value) is error
    assert SECRET not in str(caught.value)
    return str(caught.value)


def read(lake: S3Lake, pattern: Pattern, columns: str = "*") -> int:
    files = list(lake.find(pattern, DAY))
    with open_session(lake, files, "requests.table", Parquet()) as session:
        statement = f"SELECT {columns} FROM read_parquet($files)"
        return sum(
            batch.num_rows
            for batch in session.sql(statement, params={"files": [one.path for one in files]}).to_arrow_reader()
        )


def test_only_what_is_needed_of_an_object_is_read(pattern: Pattern) -> None:
    lake = open_lake(str(pattern), "logs_aws")
    (found,) = lake.find(pattern)
    client = Failing(lake._client, 10_000, "", 0)
    assert read(S3Lake(client, "x"), pattern, "model_version") == ROWS
    assert sum(end - start for start, end in client.asked) < found.size / 3


@pytest.mark.parametrize("answers", [0, 2])
@pytest.mark.parametrize(("code", "status", "error", "remedy"), CODES)
def test_what_s3_refuses_is_reported_with_a_remedy(
    code: str, status: int, error: type[ShadowError], remedy: str, answers: int, pattern: Pattern
) -> None:
    """Also in the middle of the rows, where DuckDB makes a text of it."""
    lake = open_lake(str(pattern), "logs_aws")
    client = Failing(lake._client, answers, code, status)
    message = refusal(lambda: read(S3Lake(client, "connection logs_aws"), pattern), error)
    assert len(client.asked) > answers
    assert "x#1.parquet" in message
    assert remedy in message


def test_an_object_that_is_replaced_meanwhile_is_not_read_in_two_versions(bucket: Any, pattern: Pattern) -> None:
    lake = open_lake(str(pattern), "logs_aws")
    (found,) = lake.find(pattern, DAY)
    bucket.put_object(Key=found.path.removeprefix(f"s3://{bucket.name}/"), Body=encoded(log(3)))
    assert "was changed while it was read" in refusal(lambda: lake.read(found, 0, 10), TransientError)


def test_a_bucket_that_is_not_there_and_a_connection_that_is_none(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Pattern.parse("parquet:s3://no-such-bucket-here/{day}.parquet")
    message = refusal(lambda: list(AwsCloud().lake(missing, "logs_aws").find(missing)), SourceError)
    assert "s3://no-such-bucket-here/ cannot be listed: NoSuchBucket" in message
    assert "create the bucket, or correct its name (" not in message
    assert "connection nowhere is not declared" in refusal(
        lambda: AwsCloud().lake(missing, "nowhere"), CredentialsError
    )
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    message = refusal(lambda: list(AwsCloud().lake(missing, None).find(missing)), CredentialsError)
    assert "boto3's own search, as there is no conn_id" in message
    monkeypatch.setenv("AIRFLOW_CONN_LOGS_AWS", declared("no address"))
    assert "correct the connection" in refusal(lambda: AwsCloud().lake(missing, "logs_aws"), SourceError)


def test_names_are_listed_from_a_day_on(bucket: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        bucket.put_object(Key=f"log/{DAY:%Y/%m}/0{number}/05/a.parquet", Body=b"x" * number)
    pattern = Pattern.parse(f"parquet:s3://{bucket.name}/log/{{day:%Y/%m/%d}}/**/*.parquet")
    capsys.readouterr()
    lake = TerminalCloud().lake(pattern, "logs_aws")
    assert capsys.readouterr().out == ""
    assert [one.size for one in lake.find(pattern)] == [1, 2, 3]
    assert [one.size for one in lake.find(pattern, after=pattern.root(dt.date(2024, 3, 2)))] == [2, 3]
    assert [one.size for one in lake.find(pattern, dt.date(2024, 3, 2))] == [2]
    nothing = Pattern.parse(f"parquet:s3://{bucket.name}/log/dt={{day}}.parquet")
    assert lake.some(nothing) == []
    assert lake.some(Pattern.parse(f"parquet:s3://{bucket.name}/lo*/{{day}}.parquet"))[0].endswith(
        "/03/01/05/a.parquet"
    )
