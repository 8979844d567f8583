"""The `aws` command line, called as a program: what it answers, and what it says where it refuses."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shadow_deployment.errors import CredentialsError, PermanentError


class StackError(PermanentError):
    """A stack cannot be deployed or destroyed: what stands in its way, and what to do."""


class AwsRefusedError(StackError):
    """A call was refused; the text is what the command line has said."""


@dataclass(frozen=True)
class Aws:
    """The command line at `program`; credentials and region are those that it finds by itself."""

    program: Path

    def call(self, *arguments: str) -> Any:
        """Run one command; return its answer as parsed JSON, None where it has none.

        Raises AwsRefusedError where the command ends with another code than 0.
        """
        ended = subprocess.run(  # noqa: S603 (arguments are a list: no shell reads them)
            [str(self.program), *arguments, "--output", "json"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "AWS_PAGER": ""},
        )
        if ended.returncode != 0:
            said = " ".join((ended.stderr or ended.stdout).split()) or f"code {ended.returncode}"
            raise AwsRefusedError(f"aws {' '.join(arguments[:2])}: {said}")
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def waits(self, *arguments: str) -> bool:
        """Run one `aws cloudformation wait`; return whether what was waited for has come."""
        try:
            self.call("cloudformation", "wait", *arguments)
        except AwsRefusedError:
            return False
        return True


def find() -> Aws:
    """Return the command line; raise StackError where there is none, CredentialsError where it is nobody."""
    program = shutil.which("aws")
    if program is None:
        raise StackError("the command aws is not on PATH: install the AWS command line")
    aws = Aws(Path(program))
    try:
        aws.call("sts", "get-caller-identity")
    except AwsRefusedError as error:
        raise CredentialsError(f"{error}; run aws configure or aws sso login, or set AWS_PROFILE") from error
    return aws
