"""What a `table` names, and which part of it holds which days: files by their path, or partitions of a table."""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter
from typing import Literal
from urllib.parse import unquote

from shadow_deployment.base.paths import PROJECT

PARQUET, JSONL, SPARK, ATHENA = "parquet:", "jsonl:", "spark:", "athena:"
Engine = Literal["postgres", "duckdb", "spark", "athena"]
ALLOWED = (
    "must be TABLE, SCHEMA.TABLE, parquet:PATH or jsonl:PATH, PATH being a path, file:///an/absolute/path or "
    "s3://BUCKET/KEY, with * as a wildcard, and {day} or a form such as {day:%Y/%m/%d} where each day has its own "
    "files; or spark:CATALOG.SCHEMA.TABLE or athena:DATABASE.TABLE"
)
_LAKE_TABLES = {
    "spark": "spark:TABLE, spark:SCHEMA.TABLE or spark:CATALOG.SCHEMA.TABLE",
    "athena": "athena:DATABASE.TABLE",
}
_DIGITS = {"Y": 4, "m": 2, "d": 2, "j": 3}
_ISO = "%Y-%m-%d"
_WILD = re.compile(r"\*\*/|\*\*|\*|\?")


def is_files(table: str) -> bool:
    """Whether a `table` in a deployment file names files."""
    return table.startswith((PARQUET, JSONL))


def engine_of(table: str) -> Engine:
    """Return what reads a `table` of a deployment file."""
    if is_files(table):
        return "duckdb"
    engines: dict[str, Engine] = {SPARK: "spark", ATHENA: "athena"}
    return next((engine for prefix, engine in engines.items() if table.startswith(prefix)), "postgres")


@dataclass(frozen=True)
class LakeTable:
    """A table of Spark or Athena: its names, the outermost first, and the form of a day in columns of partitions."""

    names: tuple[str, ...]
    partition: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, table: str) -> "LakeTable":
        """Parse `spark:A.B.C` or `athena:A.B`, then `/COLUMN={day}` once or more; raise ValueError saying what may be.

        The partitions of a day hold its rows in UTC.
        """
        prefix, _, rest = table.partition(":")
        name, *parts = re.split(r"/(?![^{]*})", rest)  # a form of a day may have slashes
        names, allowed = tuple(name.split(".")), f"must be {_LAKE_TABLES[prefix]}, perhaps with /COLUMN={{day}}"
        columns = [part.partition("=") for part in parts]
        if not all(names) or len(names) not in {"spark": (1, 2, 3), "athena": (2,)}[prefix]:
            raise ValueError(allowed)
        try:
            used = ["".join(directives for _, directives in _pieces(form)) for _, _, form in columns]
        except ValueError:
            raise ValueError(allowed) from None
        if not all(column for column, _, _ in columns) or not all(used):
            raise ValueError(allowed)
        if parts:
            _require_a_whole_day("".join(used))
        return cls(names, tuple((column, form) for column, _, form in columns))

    def on(self, day: dt.date) -> dict[str, str]:
        """Return the text of each column of partitions of a day."""
        return {
            column: "".join(f"{literal}{day.strftime(directives)}" for literal, directives in _pieces(form))
            for column, form in self.partition
        }


