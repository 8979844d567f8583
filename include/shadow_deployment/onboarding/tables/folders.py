"""A folder of files, written as the pattern that a deployment file needs."""

import re
from pathlib import Path
from typing import Final

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.partitions import JSONL, PARQUET, engine_of

_DATE: Final = re.compile(r"(?<!\d)\d{4}(?P<sep>[-_/]?)\d{2}(?P=sep)\d{2}(?!\d)")
_HIVE: Final = re.compile(r"(?P<y>\w+=)\d{4}/(?P<m>\w+=)\d{2}/(?P<d>\w+=)\d{2}(?=/)")
_SUFFIXES: Final = {".parquet": PARQUET, ".jsonl": JSONL, ".jsonl.gz": JSONL}


def pattern_of(name: str) -> str:
    """Return `parquet:PATTERN` or `jsonl:PATTERN` of a path of files or of a folder with some; other names as they are.

    A date in the path of a folder's files becomes {day}. Raises ValueError for a path without such files.
    """
    path = re.sub(f"^({PARQUET}|{JSONL})", "", name).rstrip("/")
    folder = PROJECT / path
    files = sorted(filter(_suffix, folder.rglob("*"))) if "{" not in path and folder.is_dir() else []
    suffix = _suffix(files[-1] if files else Path(path))
    if not files and "/" in name and engine_of(name) == "postgres" and not suffix:
        raise ValueError("must be SCHEMA.TABLE, a folder with *.parquet or *.jsonl files, or a pattern of such files")
    if not files:
        return f"{_SUFFIXES[suffix]}{path}" if suffix else name
    inner = files[-1].relative_to(folder).as_posix()
    daily = _HIVE.sub(r"\g<y>{day:%Y}/\g<m>{day:%m}/\g<d>{day:%d}", inner)
    if daily == inner:
        daily = _DATE.sub(_day, inner, count=1)
    parent, _, file = daily.rpartition("/")
    start = f"{_SUFFIXES[suffix]}{path}"
    if daily == inner:
        return f"{start}/{'**/' if parent else ''}*{suffix}"
    return f"{start}/{f'{parent}/' if parent else ''}{file if '{' in file else f'*{suffix}'}"


def _suffix(path: Path) -> str:
    """Return how the name of a file ends that can be read, else nothing."""
    return next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), "")


def _day(match: re.Match[str]) -> str:
    separator = match["sep"]
    return "{day}" if separator == "-" else f"{{day:%Y{separator}%m{separator}%d}}"
