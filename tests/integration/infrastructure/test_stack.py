"""`make deploy` and `make destroy` against an `aws` that records what it is asked and answers what a test has set."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from include.infrastructure import stack, template
from tests.conftest import PROJECT

NAME = "nba-simulator-shadow-dev"
ARN = f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{NAME}/1"
SET = "arn:aws:cloudformation:eu-central-1:123456789012:changeSet/deploy/2"
ABSENT = {"code": 254, "err": f"An error occurred (ValidationError): Stack with id {NAME} does not exist"}
REVIEWED = [
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
PROGRAM = """#!{python} -SE
import json, pathlib, sys
folder = pathlib.Path({folder!r})
asked = sys.argv[1:]
with open(folder / "asked", "a") as file:
    file.write(json.dumps(asked) + chr(10))
key = " ".join(asked[: 3 if asked[1] == "wait" else 2])
answers = json.loads((folder / "answers").read_text())
answer = answers.get(key, {{}})
if isinstance(answer, list):
    before = [json.loads(line) for line in open(folder / "asked")]
    count = sum(" ".join(one[: 3 if one[1] == "wait" else 2]) == key for one in before)
    answer = answer[min(count, len(answer)) - 1]
sys.stdout.write(json.dumps(answer["out"]) if "out" in answer else "")
sys.stderr.write(answer.get("err", ""))
sys.exit(answer.get("code", 0))
"""


@dataclass
class FakeAws:
    """The imitation: `answers` by command, a list where successive calls are answered differently."""

    folder: Path
    answers: dict[str, Any] = field(default_factory=dict)

    def install(self) -> None:
        (self.folder / "answers").write_text(json.dumps(self.answers))
        program = self.folder / "aws"
        program.write_text(PROGRAM.format(python=sys.executable, folder=str(self.folder)))
        program.chmod(0o755)

    @property
    def asked(self) -> list[list[str]]:
        path = self.folder / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def commands(self) -> list[str]:
        return [" ".join(one[1 : 3 if one[1] == "wait" else 2]) for one in self.asked]

    def option(self, command: str, name: str) -> str:
        """What was given for an option of the one call of this command."""
        (found,) = [one for one in self.asked if one[1] == command]
        return found[found.index(name) + 1]


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    """An account in which the stack is not there yet and everything succeeds."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return FakeAws(
        tmp_path,
        {
            "sts get-caller-identity": {"out": {"Account": "123456789012"}},
            "cloudformation describe-stacks": [ABSENT, there("CREATE_COMPLETE")],
            "cloudformation create-change-set": {"out": {"Id": SET, "StackId": ARN}},
            "cloudformation describe-change-set": reviewed("CREATE_COMPLETE"),
        },
    )


