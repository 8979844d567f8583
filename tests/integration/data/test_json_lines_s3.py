"""JSON lines on S3: ground truth is known from the time of its object on, and a wrong line is named."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.ports import all_labels
from shadow_deployment.errors import SourceError
from shadow_deployment.integrations.cloud import AwsCloud
from tests.builders import a_deployment
from tests.json_lines import compressed, encoded_lines

KEYS = {
    "format": "sagemaker_ground_truth",
    "columns": {"is_late": "integer"},
    "id": "eventId",
    "value": "is_late",
    "time": "uploadTime",
}


def test_an_objects_time_is_when_its_labels_are_known_and_its_wrong_line_is_named(bucket: Any) -> None:
    lines = [
        {"groundTruthData": {"data": text, "encoding": "CSV"}, "eventMetadata": {"eventId": f"event-{number}"}}
        for number, text in enumerate(("1", "0", "late"))
    ]
    uploaded = bucket.put_object(Key="truth/2024/03/09/12/a.jsonl.gz", Body=compressed(encoded_lines(lines[:2])))
    table = f"jsonl:s3://{bucket.name}/truth/**/*.jsonl.gz"
    deployment = a_deployment(labels=KEYS | {"conn_id": "logs_aws", "table": table})
    labels = DeploymentContext(deployment, environment, AwsCloud()).label_source
    requests = pa.table({"ordinal": pa.array([0, 1], pa.int32()), "request_id": ["event-0", "event-1"]})
    until = uploaded.last_modified
    found = all_labels(labels, requests, until - dt.timedelta(seconds=1), until).to_pylist()
    assert sorted((row["ordinal"], row["value"], row["known_at"]) for row in found) == [
        (0, 1.0, until),
        (1, 0.0, until),
    ]
    assert all_labels(labels, requests, until, until + dt.timedelta(hours=1)).num_rows == 0

    bucket.put_object(Key="truth/2024/03/09/12/a.jsonl.gz", Body=compressed(encoded_lines(lines)))
    with pytest.raises(SourceError, match=r'a\.jsonl\.gz, line 3: labels\.columns\.is_late == "late", must be a whole'):
        all_labels(labels, requests, until - dt.timedelta(seconds=1), until + dt.timedelta(hours=1))
