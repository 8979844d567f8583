"""`make deploy` and `make destroy` with the real AWS CLI, which uv installs from PyPI, against moto.

Moto cannot execute the whole template, so that is shown and discarded; SMALL is executed. Failures, stacks at work,
replacements, protection and snapshots, which moto does not have, are in test_stack_answers.py.
"""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.infrastructure.guide import DEPLOY, DESTROY
from tests.integration.infrastructure.make import Copy
from tests.integration.infrastructure.template import PARSED
from tests.receivers import KEYS, REGION, aws

SMALL = """
Parameters:
  Environment:
    Type: String
  ProjectName:
    Type: String
  AlertEmail:
    Type: String
    Default: ""
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
  AlertTopic:
    Type: AWS::SNS::Topic
    Properties:
      TopicName: !Sub "${ProjectName}-shadow-${Environment}"
      DisplayName: !Ref AlertEmail
"""


class Account:
    """An account at moto."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        self.environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": REGION, **keys}
        self.client = boto3.client("cloudformation", endpoint_url=endpoint, region_name=REGION, **KEYS)

    def stack(self, project: str) -> dict[str, Any] | None:
        found = self.client.describe_stacks()["Stacks"]
        return next((stack for stack in found if stack["StackName"] == f"{project}-shadow-dev"), None)

    def parameters(self, project: str) -> dict[str, str]:
        found = self.stack(project)
        assert found is not None
        return {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}

    def change_sets(self, project: str) -> list[str]:
        found = self.client.list_change_sets(StackName=f"{project}-shadow-dev")["Summaries"]
        return [each["Status"] for each in found if each["StackName"] == f"{project}-shadow-dev"]


@pytest.fixture(scope="module")
def account(cli: list[str]) -> Iterator[Account]:
    from moto.cloudformation.responses import CloudFormationResponse

    with pytest.MonkeyPatch.context() as patch, aws() as endpoint:
        # Moto refuses an update without changes; AWS makes a change set of it, which fails, as moto does without this.
        patch.setattr(CloudFormationResponse, "_validate_different_update", lambda *_: None)
        yield Account(endpoint)


@pytest.fixture
def copy(account: Account, tmp_path: Path) -> Copy:
    return Copy.into(tmp_path, **account.environment)


@pytest.fixture
def project() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def deployed(account: Account, copy: Copy, project: str) -> str:
    """A project that has a stack."""
    values = {"Environment": "dev", "ProjectName": project, "AlertEmail": "ada@example.com"}
    account.client.create_stack(
        StackName=f"{project}-shadow-dev",
        TemplateBody=SMALL,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    )
    copy.use(SMALL)
    return project


def test_the_whole_template_makes_a_change_set_that_is_shown_and_without_a_yes_nothing_stays(
    account: Account, copy: Copy, project: str
) -> None:
    ended = copy.make(*DEPLOY, f"PROJECT={project}", answer="n\n")
    assert ended.code != 0
    assert f"change set to create {project}-shadow-dev: arn:aws:cloudformation:{REGION}:123456789012:" in ended.out
    shown = re.findall(r"^\|  Add .*\|  (\w+) +\|  AWS::", ended.out, re.MULTILINE)
    assert sorted(shown) == sorted(PARSED["Resources"])
    assert "nothing was done" in ended.err
    assert account.stack(project) is None
    assert not account.change_sets(project)


def test_a_yes_at_the_terminal_executes_the_change_set(account: Account, copy: Copy, project: str) -> None:
    copy.use(SMALL)
    ended = copy.make(*DEPLOY, f"PROJECT={project}", answer="y\n")
    assert ended.code == 0, ended.err
    assert "execute this change set? [y/N]" in ended.err
    found = account.stack(project)
    assert found is not None
    assert found["StackStatus"] == "CREATE_COMPLETE"
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
        "Project": project,
        "Environment": "dev",
        "RecommendationId": "ml_systems_7",
    }
    assert account.parameters(project) == {"AlertEmail": "", "Environment": "dev", "ProjectName": project}


def test_a_deploy_without_changes_says_so_and_leaves_no_change_set(account: Account, copy: Copy, deployed: str) -> None:
    ended = copy.make("deploy", "ENV=dev", f"PROJECT={deployed}")
    assert (ended.code, ended.err) == (0, "")
    assert f"{deployed}-shadow-dev: nothing to change" in ended.out
    assert not account.change_sets(deployed)


def test_an_update_keeps_the_parameters_that_are_not_given(account: Account, copy: Copy, deployed: str) -> None:
    copy.use(SMALL + "  Second:\n    Type: AWS::SNS::Topic\n")
    ended = copy.make("deploy", "ENV=dev", f"PROJECT={deployed}", "YES=1")
    assert ended.code == 0, ended.err
    assert f"change set to update {deployed}-shadow-dev" in ended.out
    assert re.search(r"Add .* Second ", ended.out)
    found = account.stack(deployed)
    assert found is not None
    assert found["StackStatus"] == "UPDATE_COMPLETE"
    assert account.parameters(deployed)["AlertEmail"] == "ada@example.com"


def test_destroy_lists_what_goes_and_what_is_kept_and_deletes_after_a_yes(
    account: Account, copy: Copy, deployed: str
) -> None:
    ended = copy.make(*DESTROY, f"PROJECT={deployed}", answer="y\n")
    assert ended.code == 0, ended.err
    listed = ended.out[: ended.out.index("is deleted")]
    assert re.search(r"^  kept +Bucket +AWS::S3::Bucket", listed, re.MULTILINE)
    assert re.search(rf"^  DELETED +AlertTopic +AWS::SNS::Topic +\S+:{deployed}-shadow-dev$", listed, re.MULTILINE)
    assert account.stack(deployed) is None


def test_without_credentials_it_says_what_the_cli_says(cli: list[str], tmp_path: Path) -> None:
    ended = Copy.into(tmp_path, AWS_DEFAULT_REGION=REGION).make("deploy", "ENV=dev", "YES=1")
    assert ended.code != 0
    assert ended.out == ""
    assert "Unable to locate credentials" in ended.err
