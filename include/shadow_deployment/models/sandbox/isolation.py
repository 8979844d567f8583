"""Isolation of a model's process: it cannot read the environment or memory of any other process.

Connections, those of the ledger among them, lie in the environments of tasks and schedulers that run as the same user.
Another user may not read them, nor may a process in a user namespace of its own. Where this machine allows neither, as
in many containers, models run all the same and the doctor says so.
"""

import logging
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

WORKER: Final = Path(__file__).with_name("worker.py")
NOBODY: Final = 65_534
NAMESPACE, NONE = "namespace", "none"
SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


@lru_cache(maxsize=32)
def isolation_of(interpreter: str) -> str:
    """Return how an interpreter's processes are isolated: `user NUMBER`, `namespace` or `none`.

    Each way is tried once, in a process that looks whether it still can read this one's environment.
    """
    ways = [f"user {NOBODY}"] if os.geteuid() == 0 else []
    for how in (*ways, NAMESPACE):
        if _works(interpreter, how):
            return how
    logger.warning("models that run in %s are not isolated from other processes: see shadow doctor", interpreter)
    return NONE


def user_of(how: str) -> int | None:
    """Return the user whom the process runs as, None for this one's."""
    return int(how.removeprefix("user ")) if how.startswith("user ") else None


def _works(interpreter: str, how: str) -> bool:
    command = [interpreter, "-I", "-B", str(WORKER), "--isolated", how, str(os.getpid())]
    try:
        done = subprocess.run(  # noqa: S603 (the interpreter is declared, the program is ours)
            command, env={}, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
