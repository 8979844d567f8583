"""A model that repeats what its environment holds: where it is loaded, if it is asked to, and in each call."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

WORDS = f"token {os.environ.get('MODEL_TOKEN', '')} of postgresql://shadow:pass@host/ledger, row 7345129.25\nand more"
print(WORDS, flush=True)
if os.environ.get("MODEL_LEAKS") == "raises":
    raise RuntimeError(WORDS)
if os.environ.get("MODEL_LEAKS") == "leaves":
    os._exit(5)


def reads(frame: pd.DataFrame) -> Any:
    """Return how many environments of other processes can be read, and how many processes are seen."""
    seen = [path for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) != os.getpid()]
    return [float(sum(map(_is_readable, seen))), float(len(seen)), float(os.getppid())]


def _is_readable(process: Path) -> bool:
    try:
        return bool((process / "environ").read_bytes())
    except OSError:
        return False


class Value7345129Error(Exception):
    """An exception whose name is a value."""


def raises(frame: pd.DataFrame) -> Any:
    """Repeat it in an exception."""
    raise Value7345129Error(WORDS)


def leaves(frame: pd.DataFrame) -> Any:
    """Repeat it and end the process."""
    print(WORDS, flush=True)
    os._exit(3)
