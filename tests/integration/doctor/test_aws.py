"""The doctor on AWS: each permission is used, and each channel of alerts is reached."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.doctor.conftest import failed
from tests.production import World
from tests.receivers import KEYS, REGION, Topic, aws, mail_server, topic, web_server


@pytest.fixture(scope="module")
def cloud() -> Iterator[Topic]:
    import boto3

    with aws() as endpoint:
        s3 = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **KEYS)
        s3.create_bucket(Bucket="evidence", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield topic(endpoint, "doctor")


@pytest.fixture
def with_aws(cloud: Topic, reading: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose snapshots lie on S3, and which uses CloudWatch and SNS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    extra = {"endpoint_url": cloud.endpoint, "region_name": REGION}
    declared = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "s3cret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(declared))
    reading.deploy(
        store={"snapshots": "s3://evidence/snapshots", "snapshots_conn_id": "aws_default"},
        cloudwatch={"environment": "dev"},
        promotion={"manifest": "s3://evidence/champion.json", "conn_id": "aws_default"},
        alerts={"channels": [{"kind": "sns", "topic": cloud.arn}]},
    )
    return reading


def test_each_permission_on_aws_is_used(with_aws: World, cloud: Topic, examined: Callable[..., Any]) -> None:
    import boto3

    checks = examined()
    assert failed(checks) == {}
    assert "arn:aws:" in checks["AWS credentials aws_default"]["result"]
    assert "s3://evidence/snapshots is written and read" in checks["snapshots"]["result"]
    assert "is not there yet" in checks["promotion.manifest"]["result"]
    s3 = boto3.client("s3", endpoint_url=cloud.endpoint, region_name=REGION, **KEYS)
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="evidence")["Contents"]]
    assert keys == ["snapshots/late/doctor.json"]
    metrics = boto3.client("cloudwatch", endpoint_url=cloud.endpoint, region_name=REGION, **KEYS)
    assert [one["MetricName"] for one in metrics.list_metrics(Namespace="Shadow")["Metrics"]] == ["doctor"]
    assert cloud.received() == []


def test_a_bucket_a_topic_and_credentials_that_are_missing(
    with_aws: World, cloud: Topic, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_aws.deploy(
        store={"snapshots": "s3://elsewhere/snapshots", "snapshots_conn_id": "aws_default"},
        alerts={"channels": [{"kind": "sns", "topic": cloud.arn.replace("doctor", "nobody")}]},
        status={"file": "s3://evidence/status.json", "conn_id": "aws_nowhere"},
    )
    failures = failed(examined())
    nobody = f"sns:{cloud.arn.replace('doctor', 'nobody')}"
    assert set(failures) == {"snapshots", "status.file", "AWS credentials aws_nowhere", f"channel {nobody}"}
    assert "NoSuchBucket" in failures["snapshots"]
    assert "create the bucket" in failures["snapshots"]
    assert "aws_nowhere is not declared" in failures["status.file"]


def test_a_test_alert_reaches_every_channel(
    reading: World, cloud: Topic, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server() as hook, mail_server() as mailbox:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", hook.connection())
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mailbox.connection())
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", cloud.connection())
        channels = [
            {"kind": "webhook", "conn_id": "hook"},
            {"kind": "email", "to": ["a@example.org"]},
            {"kind": "sns", "topic": cloud.arn},
        ]
        reading.deploy(alerts={"channels": channels})
        assert failed(examined()) == {}
        assert (hook.received, mailbox.received, cloud.received()) == ([], [], [])
        assert failed(examined("--send-test")) == {}
        assert hook.titles == ["late: a test of this channel"]
        assert [str(message["Subject"]) for _, message in mailbox.received] == hook.titles
        assert [one["Message"].splitlines()[0] for one in cloud.received()] == hook.titles
        hook.status = 500
        failures = failed(examined("--send-test"))
        assert list(failures.values()) == ["the webhook refuses it: HTTP 500"]
