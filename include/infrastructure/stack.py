"""`python -m include.infrastructure.stack deploy | destroy ENVIRONMENT`: the stack of one environment on AWS.

Nothing is done that was not shown before, and confirmed, or asked for with --yes. What is called is the `aws` command
line, with the credentials and the region that it finds.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from include.infrastructure import aws_command, change_set, template
from include.infrastructure.aws_command import Aws, AwsRefusedError, StackError
from shadow_deployment.errors import PermanentError

ENVIRONMENTS = ("dev", "staging", "prod")
PROTECTED = "prod"
KEPT = {"Retain": "as it is", "Snapshot": "as a final snapshot"}
LEFT = {
    "AWS::RDS::DBInstance": "the log groups /aws/rds/instance/{id}/*, which RDS has made",
    "AWS::MWAA::Environment": "the log groups airflow-{id}-*, which MWAA has made",
}
_READY = re.compile(r"(CREATE|UPDATE|UPDATE_ROLLBACK|IMPORT|IMPORT_ROLLBACK)_COMPLETE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 where all is done or nothing was to do, 1 where it was refused, 2 for a wrong call."""
    call = _arguments().parse_args(arguments)
    if call.environment not in ENVIRONMENTS:
        _say(f"ENV == {call.environment!r}, must be one of {', '.join(ENVIRONMENTS)}: make {call.command} ENV=dev")
        return 2
    try:
        if call.command == "deploy":
            return deploy(call.environment, dict(call.parameter), project=call.project, yes=call.yes)
        return destroy(call.environment, project=call.project, yes=call.yes)
    except PermanentError as error:
        _say(str(error))
        return 1


def deploy(environment: str, given: dict[str, str], *, project: str, yes: bool) -> int:
    """Bring the stack to what the template says, after its change set was read; return the exit code.

    `given` are parameters of the template; one that is not given keeps its value, or its default in a new stack.
    """
    declared = template.parse(template.PATH.read_text(encoding="utf-8"))["Parameters"]
    _require_known(given, declared)
    aws = aws_command.find()
    name = stack_name(project, environment)
    found = look(aws, name)
    _require_deployable(name, found)
    new = found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS"
    before = set() if found is None or new else {one["ParameterKey"] for one in found.get("Parameters", [])}
    fixed = {**given, "Environment": environment, "ProjectName": project}
    tags = {"Project": project, "Environment": environment}
    wanted = change_set.create(aws, name, _parameters(declared, fixed, before), tags, new=new)
    if wanted is None:
        print(f"{name}: nothing to change")
        _protect(aws, name, environment)
        return 0
    print("\n".join([f"{'new stack' if new else 'changes of'} {name} in {_place(wanted.stack)}:", *wanted.lines]))
    if not _confirmed("execute this change set?", yes=yes):
        change_set.discard(aws, wanted)
        print("nothing was done; the change set is deleted")
        return 1
    change_set.execute(aws, wanted)
    _protect(aws, name, environment)
    _print_outputs(look(aws, name))
    return 0


def destroy(environment: str, *, project: str, yes: bool) -> int:
    """Delete the stack, after it was shown what goes and what is kept; return the exit code."""
    aws = aws_command.find()
    name = stack_name(project, environment)
    found = look(aws, name)
    if found is None:
        print(f"{name}: there is no such stack, nothing to destroy")
        return 0
    _require_destroyable(aws, name, found)
    stack = found["StackId"]
    kept, gone = _fates(aws, stack)
    print("\n".join([f"{name} in {_place(stack)}", "deleted for ever:", *gone, "kept:", *(kept or ["  nothing"])]))
    if not _confirmed(f"delete {name}?", yes=yes):
        print("nothing was done")
        return 1
    aws.call("cloudformation", "delete-stack", "--stack-name", stack)
    if not aws.waits("stack-delete-complete", "--stack-name", stack):
        failed = change_set.failures(aws, stack)
        raise StackError("\n".join([f"{name} is not deleted as a whole; CloudFormation says:", *failed]))
    print("\n".join([f"{name} is deleted. What was kept is yours to delete, and costs until then:", *kept]))
    return 0


def stack_name(project: str, environment: str) -> str:
    """Return the name of an environment's stack, such as nba-simulator-shadow-dev."""
    return f"{project}-shadow-{environment}"


def look(aws: Aws, name: str) -> dict[str, Any] | None:
    """Return what CloudFormation says of a stack, None where there is none."""
    try:
        found: dict[str, Any] = aws.call("cloudformation", "describe-stacks", "--stack-name", name)["Stacks"][0]
    except AwsRefusedError as error:
        if "does not exist" in str(error):
            return None
        raise
    return found


def _require_known(given: dict[str, str], declared: dict[str, Any]) -> None:
    allowed = sorted(set(declared) - {"Environment", "ProjectName"})
    unknown = [name for name in given if name not in allowed]
    if unknown:
        raise StackError(f"parameter {unknown[0]!r} must be one of {', '.join(allowed)}")


