"""Parts of the CloudFormation template, parsed."""

from collections.abc import Iterator
from typing import Any

from tests.integration.infrastructure.template import PARSED

RESOURCES: dict[str, Any] = PARSED["Resources"]

METRICS = {"verdict", "gate_failed", "scoring_errors", "label_coverage", "verdict_published"}

ALARMS = [name for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"]

WORKER_ACTIONS = {
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListBucket",
    "sns:Publish",
    "cloudwatch:PutMetricData",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "logs:DescribeLogGroups",
    "kms:Decrypt",
    "kms:GenerateDataKey",
}

UNBOUNDED = {"cloudwatch:PutMetricData", "s3:GetAccountPublicAccessBlock"}  # AWS knows no resources for these


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the statements of a policy, those that hang on a condition too."""
    for one in document["Statement"]:
        chosen = one["Fn::If"][1:] if "Fn::If" in one else [one]
        yield from (statement for statement in chosen if "Effect" in statement)


def identity_policies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every statement that gives a role of the template a right."""
    for name, one in RESOURCES.items():
        if one["Type"] == "AWS::IAM::ManagedPolicy":
            yield from ((name, statement) for statement in statements(one["Properties"]["PolicyDocument"]))
        for policy in one["Properties"].get("Policies", []):
            yield from ((name, statement) for statement in statements(policy["PolicyDocument"]))


def worker(sid: str) -> dict[str, Any]:
    found = statements(properties("WorkerPolicy")["PolicyDocument"])
    return next(statement for statement in found if statement["Sid"] == sid)


def nodes(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from nodes(one)
