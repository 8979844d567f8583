"""Make, run in a copy of the files that `make deploy` and `make destroy` use."""

import os
import pty
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PROJECT
from tests.integration.infrastructure.template import PATH


@dataclass(frozen=True)
class Run:
    """What a call of make has printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Copy:
    """The files of `make deploy` in a folder of their own, and the environment that make gets."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def into(cls, folder: Path, **environment: str) -> "Copy":
        (folder / "include" / "infrastructure").mkdir(parents=True)
        for name in ("Makefile", "requirements.txt", "include/infrastructure/stack.sh"):
            shutil.copy2(PROJECT / name, folder / name)
        (folder / ".venv").symlink_to(PROJECT / ".venv")
        kept = {name: value for name, value in os.environ.items() if not re.match("AWS_|MAKE|MFLAGS", name)}
        nobody = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        copy = cls(folder, {**kept, **nobody, "AWS_EC2_METADATA_DISABLED": "true", **environment})
        copy.use(PATH.read_text())
        return copy

    def use(self, template: str) -> None:
        (self.folder / "include" / "infrastructure" / "shadow.yaml").write_text(template)

    def make(self, *arguments: str, answer: str | None = None) -> Run:
        """Run make; `answer` is what is typed at a terminal, None where there is no terminal."""
        terminal, stdin = pty.openpty()
        if answer is not None:
            os.write(terminal, answer.encode())
        with os.fdopen(terminal, "wb", buffering=0), os.fdopen(stdin, "rb", buffering=0):
            ended = subprocess.run(
                ["make", "-o", ".venv/.installed", "--no-print-directory", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL if answer is None else stdin,
                capture_output=True,
                text=True,
                check=False,
            )
        return Run(ended.returncode, ended.stdout, ended.stderr)