@pytest.fixture
def run(
    aws: FakeAws, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command; `answer` is what somebody at a terminal types, None where there is no terminal."""

    def call(*arguments: str, answer: str | None = None) -> tuple[int, str, str]:
        aws.install()
        stdin = io.StringIO("" if answer is None else answer)
        monkeypatch.setattr(stdin, "isatty", lambda: answer is not None)
        monkeypatch.setattr(sys, "stdin", stdin)
        code = stack.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


Run = Callable[..., tuple[int, str, str]]


def there(status: str, **more: Any) -> dict[str, Any]:
    return {"out": {"Stacks": [{"StackName": NAME, "StackId": ARN, "StackStatus": status, **more}]}}


def reviewed(status: str, reason: str | None = None) -> dict[str, Any]:
    changes = [{"Type": "Resource", "ResourceChange": one} for one in REVIEWED] if reason is None else []
    return {"out": {"Status": status, "Changes": changes, **({"StatusReason": reason} if reason else {})}}


def event(name: str, status: str, reason: str, *, of_stack: bool = False) -> dict[str, Any]:
    return {
        "StackId": ARN,
        "PhysicalResourceId": ARN if of_stack else name,
        "LogicalResourceId": name,
        "ResourceType": "AWS::S3::Bucket",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


EVENTS = {
    "out": {
        "StackEvents": [
            event(NAME, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed", of_stack=True),
            event("Dashboard", "CREATE_FAILED", "Resource creation cancelled"),
            event("AlertTopic", "CREATE_FAILED", "topic is there already"),
            event(NAME, "CREATE_IN_PROGRESS", "User Initiated", of_stack=True),
            event("Bucket", "CREATE_FAILED", "a failure of last year"),
        ]
    }
}


# ---- prerequisites


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_an_unknown_environment_is_a_wrong_call(aws: FakeAws, run: Run, command: str) -> None:
    code, _, err = run(command, "production", "--yes")
    assert code == 2
    assert "ENV == 'production', must be one of dev, staging, prod" in err
    assert not aws.asked


def test_without_the_command_line_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stack.main(["deploy", "dev"]) == 1
    assert "aws is not on PATH" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_without_credentials_nothing_else_is_asked(aws: FakeAws, run: Run, command: str) -> None:
    aws.answers["sts get-caller-identity"] = {"code": 253, "err": "Unable to locate credentials."}
    code, _, err = run(command, "dev", "--yes")
    assert code == 1
    assert "Unable to locate credentials" in err
    assert "aws configure" in err
    assert aws.commands == ["get-caller-identity"]


def test_a_stack_that_may_not_be_seen_is_not_taken_for_none(aws: FakeAws, run: Run) -> None:
    aws.answers["cloudformation describe-stacks"] = {"code": 254, "err": "AccessDenied: not authorized"}
    code, _, err = run("deploy", "dev", "--yes")
    assert code == 1
    assert "not authorized" in err
    assert aws.commands == ["get-caller-identity", "describe-stacks"]


def test_a_parameter_that_the_template_does_not_know_is_refused_with_those_it_knows(aws: FakeAws, run: Run) -> None:
    code, _, err = run("deploy", "dev", "--parameter", "Email=ada@example.com")
    assert code == 1
    assert "'Email' must be one of AlertEmail, " in err
    assert not aws.asked


# ---- deploy


def test_a_new_stack_is_reviewed_then_made(aws: FakeAws, run: Run) -> None:
    code, out, _ = run("deploy", "dev", "--parameter", "AlertEmail=ada@example.com", answer="y\n")
    assert code == 0
    assert aws.commands == [
        "get-caller-identity",
        "describe-stacks",
        "create-change-set",
        "wait change-set-create-complete",
        "describe-change-set",
        "execute-change-set",
        "wait stack-create-complete",
        "describe-stacks",
    ]
    assert out.index("new stack nba-simulator-shadow-dev in account 123456789012, eu-central-1") < out.index("[y/N]")
    assert aws.option("create-change-set", "--change-set-type") == "CREATE"
    assert aws.option("create-change-set", "--capabilities") == "CAPABILITY_IAM"
    assert aws.option("create-change-set", "--template-body") == f"file://{template.PATH}"
    sent = json.loads(aws.option("create-change-set", "--parameters"))
    assert {one["ParameterKey"]: one["ParameterValue"] for one in sent} == {
        "AlertEmail": "ada@example.com",
        "Environment": "dev",
        "ProjectName": "nba-simulator",
    }
    tags = json.loads(aws.option("create-change-set", "--tags"))
    assert {one["Key"]: one["Value"] for one in tags} == {"Project": "nba-simulator", "Environment": "dev"}


def test_what_is_lost_is_shown_first(run: Run) -> None:
    _, out, _ = run("deploy", "dev", "--yes")
    shown = [line.split() for line in out.splitlines()[1:5]]
    assert [line[:2] for line in shown] == [
        ["REMOVE", "TaskLogs"],
        ["change", "Database"],
        ["change", "AlertTopic"],
        ["add", "Bucket"],
    ]
    assert "(the old one is kept)" in out.splitlines()[1]
    assert out.splitlines()[2].endswith("REPLACED  (a snapshot is kept)")
    assert "REPLACED" not in out.splitlines()[3]


def test_an_existing_stack_keeps_the_parameters_that_are_not_given(aws: FakeAws, run: Run) -> None:
    before = [{"ParameterKey": key, "ParameterValue": "x"} for key in ("AlertEmail", "WithMwaa", "Environment", "Gone")]
    aws.answers["cloudformation describe-stacks"] = there("UPDATE_ROLLBACK_COMPLETE", Parameters=before)
    code, _, _ = run("deploy", "dev", "--yes", "--parameter", "WithMwaa=true")
    assert code == 0
    assert aws.option("create-change-set", "--change-set-type") == "UPDATE"
    assert "wait stack-update-complete" in aws.commands
    sent = {one["ParameterKey"]: one for one in json.loads(aws.option("create-change-set", "--parameters"))}
    assert set(sent) == {"AlertEmail", "WithMwaa", "Environment", "ProjectName"}
    assert sent["AlertEmail"] == {"ParameterKey": "AlertEmail", "UsePreviousValue": True}
    assert sent["WithMwaa"]["ParameterValue"] == "true"


@pytest.mark.parametrize("answer", ["n\n", "\n", "", None])
@pytest.mark.parametrize("new", [True, False])
def test_unless_somebody_says_yes_nothing_is_done_and_nothing_is_left(
    aws: FakeAws, run: Run, answer: str | None, new: bool
) -> None:
    if not new:
        aws.answers["cloudformation describe-stacks"] = there("CREATE_COMPLETE")
    code, out, err = run("deploy", "dev", answer=answer)
    assert code == 1
    assert "nothing was done" in out
    assert "execute-change-set" not in aws.commands
    assert aws.option("delete-change-set", "--change-set-name") == SET
    assert aws.commands.count("delete-stack") == (1 if new else 0), "a stack that was only reviewed is empty"
    assert ("YES=1" in err) == (answer is None)


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_no_changes_are_a_success_and_leave_no_change_set(aws: FakeAws, run: Run, reason: str) -> None:
    aws.answers["cloudformation describe-stacks"] = there("UPDATE_COMPLETE")
    aws.answers["cloudformation wait change-set-create-complete"] = {"code": 255, "err": "Waiter failed"}
    aws.answers["cloudformation describe-change-set"] = reviewed("FAILED", reason)
    code, out, _ = run("deploy", "dev")
    assert (code, out) == (0, f"{NAME}: nothing to change\n")
    assert aws.commands[-1] == "delete-change-set"


def test_a_change_set_that_fails_says_why_and_is_deleted(aws: FakeAws, run: Run) -> None:
    aws.answers["cloudformation wait change-set-create-complete"] = {"code": 255, "err": "Waiter failed"}
    aws.answers["cloudformation describe-change-set"] = reviewed("FAILED", "WithMwaa needs VpcId")
    code, _, err = run("deploy", "dev", "--yes")
    assert code == 1
    assert "FAILED: WithMwaa needs VpcId" in err
    assert aws.commands[-2:] == ["delete-change-set", "delete-stack"]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("ROLLBACK_COMPLETE", "make destroy, then deploy again"),
        ("DELETE_FAILED", "make destroy, then deploy again"),
        ("UPDATE_IN_PROGRESS", "wait for its end"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "wait for its end"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    ],
)
def test_a_stack_that_takes_no_changes_is_named_with_the_remedy(
    aws: FakeAws, run: Run, status: str, remedy: str
) -> None:
    aws.answers["cloudformation describe-stacks"] = there(status)
    code, _, err = run("deploy", "dev", "--yes")
    assert code == 1
    assert status in err
    assert remedy in err
    assert "create-change-set" not in aws.commands


def test_a_stack_that_was_only_ever_reviewed_is_new(aws: FakeAws, run: Run) -> None:
    aws.answers["cloudformation describe-stacks"] = there("REVIEW_IN_PROGRESS")
    run("deploy", "dev", "--yes")
    assert aws.option("create-change-set", "--change-set-type") == "CREATE"


def test_a_stack_that_does_not_come_up_says_what_failed_first_this_time(aws: FakeAws, run: Run) -> None:
    aws.answers["cloudformation wait stack-create-complete"] = {"code": 255, "err": "Waiter failed"}
    aws.answers["cloudformation describe-stack-events"] = EVENTS
    code, _, err = run("deploy", "dev", "--yes")
    assert code == 1
    assert err.index("topic is there already") < err.index("creation cancelled")
    assert "last year" not in err


@pytest.mark.parametrize(("environment", "protected"), [("dev", False), ("staging", False), ("prod", True)])
def test_only_prod_is_protected_against_deletion(aws: FakeAws, run: Run, environment: str, protected: bool) -> None:
    code, _, _ = run("deploy", environment, "--yes")
    assert code == 0
    assert aws.option("create-change-set", "--stack-name") == f"nba-simulator-shadow-{environment}"
    assert ("update-termination-protection" in aws.commands) == protected


def test_prod_is_protected_even_where_there_is_nothing_to_change(aws: FakeAws, run: Run) -> None:
    aws.answers["cloudformation describe-stacks"] = there("CREATE_COMPLETE")
    aws.answers["cloudformation describe-change-set"] = reviewed("FAILED", "No updates are to be performed.")
    assert run("deploy", "prod", "--yes")[0] == 0
    assert aws.commands[-1] == "update-termination-protection"


# ---- destroy

RESOURCES = [
    ("Bucket", "AWS::S3::Bucket", "evidence-1"),
    ("Database", "AWS::RDS::DBInstance", "ledger-1"),
    ("AlertTopic", "AWS::SNS::Topic", "topic-1"),
]
DEPLOYED = """
Resources:
  Bucket: {Type: AWS::S3::Bucket, DeletionPolicy: Retain}
  Database: {Type: AWS::RDS::DBInstance, DeletionPolicy: Snapshot, Properties: {KmsKeyId: !GetAtt Key.Arn}}
  AlertTopic: {Type: AWS::SNS::Topic, Properties: {TopicName: !Sub "${A}"}}
"""


@pytest.fixture
def deployed(aws: FakeAws) -> FakeAws:
    """The same account with a stack that has a database."""
    listed = [
        {
            "LogicalResourceId": name,
            "ResourceType": kind,
            "PhysicalResourceId": known,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for name, kind, known in RESOURCES
    ]
    aws.answers |= {
        "cloudformation describe-stacks": there("UPDATE_COMPLETE"),
        "cloudformation list-stack-resources": {"out": {"StackResourceSummaries": listed}},
        "cloudformation get-template": {"out": {"TemplateBody": DEPLOYED}},
        "rds describe-db-instances": {"out": {"DBInstances": [{"DeletionProtection": False}]}},
    }
    return aws


def test_destroying_what_is_not_there_is_done(aws: FakeAws, run: Run) -> None:
    code, out, _ = run("destroy", "dev")
    assert code == 0
    assert "nothing to destroy" in out
    assert aws.commands == ["get-caller-identity", "describe-stacks"]


def test_before_the_question_it_shows_what_goes_and_what_is_kept(deployed: FakeAws, run: Run) -> None:
    code, out, _ = run("destroy", "dev", answer="n\n")
    assert code == 1
    assert "delete-stack" not in deployed.commands
    gone, kept = out[: out.index("delete nba-simulator-shadow-dev?")].split("kept:")
    assert "topic-1" in gone
    assert "topic-1" not in kept
    assert [line.split()[-4:] for line in kept.splitlines() if "evidence-1" in line] == [
        ["evidence-1", "as", "it", "is"]
    ]
    assert "as a final snapshot" in next(line for line in kept.splitlines() if "ledger-1" in line)
    assert "/aws/rds/instance/ledger-1/" in kept


def test_after_a_yes_the_stack_is_deleted_and_what_is_kept_is_said_again(deployed: FakeAws, run: Run) -> None:
    code, out, _ = run("destroy", "dev", answer="yes\n")
    assert code == 0
    assert deployed.option("delete-stack", "--stack-name") == ARN
    assert deployed.commands[-2:] == ["delete-stack", "wait stack-delete-complete"]
    assert "evidence-1" in out.split("is deleted")[1]


def test_without_a_terminal_destroy_needs_yes(deployed: FakeAws, run: Run) -> None:
    assert run("destroy", "dev")[0] == 1
    assert "delete-stack" not in deployed.commands
    assert run("destroy", "dev", "--yes")[0] == 0
    assert "delete-stack" in deployed.commands


def test_a_stack_that_never_came_up_can_be_destroyed(deployed: FakeAws, run: Run) -> None:
    deployed.answers["cloudformation describe-stacks"] = there("ROLLBACK_COMPLETE")
    assert run("destroy", "dev", "--yes")[0] == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"cloudformation describe-stacks": there("CREATE_COMPLETE", EnableTerminationProtection=True)},
            "--no-enable-termination-protection",
        ),
        (
            {"rds describe-db-instances": {"out": {"DBInstances": [{"DeletionProtection": True}]}}},
            "--no-deletion-protection",
        ),
        ({"cloudformation describe-stacks": there("UPDATE_IN_PROGRESS")}, "wait for its end"),
    ],
)
def test_what_is_protected_or_at_work_is_not_deleted_by_half(
    deployed: FakeAws, run: Run, changed: dict[str, Any], said: str
) -> None:
    deployed.answers |= changed
    code, _, err = run("destroy", "dev", "--yes")
    assert code == 1
    assert said in err
    assert "delete-stack" not in deployed.commands


def test_a_deletion_that_fails_says_what_is_in_the_way(deployed: FakeAws, run: Run) -> None:
    deployed.answers["cloudformation wait stack-delete-complete"] = {"code": 255, "err": "Waiter failed"}
    deployed.answers["cloudformation describe-stack-events"] = {
        "out": {"StackEvents": [event("AlertTopic", "DELETE_FAILED", "somebody holds it")]}
    }
    code, _, err = run("destroy", "dev", "--yes")
    assert code == 1
    assert "AlertTopic (AWS::S3::Bucket): somebody holds it" in err


# ---- make


def recipe(*arguments: str) -> str:
    """Return what make would run; the tests themselves may be run by a make, whose variables are not this one's."""
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "-n", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]


def test_make_hands_over_environment_parameters_and_yes() -> None:
    options = ["ENV=dev", "PARAMETERS=AlertEmail=ada@example.com WithMwaa=true", "YES=1", "PROJECT=nba"]
    assert recipe("deploy", *options).split("include.infrastructure.stack ")[1].split() == [
        *("deploy", '"dev"', "--project", '"nba"', "--parameter", '"AlertEmail=ada@example.com"'),
        *("--parameter", '"WithMwaa=true"', "--yes"),
    ]
    assert recipe("destroy").split("include.infrastructure.stack ")[1].split() == ["destroy", '""']
