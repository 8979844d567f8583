"""A change set: what CloudFormation would do to a stack, made, read and then executed or thrown away."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from include.infrastructure import template
from include.infrastructure.aws_command import Aws, StackError

UNCHANGED = ("didn't contain changes", "No updates are to be performed")
_ACTIONS = {"Add": "add", "Modify": "change", "Remove": "REMOVE", "Import": "import", "Dynamic": "decide"}


@dataclass(frozen=True)
class ChangeSet:
    """One that is ready to be executed: its own ARN, the stack's, whether that is new, and the changes."""

    arn: str
    stack: str
    new: bool
    changes: list[dict[str, Any]]

    @property
    def lines(self) -> list[str]:
        """One line for each resource, those that are removed or replaced first."""
        return [_line(one) for one in sorted(self.changes, key=_gentle)]


def create(
    aws: Aws, name: str, parameters: list[dict[str, Any]], tags: dict[str, str], *, new: bool
) -> ChangeSet | None:
    """Return the change set that makes a stack what the template says; None where it is that already.

    Nothing is left behind where CloudFormation refuses: raises StackError with its reason, or AwsRefusedError.
    """
    made = aws.call(
        *("cloudformation", "create-change-set", "--stack-name", name),
        *("--change-set-name", f"deploy-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}"),
        *("--change-set-type", "CREATE" if new else "UPDATE"),
        *("--template-body", f"file://{template.PATH}"),
        *("--capabilities", "CAPABILITY_IAM"),
        *("--parameters", json.dumps(parameters)),
        *("--tags", json.dumps([{"Key": key, "Value": value} for key, value in tags.items()])),
    )
    arn, stack = made["Id"], made["StackId"]
    aws.waits("change-set-create-complete", "--change-set-name", arn)
    found = aws.call("cloudformation", "describe-change-set", "--change-set-name", arn)
    ready = ChangeSet(arn, stack, new, [one["ResourceChange"] for one in found.get("Changes", [])])
    if found["Status"] == "CREATE_COMPLETE":
        return ready
    reason = found.get("StatusReason") or "CloudFormation gives no reason"
    discard(aws, ready)
    if any(words in reason for words in UNCHANGED):
        return None
    raise StackError(f"the change set of {name} is {found['Status']}: {reason}")


def discard(aws: Aws, unwanted: ChangeSet) -> None:
    """Delete a change set, and the empty stack that it has made where the stack is new."""
    aws.call("cloudformation", "delete-change-set", "--change-set-name", unwanted.arn)
    if unwanted.new:
        aws.call("cloudformation", "delete-stack", "--stack-name", unwanted.stack)


def execute(aws: Aws, wanted: ChangeSet) -> None:
    """Execute a change set and wait for the stack; raise StackError with what has failed."""
    aws.call("cloudformation", "execute-change-set", "--change-set-name", wanted.arn)
    reached = "stack-create-complete" if wanted.new else "stack-update-complete"
    if not aws.waits(reached, "--stack-name", wanted.stack):
        raise StackError("\n".join(["the stack did not come up; CloudFormation says:", *failures(aws, wanted.stack)]))


def failures(aws: Aws, stack: str) -> list[str]:
    """Return a line for each resource that failed in the newest operation on a stack, the first failure first."""
    found = []
    for event in aws.call("cloudformation", "describe-stack-events", "--stack-name", stack)["StackEvents"]:
        reason = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("FAILED"):
            found.append(f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason or 'no reason'}")
        if event.get("PhysicalResourceId") == event.get("StackId") and reason == "User Initiated":
            break
    return found[::-1] or ["  nothing that failed: it may be at work still, see its events"]


def _gentle(change: dict[str, Any]) -> tuple[bool, bool, str]:
    replaced = change.get("Replacement", "False") != "False"
    return change["Action"] != "Remove", not replaced, change["LogicalResourceId"]


def _line(change: dict[str, Any]) -> str:
    replaced = {"True": "  REPLACED", "Conditional": "  perhaps REPLACED"}.get(change.get("Replacement", ""), "")
    left = {"Retain": "  (the old one is kept)", "Snapshot": "  (a snapshot is kept)"}
    kept = left.get(change.get("PolicyAction", "").removeprefix("ReplaceAnd"), "")
    action = _ACTIONS.get(change["Action"], change["Action"])
    return f"  {action:<7} {change['LogicalResourceId']:<22} {change['ResourceType']}{replaced}{kept}"
