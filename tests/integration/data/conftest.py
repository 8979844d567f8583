"""An S3 of moto's for the tests of this folder, and production on it."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.receivers import aws

SECRET = "neverToBeSeenInAnyText"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The address of an S3 that lives in memory."""
    with aws() as found:
        yield found


def declared(endpoint: str, **extra: Any) -> str:
    fields = {"endpoint_url": endpoint, "region_name": "eu-central-1", **extra}
    return json.dumps({"conn_type": "aws", "login": "AKIAEXAMPLE", "password": SECRET, "extra": fields})


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket of this test's own, as boto3 sees it, that the connection logs_aws leads to."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_LOGS_AWS", declared(endpoint))
    made = boto3.resource(
        "s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    ).Bucket(f"logs-{next(_numbers)}")
    made.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return made