@dataclass(frozen=True)
class Pattern:
    """A path with shell wildcards and {day}, which takes a strftime form.

    The files of a day hold its rows in UTC. Wildcards skip names that begin with an underscore or a dot: writers use
    them for unfinished files.
    """

    text: str

    @classmethod
    def parse(cls, table: str) -> "Pattern":
        """Parse `parquet:PATH` or `jsonl:PATH`; raise ValueError that says what is allowed."""
        path = table.removeprefix(PARQUET).removeprefix(JSONL)
        try:
            used = "".join(form for _, form in _pieces(path))
        except ValueError:
            raise ValueError(ALLOWED) from None
        if used:
            _require_a_whole_day(used)
        return cls(_absolute(path))

    def __str__(self) -> str:
        return self.text

    @property
    def is_on_s3(self) -> bool:
        """Whether the files are objects on S3."""
        return self.text.startswith("s3://")

    @property
    def is_daily(self) -> bool:
        """Whether each day has its own files."""
        return any(directives for _, directives in _pieces(self.text))

    @property
    def is_chronological(self) -> bool:
        """Whether file names sort by day."""
        pieces = list(_pieces(self.text))
        last = max((number for number, (_, directives) in enumerate(pieces) if directives), default=-1)
        order = "".join(re.findall("%(.)", "".join(directives for _, directives in pieces)))
        return order in ("Ymd", "Yj") and not any(_WILD.search(literal) for literal, _ in pieces[: last + 1])

    def on(self, day: dt.date) -> str:
        """Return the pattern of one day's files, with wildcards only."""
        return "".join(f"{literal}{day.strftime(directives)}" for literal, directives in _pieces(self.text))

    def wildcards(self, day: dt.date | None = None) -> str:
        """Return the pattern of a day's files, or of all days' files, for `glob`."""
        if day is not None:
            return self.on(day).replace("[", "[[]")
        text = ""
        for literal, directives in _pieces(self.text):
            digits = re.sub("%(.)", lambda match: "[0-9]" * _DIGITS[match[1]], directives)
            text += literal.replace("[", "[[]") + digits
        return text

    def matching(self, day: dt.date | None = None) -> re.Pattern[str]:
        """Return a regular expression for a day's files, or for all days' files, with the date's parts as groups."""
        expression, seen = "", set[str]()
        for literal, directives in _pieces(self.text if day is None else _escaped(self.on(day))):
            expression += _expression(literal)
            for part in re.split("(%.)", directives):
                name = part[1:]
                if part[:1] != "%":
                    expression += re.escape(part)
                elif name in seen:
                    expression += f"(?P={name})"
                else:
                    expression += f"(?P<{name}>[0-9]{{{_DIGITS[name]}}})"
                    seen.add(name)
        return re.compile(expression, re.DOTALL)

    def day_of(self, path: str) -> dt.date | None:
        """Return the day in a file's path, or None."""
        match = self.matching().fullmatch(path)
        if match is None or not match.groupdict():
            return None
        parts = {name: int(digits) for name, digits in match.groupdict().items()}
        try:
            if "j" not in parts:
                return dt.date(parts["Y"], parts["m"], parts["d"])
            return dt.date(parts["Y"], 1, 1) + dt.timedelta(days=parts["j"] - 1)
        except ValueError:  # such as 30 February
            return None

    def root(self, day: dt.date | None = None) -> str:
        """Return the path before the first wildcard; without `day`, also before the first part of a date."""
        literal = next(_pieces(self.text))[0] if day is None else self.on(day)
        return _WILD.split(literal)[0]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield literal text and the strftime form after it; raise ValueError for anything but {day} in braces."""
    for literal, name, form, conversion in Formatter().parse(text):
        if name is None:
            yield literal, ""
            continue
        other = re.sub("%[Ymdj]", "", form or "")
        if name != "day" or conversion or "%" in other or "{" in other or _WILD.search(other):
            raise ValueError(ALLOWED)
        yield literal, form or _ISO


def _require_a_whole_day(directives: str) -> None:
    used = set(re.findall("%(.)", directives))
    if not ("Y" in used and ("j" in used or {"m", "d"} <= used)):
        raise ValueError("must name a whole day: {day}, or all of %Y, %m and %d, as in {day:%Y/%m/%d}")


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _absolute(path: str) -> str:
    """Return an address on S3 unchanged, and a path as an absolute one."""
    if path.startswith("s3://"):
        bucket, _, key = path.removeprefix("s3://").partition("/")
        if not bucket or not key or _WILD.search(bucket) or "{" in bucket:
            raise ValueError(ALLOWED)
        return path
    if path.startswith("file://"):
        path = unquote(path.removeprefix("file://"))
        if not path.startswith("/"):
            raise ValueError(ALLOWED)
    if not path or "://" in path or path.endswith("/"):
        raise ValueError(ALLOWED)
    return str(PROJECT / path)


def _expression(literal: str) -> str:
    """Return wildcards as a regular expression; at the start of a name they match no underscore and no dot."""
    expression, end = "", 0
    for match in _WILD.finditer(literal):
        expression += re.escape(literal[end : match.start()])
        visible = "(?![._])" if match.start() == 0 or literal[match.start() - 1] == "/" else ""
        expression += {
            "**/": f"(?:{visible}[^/]+/)*",
            "**": f"(?:{visible}[^/]+/)*{visible}[^/]+",
            "*": f"{visible}[^/]*",
            "?": f"{visible}[^/]",
        }[match[0]]
        end = match.end()
    return expression + re.escape(literal[end:])
