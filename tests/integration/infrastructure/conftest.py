"""The AWS CLI for tests of this folder."""

import re
import subprocess

import pytest

from tests.conftest import PROJECT


@pytest.fixture(scope="session")
def cli() -> list[str]:
    """The CLI that stack.sh asks uv for, as the beginning of a call; tests skip where it cannot be installed."""
    [run] = re.findall(r"\.venv/bin/uv (tool run .*) aws\}", (PROJECT / "include/infrastructure/stack.sh").read_text())
    call = [str(PROJECT / ".venv/bin/uv"), *run.split(), "aws"]
    ended = subprocess.run([*call, "--version"], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        pytest.skip(f"uv cannot install awscli: {ended.stderr.strip()[-300:]}")
    return call
