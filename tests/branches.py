"""The share of the engine's branches that the tests take, of what `coverage run` has left: `python -m tests.branches`.

It names each file below the least share, and ends with an error where all of them together are below it.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coverage import Coverage

LEAST = 95.0


def measured() -> dict[str, Any]:
    """Return coverage's report as it writes it in JSON."""
    found = Coverage()
    found.load()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "coverage.json"
        found.json_report(outfile=str(file))
        return dict(json.loads(file.read_text(encoding="utf-8")))


def main() -> int:
    report = measured()
    for name, file in sorted(report["files"].items()):
        summary = file["summary"]
        if summary["percent_branches_covered"] < LEAST or summary["percent_statements_covered"] < LEAST:
            ways = ", ".join(f"{start}->{end if end > 0 else 'exit'}" for start, end in file["missing_branches"])
            print(f"{summary['percent_branches_covered']:6.1f} %  {name}: {ways}")
    total = report["totals"]
    share = total["percent_branches_covered"]
    print(f"{share:.1f} % of {total['num_branches']} branches, must be at least {LEAST:g} %")
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