def _require_deployable(name: str, found: dict[str, Any] | None) -> None:
    """Raise StackError where the stack's state allows no change set, with what to do about it."""
    status = "REVIEW_IN_PROGRESS" if found is None else str(found["StackStatus"])
    if status == "REVIEW_IN_PROGRESS" or _READY.fullmatch(status):
        return
    if status.endswith("_IN_PROGRESS"):
        raise StackError(f"{name} is {status}: something is at work on it; wait for its end, then deploy again")
    if status == "UPDATE_ROLLBACK_FAILED":
        remedy = f"mend what failed, and run aws cloudformation continue-update-rollback --stack-name {name}"
    elif status in ("UPDATE_FAILED", "IMPORT_ROLLBACK_FAILED"):
        remedy = f"run aws cloudformation rollback-stack --stack-name {name}"
    else:
        remedy = "it never came up, or went only in part: make destroy, then deploy again"
    raise StackError(f"{name} is {status}, which takes no changes; {remedy}")


def _require_destroyable(aws: Aws, name: str, found: dict[str, Any]) -> None:
    """Raise StackError where the stack is at work, or protected: half of it would be gone before AWS says so."""
    status = found["StackStatus"]
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        raise StackError(f"{name} is {status}: something is at work on it; wait for its end, then destroy it")
    if found.get("EnableTerminationProtection"):
        raise StackError(
            f"{name} is protected against deletion; to delete it all the same, first run aws cloudformation "
            f"update-termination-protection --no-enable-termination-protection --stack-name {name}"
        )
    for one in _resources(aws, found["StackId"]):
        if one["ResourceType"] == "AWS::RDS::DBInstance" and _is_protected(aws, one["PhysicalResourceId"]):
            raise StackError(
                f"the database {one['PhysicalResourceId']} is protected against deletion; to delete it all the same, "
                "first run aws rds modify-db-instance --no-deletion-protection --apply-immediately "
                f"--db-instance-identifier {one['PhysicalResourceId']}"
            )


def _is_protected(aws: Aws, database: str) -> bool:
    found = aws.call("rds", "describe-db-instances", "--db-instance-identifier", database)
    return any(one["DeletionProtection"] for one in found["DBInstances"])


def _fates(aws: Aws, stack: str) -> tuple[list[str], list[str]]:
    """Return lines of what a stack's deletion keeps and deletes, by the template that the stack was made with."""
    body = aws.call("cloudformation", "get-template", "--stack-name", stack)["TemplateBody"]
    policies = template.policies(template.parse(body) if isinstance(body, str) else body)
    kept, gone = [], []
    for one in _resources(aws, stack):
        line = f"  {one['LogicalResourceId']:<22} {one['ResourceType']:<26} {one['PhysicalResourceId']}"
        policy = policies.get(one["LogicalResourceId"], "Delete")
        if policy in KEPT:
            kept.append(f"{line}  {KEPT[policy]}")
        else:
            gone.append(line)
        if one["ResourceType"] in LEFT:
            kept.append("  " + LEFT[one["ResourceType"]].format(id=one["PhysicalResourceId"]))
    return kept, gone or ["  nothing"]


def _resources(aws: Aws, stack: str) -> list[dict[str, Any]]:
    """Return the resources of a stack that are there; none of one that was only ever reviewed."""
    listed = aws.call("cloudformation", "list-stack-resources", "--stack-name", stack)["StackResourceSummaries"]
    return [one for one in listed if one.get("PhysicalResourceId") and one["ResourceStatus"] != "DELETE_COMPLETE"]


def _parameters(declared: dict[str, Any], given: dict[str, str], before: set[str]) -> list[dict[str, Any]]:
    """Return what is given, and of an existing stack its other values; defaults are CloudFormation's to fill in."""
    changed = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    same = [{"ParameterKey": name, "UsePreviousValue": True} for name in declared if name in before - set(given)]
    return [*changed, *same]


def _protect(aws: Aws, name: str, environment: str) -> None:
    """Protect prod against deletion, also where an earlier run came up and was killed before it did so."""
    if environment == PROTECTED:
        aws.call(
            "cloudformation", "update-termination-protection", "--enable-termination-protection", "--stack-name", name
        )
        print("protected against deletion")


def _print_outputs(found: dict[str, Any] | None) -> None:
    for one in sorted((found or {}).get("Outputs", []), key=lambda one: str(one["OutputKey"])):
        print(f"  {one['OutputKey']:<20} {one['OutputValue']}")


def _place(stack: str) -> str:
    """Return account and region as a stack's ARN has them."""
    region, account = stack.split(":")[3:5]
    return f"account {account}, {region}"


def _confirmed(question: str, *, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        _say("nobody is there to be asked: read what is above, then run it again with --yes (make: YES=1)")
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE")
    return name, value


def _project(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be 3 to 32 lower-case letters, digits and hyphens")
    return text


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.infrastructure.stack", description=__doc__)
    parser.add_argument("command", choices=["deploy", "destroy"])
    parser.add_argument("environment", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--project", type=_project, default="nba-simulator", help="what the stack's name begins with")
    parser.add_argument(
        "--parameter", type=_assignment, action="append", default=[], metavar="NAME=VALUE", help="of the template"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
