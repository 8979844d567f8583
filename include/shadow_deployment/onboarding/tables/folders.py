"""A folder of Parquet files, written as the pattern that a deployment file needs."""

import re
from typing import Final

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.partitions import PARQUET

_DATE: Final = re.compile(r"(?<!\d)\d{4}(?P<sep>[-_/]?)\d{2}(?P=sep)\d{2}(?!\d)")
_HIVE: Final = re.compile(r"(?P<y>\w+=)\d{4}/(?P<m>\w+=)\d{2}/(?P<d>\w+=)\d{2}(?=/)")


def parquet_name(name: str) -> str:
    """Return `parquet:PATTERN` of a path of Parquet files or of a folder with some; any other name as it is.

    A date in the path of a folder's files becomes {day}. Raises ValueError for a path without such files.
    """
    path = name.removeprefix(PARQUET).rstrip("/")
    folder = PROJECT / path
    files = sorted(folder.rglob("*.parquet")) if "{" not in path and folder.is_dir() else []
    if not files and "/" in name and not name.startswith(PARQUET) and not path.endswith(".parquet"):
        raise ValueError("must be SCHEMA.TABLE, a folder with *.parquet files, or parquet:PATTERN")
    if not files:
        return f"{PARQUET}{path}" if path.endswith(".parquet") else name
    inner = files[-1].relative_to(folder).as_posix()
    daily = _HIVE.sub(r"\g<y>{day:%Y}/\g<m>{day:%m}/\g<d>{day:%d}", inner)
    if daily == inner:
        daily = _DATE.sub(_day, inner, count=1)
    parent, _, file = daily.rpartition("/")
    if daily == inner:
        return f"{PARQUET}{path}/{'**/' if parent else ''}*.parquet"
    return f"{PARQUET}{path}/{f'{parent}/' if parent else ''}{file if '{' in file else '*.parquet'}"


def _day(match: re.Match[str]) -> str:
    separator = match["sep"]
    return "{day}" if separator == "-" else f"{{day:%Y{separator}%m{separator}%d}}"
