"""What a bench says: one row for each thing measured, beside what it is held against, and whether the goal is met."""

import datetime as dt
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

HEADINGS = ("bench", "what", "size", "ours", "beside", "", "ratio", "goal", "met")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `ours` and `theirs` are in `unit` ("s", "ms" or "MB"), `beside` says what theirs is; both are None where the figure
    is not held against another. `at_most` is the goal for the ratio, or for `ours` itself where there is no ratio or
    the goal is `absolute`; with `at_least` the ratio is the other way round, how many times faster than theirs.
    """

    bench: str
    what: str
    size: str
    ours: float
    unit: str = "s"
    beside: str | None = None
    theirs: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    absolute: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours in terms of theirs, or where the goal is to be faster, theirs in terms of ours."""
        if self.theirs is None:
            return None
        over, under = (self.theirs, self.ours) if self.at_least is not None else (self.ours, self.theirs)
        return over / under if under > 0 else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        value = self.ours if self.ratio is None or self.absolute else self.ratio
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.at_most is None else value <= self.at_most

    @property
    def goal(self) -> str:
        """The goal in words, empty where there is none."""
        limit = self.at_most if self.at_least is None else self.at_least
        if limit is None:
            return ""
        relation = "at most" if self.at_least is None else "at least"
        return f"{relation} {limit:g}{f' {self.unit}' if self.theirs is None or self.absolute else ' times'}"

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of HEADINGS."""
        theirs = "" if self.theirs is None else shown(self.theirs, self.unit)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        met = {None: "", True: "yes", False: "NO"}[self.met]
        ours = shown(self.ours, self.unit)
        return self.bench, self.what, self.size, ours, self.beside or "", theirs, ratio, self.goal, met

    def content(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self) | {"ratio": self.ratio, "goal": self.goal, "met": self.met}


def shown(value: float, unit: str) -> str:
    """Return a figure with its unit."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{f' {unit}' if unit else ''}"


def table_of(rows: Sequence[Row], title: str) -> Table:
    """Return the rows as a table; a line is drawn where a bench begins."""
    table = Table(title=title, title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in ("ours", "", "ratio") else "left")
    for number, row in enumerate(rows):
        last_of_bench = number + 1 == len(rows) or rows[number + 1].bench != row.bench
        name = "" if number and rows[number - 1].bench == row.bench else row.bench
        style = "red" if row.met is False else None
        table.add_row(name, *row.cells()[1:], style=style, end_section=last_of_bench)
    return table


def markdown_of(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(postgres: str) -> dict[str, str]:
    """Describe what the figures were measured on; `postgres` is the server's version."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "postgres": postgres,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
