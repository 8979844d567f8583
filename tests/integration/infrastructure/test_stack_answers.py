"""`make deploy` and `make destroy` with a fake AWS CLI: what moto cannot do, by recorded answers (fake_aws.py)."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.infrastructure import fake_aws
from tests.integration.infrastructure.make import Copy, Run
from tests.integration.infrastructure.template import PARSED, PATH

NAME = "nba-simulator-shadow-dev"
ARN = f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{NAME}/1"
SET = "arn:aws:cloudformation:eu-central-1:123456789012:changeSet/awscli-cloudformation-package-deploy-1/2"
ABSENT = {"code": 254, "err": f"An error occurred (ValidationError): Stack with id {NAME} does not exist"}
WAITED = {"code": 255, "err": "Waiter failed: Waiter encountered a terminal failure state"}
EMPTY = {"text": f"\nNo changes to deploy. Stack {NAME} is up to date\n"}
READY = {"text": f"Changeset created. Run\naws cloudformation describe-change-set --change-set-name {SET}\n"}
CHANGES = [
    {"Action": "Add", "LogicalResourceId": "Bucket", "ResourceType": "AWS::S3::Bucket"},
    {"Action": "Modify", "LogicalResourceId": "AlertTopic", "ResourceType": "AWS::SNS::Topic", "Replacement": "False"},
    {
        "Action": "Modify",
        "LogicalResourceId": "Database",
        "ResourceType": "AWS::RDS::DBInstance",
        "Replacement": "True",
        "PolicyAction": "ReplaceAndSnapshot",
    },
    {
        "Action": "Remove",
        "LogicalResourceId": "TaskLogs",
        "ResourceType": "AWS::Logs::LogGroup",
        "PolicyAction": "Retain",
    },
]
RESOURCES = [
    ("AlertTopic", "AWS::SNS::Topic", "topic-1"),
    ("Bucket", "AWS::S3::Bucket", "evidence-1"),
    ("Database", "AWS::RDS::DBInstance", "ledger-1"),
    ("Mwaa", "AWS::MWAA::Environment", "airflow-1"),
    ("Gone", "AWS::SNS::Topic", None),
]


def there(status: str, **more: Any) -> dict[str, Any]:
    return {"out": {"Stacks": [{"StackName": NAME, "StackId": ARN, "StackStatus": status, **more}]}}


def event(token: str, resource: str, status: str, reason: str) -> dict[str, str]:
    return {
        "ClientRequestToken": token,
        "LogicalResourceId": resource,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


@dataclass
class FakeAws:
    """The fake CLI: `answers` by command, and the calls that it has got."""

    copy: Copy
    answers: dict[str, Any] = field(default_factory=dict)

    def make(self, *arguments: str, answer: str | None = None) -> Run:
        (self.copy.folder / "answers").write_text(json.dumps(self.answers))
        return self.copy.make(*arguments, answer=answer)

    @property
    def calls(self) -> list[list[str]]:
        path = self.copy.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def commands(self) -> list[str]:
        return [fake_aws.command(call).removeprefix("cloudformation ") for call in self.calls]

    def call(self, name: str) -> list[str]:
        [found] = [call for call in self.calls if call[1] == name]
        return found


@pytest.fixture
def fake(tmp_path: Path) -> FakeAws:
    """An account in which the stack is not there yet and everything succeeds."""
    program = f"{sys.executable} {Path(fake_aws.__file__)} {tmp_path}"
    answers = {
        "cloudformation describe-stacks": [ABSENT, there("CREATE_COMPLETE")],
        "cloudformation deploy": READY,
        "cloudformation describe-change-set": {"out": {"Changes": [{"ResourceChange": each} for each in CHANGES]}},
        "cloudformation list-change-sets": {"out": {"Summaries": []}},
    }
    return FakeAws(Copy.into(tmp_path, AWS=program), answers)


@pytest.fixture
def standing(fake: FakeAws) -> FakeAws:
    """The same account with a stack that has a database and an MWAA environment."""
    keys = ("LogicalResourceId", "ResourceType", "PhysicalResourceId")
    listed = [dict(zip(keys, each, strict=True)) | {"ResourceStatus": "CREATE_COMPLETE"} for each in RESOURCES]
    fake.answers |= {
        "cloudformation describe-stacks": there("UPDATE_COMPLETE"),
        "cloudformation list-stack-resources": {"out": {"StackResourceSummaries": listed}},
        "cloudformation get-template": {"out": {"TemplateBody": PATH.read_text()}},
        "rds describe-db-instances": {
            "out": {
                "DBInstances": [
                    {"DBInstanceIdentifier": "ledger-1", "DeletionProtection": False},
                    {"DBInstanceIdentifier": "somebody-elses", "DeletionProtection": True},
                ]
            }
        },
    }
    return fake


@pytest.mark.parametrize("target", ["deploy", "destroy"])
@pytest.mark.parametrize("environment", ["production", ""])
def test_an_unknown_environment_is_refused_with_those_that_are_allowed(
    fake: FakeAws, target: str, environment: str
) -> None:
    ended = fake.make(target, f"ENV={environment}", "YES=1")
    assert ended.code != 0
    assert f"ENV == '{environment}', must be one of dev, staging, prod: make {target} ENV=dev" in ended.err
    assert not fake.calls


@pytest.mark.parametrize("parameter", ["Email=ada@example.com", "AlertEmail", "Environment=prod", ".*=1"])
def test_a_parameter_that_the_template_does_not_know_is_refused_with_those_it_knows(
    fake: FakeAws, parameter: str
) -> None:
    ended = fake.make("deploy", "ENV=dev", f"PARAMETERS={parameter}", "YES=1")
    assert ended.code != 0
    known = ", ".join(name for name in PARSED["Parameters"] if name not in ("Environment", "ProjectName"))
    assert f"PARAMETERS has '{parameter}', must be NAME=VALUE with NAME one of {known}" in ended.err
    assert not fake.calls


@pytest.mark.parametrize("target", ["deploy", "destroy"])
def test_a_stack_that_may_not_be_seen_is_not_taken_for_none(fake: FakeAws, target: str) -> None:
    fake.answers["cloudformation describe-stacks"] = {"code": 254, "err": "AccessDenied: not authorized"}
    ended = fake.make(target, "ENV=dev", "YES=1")
    assert ended.code != 0
    assert "not authorized" in ended.err
    assert fake.commands == ["describe-stacks"]


def test_a_new_stack_is_shown_then_made(fake: FakeAws) -> None:
    given = "PARAMETERS=AlertEmail=ada@example.com PrivateSubnetIds=subnet-1,subnet-2"
    ended = fake.make("deploy", "ENV=staging", "PROJECT=nba", given, "YES=1")
    assert ended.code == 0, ended.err
    assert fake.commands == [
        "describe-stacks",
        "deploy",
        "describe-change-set",
        "execute-change-set",
        "wait stack-create-complete",
        "describe-stacks",
    ]
    sent = " ".join(fake.call("deploy"))
    assert "--no-execute-changeset" in sent
    assert "--stack-name nba-shadow-staging --template-file shadow.yaml --capabilities CAPABILITY_IAM" in sent
    values = "AlertEmail=ada@example.com PrivateSubnetIds=subnet-1,subnet-2 Environment=staging ProjectName=nba"
    assert (
        f"--parameter-overrides {values} --tags Project=nba Environment=staging RecommendationId=ml_systems_7" in sent
    )
    assert fake_aws.option(fake.call("execute-change-set"), "--change-set-name") == SET


def test_what_is_lost_is_shown_first(fake: FakeAws) -> None:
    lines = fake.make("deploy", "ENV=dev", "YES=1").out.splitlines()[1:5]
    assert [line.split("\t") for line in lines] == [
        ["Remove", "None", "Retain", "TaskLogs", "AWS::Logs::LogGroup"],
        ["Modify", "True", "ReplaceAndSnapshot", "Database", "AWS::RDS::DBInstance"],
        ["Modify", "False", "None", "AlertTopic", "AWS::SNS::Topic"],
        ["Add", "None", "None", "Bucket", "AWS::S3::Bucket"],
    ]


@pytest.mark.parametrize(
    ("answer", "new"),
    [("n\n", True), ("\n", False), ("yesterday\n", True), ("\x04", False), (None, True), (None, False)],
)
def test_unless_somebody_says_yes_nothing_is_executed_and_nothing_is_left(
    fake: FakeAws, answer: str | None, new: bool
) -> None:
    reviewed = [ABSENT, there("REVIEW_IN_PROGRESS")]
    fake.answers["cloudformation describe-stacks"] = reviewed if new else there("CREATE_COMPLETE")
    ended = fake.make("deploy", "ENV=dev", *([] if answer else ["YES=0"]), answer=answer)
    assert ended.code != 0
    assert "nothing was done" in ended.err
    assert ("YES=1" in ended.err) == (answer is None)
    assert "execute-change-set" not in fake.commands
    assert fake_aws.option(fake.call("delete-change-set"), "--change-set-name") == SET
    assert fake.commands.count("delete-stack") == new, "a stack that was only ever shown is empty"


def test_no_changes_are_a_success_and_the_failed_change_set_is_deleted(fake: FakeAws) -> None:
    failed = [{"ChangeSetId": SET, "Status": "FAILED"}, {"ChangeSetId": "another", "Status": "CREATE_COMPLETE"}]
    fake.answers |= {
        "cloudformation describe-stacks": there("UPDATE_COMPLETE"),
        "cloudformation deploy": EMPTY,
        "cloudformation list-change-sets": {"out": {"Summaries": failed}},
    }
    ended = fake.make("deploy", "ENV=dev")
    assert ended.code == 0, ended.err
    assert f"{NAME}: nothing to change" in ended.out
    assert fake_aws.option(fake.call("delete-change-set"), "--change-set-name") == SET
    assert "execute-change-set" not in fake.commands


def test_a_change_set_that_fails_says_why_and_is_deleted_with_its_stack(fake: FakeAws) -> None:
    fake.answers |= {
        "cloudformation describe-stacks": [ABSENT, there("REVIEW_IN_PROGRESS")],
        "cloudformation deploy": {"code": 255, "err": "Status: FAILED. Reason: WithMwaa needs VpcId"},
        "cloudformation list-change-sets": {"out": {"Summaries": [{"ChangeSetId": SET, "Status": "FAILED"}]}},
    }
    ended = fake.make("deploy", "ENV=dev", "YES=1")
    assert ended.code != 0
    assert "WithMwaa needs VpcId" in ended.err
    assert fake.commands[-2:] == ["delete-change-set", "delete-stack"]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("ROLLBACK_COMPLETE", "run make destroy ENV=dev, then deploy again"),
        ("DELETE_FAILED", "run make destroy ENV=dev, then deploy again"),
        ("UPDATE_IN_PROGRESS", "wait until that is over"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "wait until that is over"),
        ("UPDATE_ROLLBACK_FAILED", f"continue-update-rollback --stack-name {NAME}"),
        ("UPDATE_FAILED", f"rollback-stack --stack-name {NAME}"),
    ],
)
def test_a_stack_that_takes_no_update_is_named_with_the_remedy(fake: FakeAws, status: str, remedy: str) -> None:
    fake.answers["cloudformation describe-stacks"] = there(status)
    ended = fake.make("deploy", "ENV=dev", "YES=1")
    assert ended.code != 0
    assert f"{NAME} is {status}" in ended.err
    assert remedy in ended.err
    assert fake.commands == ["describe-stacks"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("REVIEW_IN_PROGRESS", "create"),
        ("CREATE_COMPLETE", "update"),
        ("UPDATE_COMPLETE", "update"),
        ("UPDATE_ROLLBACK_COMPLETE", "update"),
        ("IMPORT_ROLLBACK_COMPLETE", "update"),
    ],
)
def test_it_waits_for_what_the_change_set_does(fake: FakeAws, status: str, kind: str) -> None:
    fake.answers["cloudformation describe-stacks"] = there(status)
    assert fake.make("deploy", "ENV=dev", "YES=1").code == 0
    assert f"wait stack-{kind}-complete" in fake.commands


def test_a_stack_that_fails_says_what_failed_first_this_time(fake: FakeAws) -> None:
    fake.answers |= {
        "cloudformation wait stack-create-complete": WAITED,
        "cloudformation describe-stack-events": {
            "out": {
                "StackEvents": [
                    event("TOKEN", NAME, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed"),
                    event("TOKEN", "Dashboard", "CREATE_FAILED", "Resource creation cancelled"),
                    event("TOKEN", "AlertTopic", "CREATE_FAILED", "the topic exists already"),
                    event("before", "Bucket", "CREATE_FAILED", "a failure of last year"),
                ]
            }
        },
    }
    ended = fake.make("deploy", "ENV=dev", "YES=1")
    assert ended.code != 0
    failures = [line.split("\t") for line in ended.out.splitlines() if "CREATE_FAILED" in line]
    assert failures == [
        ["AlertTopic", "CREATE_FAILED", "the topic exists already"],
        ["Dashboard", "CREATE_FAILED", "Resource creation cancelled"],
    ]
    assert f"{NAME} did not reach stack-create-complete" in ended.err
    assert not {"delete-stack", "delete-change-set"} & set(fake.commands)


@pytest.mark.parametrize(
    ("environment", "prepared", "protected"),
    [("dev", READY, False), ("staging", READY, False), ("prod", READY, True), ("prod", EMPTY, True)],
)
def test_only_prod_is_protected_against_deletion_also_where_nothing_changes(
    fake: FakeAws, environment: str, prepared: dict[str, str], protected: bool
) -> None:
    fake.answers |= {"cloudformation describe-stacks": there("CREATE_COMPLETE"), "cloudformation deploy": prepared}
    assert fake.make("deploy", f"ENV={environment}", "YES=1").code == 0
    assert ("update-termination-protection" in fake.commands) == protected


def test_after_a_deploy_the_outputs_are_listed(fake: FakeAws) -> None:
    outputs = [{"OutputKey": "TopicArn", "OutputValue": "topic-1"}, {"OutputKey": "BucketName", "OutputValue": "b-1"}]
    fake.answers["cloudformation describe-stacks"] = [ABSENT, there("CREATE_COMPLETE", Outputs=outputs)]
    ended = fake.make("deploy", "ENV=dev", "YES=1")
    assert ended.out.splitlines()[-2:] == ["BucketName\tb-1", "TopicArn\ttopic-1"]


def test_destroying_what_is_not_there_is_done(fake: FakeAws) -> None:
    ended = fake.make("destroy", "ENV=dev")
    assert (ended.code, ended.out) == (0, f"{NAME} does not exist: nothing to destroy\n")
    assert fake.commands == ["describe-stacks"]


@pytest.mark.parametrize("answer", ["n\n", None])
def test_before_the_question_it_shows_what_goes_and_what_is_kept(standing: FakeAws, answer: str | None) -> None:
    ended = standing.make("destroy", "ENV=dev", answer=answer)
    assert ended.code != 0
    assert "nothing was done" in ended.err
    assert "delete-stack" not in standing.commands
    assert ended.out.splitlines() == [
        f"delete {ARN}:",
        "  DELETED   AlertTopic              AWS::SNS::Topic             topic-1",
        "  DELETED   Mwaa                    AWS::MWAA::Environment      airflow-1",
        "  kept      Bucket                  AWS::S3::Bucket             evidence-1",
        "  kept      log groups /aws/rds/instance/ledger-1/*, made by RDS",
        "  kept      log groups airflow-airflow-1-*, made by MWAA",
        "  snapshot  Database                AWS::RDS::DBInstance        ledger-1",
    ]


@pytest.mark.parametrize("status", ["UPDATE_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_FAILED"])
def test_after_a_yes_the_stack_is_deleted_and_what_is_kept_is_listed_again(standing: FakeAws, status: str) -> None:
    standing.answers["cloudformation describe-stacks"] = there(status)
    ended = standing.make("destroy", "ENV=dev", answer="yes\n")
    assert ended.code == 0, ended.err
    assert fake_aws.option(standing.call("delete-stack"), "--stack-name") == ARN
    assert standing.commands[-2:] == ["delete-stack", "wait stack-delete-complete"]
    left = ended.out.split("is deleted. What was kept costs until you delete it:")[1]
    assert "evidence-1" in left
    assert "topic-1" not in left


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        (
            {"cloudformation describe-stacks": there("CREATE_COMPLETE", EnableTerminationProtection=True)},
            f"--no-enable-termination-protection --stack-name {NAME}",
        ),
        (
            {
                "rds describe-db-instances": {
                    "out": {"DBInstances": [{"DBInstanceIdentifier": "ledger-1", "DeletionProtection": True}]}
                }
            },
            "--no-deletion-protection --apply-immediately --db-instance-identifier ledger-1",
        ),
        ({"cloudformation describe-stacks": there("UPDATE_IN_PROGRESS")}, "wait until that is over"),
    ],
)
def test_what_is_protected_or_at_work_is_not_deleted_by_half(
    standing: FakeAws, changed: dict[str, Any], remedy: str
) -> None:
    standing.answers |= changed
    ended = standing.make("destroy", "ENV=dev", "YES=1")
    assert ended.code != 0
    assert remedy in ended.err
    assert "delete-stack" not in standing.commands


def test_a_deletion_that_fails_says_what_is_in_the_way(standing: FakeAws) -> None:
    events = [event("TOKEN", "AlertTopic", "DELETE_FAILED", "somebody holds it")]
    standing.answers |= {
        "cloudformation wait stack-delete-complete": WAITED,
        "cloudformation describe-stack-events": {"out": {"StackEvents": events}},
    }
    ended = standing.make("destroy", "ENV=dev", "YES=1")
    assert ended.code != 0
    assert "AlertTopic\tDELETE_FAILED\tsomebody holds it" in ended.out
    assert f"{NAME} did not reach stack-delete-complete" in ended.err
