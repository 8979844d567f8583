"""What production feels of a shadow day: pgbench's latency with and without one, and that nothing in it is changed.

Run it with `python -m tests.bench.isolation [rows] [--pairs N] [--seconds N] [--rate N]`. Production is one server,
with the day's log beside the tables that the load changes; the ledger is another. Models and ledger would be on another
machine: here all that is the shadow's own has what production, its load and the reader's session in it leave of the
cores, and even that is felt. So the day runs twice, once reading a copy of the log on the ledger's server and once
reading production: what is measured is what the reading costs production.
"""

import argparse
import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from include.embedded.postgres import SUPERUSER
from tests.bench.two_servers import COPY, PRODUCTION, READER, SCALE, Place, RunningDay, new_place

LEAD = 2  # seconds of load before the day begins
READING = ("sample", "collect_labels")  # the steps that read production
GOAL = 1.10
INVARIANTS = """
SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)
    AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history)
    AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT coalesce(sum(delta), 0) FROM pgbench_history),
    (SELECT count(*) FROM pgbench_history), (SELECT count(*) FROM pgbench_accounts)
"""
FILES = """
SELECT pg_relation_filepath(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'i', 't') AND n.nspname IN ('public', 'serving', 'pg_toast') AND c.oid >= 16384 ORDER BY 1
"""
WRITTEN = "SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del) FROM pg_stat_all_tables"
PROCESSES = "SELECT pid FROM pg_stat_activity WHERE usename = %s"


def phase(place: Place, name: str, seconds: int, rate: float, day: tuple[int, str] | None) -> dict[str, Any]:
    """Load production for some seconds, with a shadow day where there is one: its number, and what it reads."""
    place.settle()
    shadow_day = RunningDay(place, *day) if day is not None else None
    load = place.pgbench.start(name, seconds, rate)
    time.sleep(LEAD)
    if shadow_day is not None:
        shadow_day.begin()
    load.communicate()
    assert load.returncode == 0, "pgbench failed"
    latencies = place.pgbench.latencies(name)
    found: dict[str, Any] = {"all": latencies.percentiles()}
    if shadow_day is not None:
        took = shadow_day.took()
        spans = [took[step] for step in READING]
        found["while read"] = latencies.within(spans).percentiles()
        found["seconds read"] = sum(ended - began for began, ended in spans)
        found["seconds of the day"] = took["gate"][1] - took["sample"][0]
        found["within the phase"] = took["gate"][1] <= float(latencies.due.max())
    return found


def at_rest(place: Place, number: int) -> dict[str, Any]:
    """Run a day with no load; return whether rows, files and counters of production are as before, and what it cost.

    `processes` are the most that the server had for the reader at once, `cpu_seconds` what all of them have used.
    """
    place.settle()
    before = _state(place)
    shadow_day = RunningDay(place, number)
    shadow_day.begin()
    most, used = 0, {}
    with psycopg.connect(place.production.uri("postgres", SUPERUSER), autocommit=True) as session:
        while not shadow_day.is_done:
            found = [pid for (pid,) in session.execute(PROCESSES, [READER])]
            most = max(most, len(found))
            used |= {pid: seconds for pid in found if (seconds := _cpu_seconds(pid)) is not None}
            time.sleep(0.005)
    shadow_day.took()
    place.checkpoint()
    after = _state(place)
    same = {name: before[name] == after[name] for name in before}
    counted = {"file count": len(before["files"]), "row count": before["row count"]}
    return {**same, **counted, "processes": most, "cpu_seconds": sum(used.values())}


def _cpu_seconds(pid: int) -> float | None:
    """Return what a process has used; None where that cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _state(place: Place) -> dict[str, Any]:
    return {
        "rows": {name: _checksum(place, name) for name in (*_LOGGED, *_LOADED)},
        "row count": sum(place.query(f"SELECT count(*) FROM {name}")[0][0] for name in (*_LOGGED, *_LOADED)),
        "files": {path: _digest(place.production.folder / "data" / path) for (path,) in place.query(FILES)},
        "written": place.query(WRITTEN),
    }


def _spread(values: Sequence[float]) -> float:
    """Return how many times the smallest the largest is."""
    return max(values) / min(values)


_LOGGED = ("serving.log", "serving.outcome")
_LOADED = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")


def _checksum(place: Place, table: str) -> str:
    statement = sql.SQL("SELECT md5(string_agg(md5(t::text), '' ORDER BY t::text)) FROM {} AS t")
    return str(place.query(statement.format(sql.Identifier(*table.split("."))).as_string())[0][0])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def measure(rows: int = 200_000, *, pairs: int = 3, seconds: int = 25, rate: float | None = None) -> dict[str, Any]:
    """Return what production felt in phases without and with a shadow day, and whether anything in it was changed.

    Without a rate the load is a fifth of what production can do while nothing else runs: the rest of the machine is for
    the load's own program and for the shadow.
    """
    with new_place(rows) as place:
        return _measured(place, pairs, seconds, rate)


def _measured(place: Place, pairs: int, seconds: int, rate: float | None) -> dict[str, Any]:
    capacity = place.pgbench.capacity(5)
    rate = rate or capacity / 5
    logged = {name: _checksum(place, name) for name in _LOGGED}
    phase(place, "warm", max(seconds // 3, 5), rate, None)
    found = []
    for pair in range(pairs):
        phases: dict[str, tuple[int, str] | None] = {
            "without": None,
            "elsewhere": (2 * pair, COPY),
            "with": (2 * pair + 1, PRODUCTION),
        }
        order = [*phases][:: -1 if pair % 2 else 1]  # whatever grows in the course of a bench is felt by each alike
        felt = {name: phase(place, f"{name}_{pair}", seconds, rate, phases[name]) for name in order}
        found.append({name: felt[name] for name in phases})
        sys.stderr.write(f"{json.dumps(found[-1])}\n")
    ((balanced, history, accounts),) = place.query(INVARIANTS)
    return {
        "rows": place.rows,
        "seconds": seconds,
        "capacity": capacity,
        "rate": rate,
        "pairs": found,
        "ratio": statistics.median(one["with"]["all"]["p99"] / one["elsewhere"]["all"]["p99"] for one in found),
        "noise": _spread([one["without"]["all"]["p99"] for one in found]),
        "log is the same under load": logged == {name: _checksum(place, name) for name in _LOGGED},
        "balances agree": balanced and accounts == SCALE * 100_000,
        "changes by the load": history,
        "at rest": at_rest(place, 2 * pairs),
    }


def table_of(found: dict[str, Any]) -> Table:
    """Return the phases pair by pair, the ratio of their 99th percentiles, and what was changed: nothing."""
    share = found["rate"] / found["capacity"]
    title = (
        f"production under {found['rate']:.0f} transactions a second, {share:.0%} of what it can do, "
        f"{found['seconds']} s a phase, a shadow day of {found['rows']:,} requests in every other one"
    )
    table = Table(title=title)
    for heading in ("phase", "transactions", "p50 ms", "p95 ms", "p99 ms", "p99 here / elsewhere"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    for number, pair in enumerate(found["pairs"], 1):
        _row(table, f"{number} without a day", pair["without"]["all"])
        _row(table, f"{number} with a day that reads a copy", pair["elsewhere"]["all"])
        ratio = pair["with"]["all"]["p99"] / pair["elsewhere"]["all"]["p99"]
        _row(table, f"{number} with a day that reads it", pair["with"]["all"], f"{ratio:.2f}")
        while_read, copied = (pair[name]["while read"] for name in ("with", "elsewhere"))
        ratio = while_read["p99"] / copied["p99"]
        _row(table, f"  while it read ({pair['with']['seconds read']:.1f} s)", while_read, f"{ratio:.2f}")
    table.add_row("median ratio", "", "", "", "", f"{found['ratio']:.2f}", style="bold")
    table.add_row("largest / smallest p99 without a day", "", "", "", "", f"{found['noise']:.2f}")
    rest = found["at rest"]
    same = all(rest[name] for name in ("rows", "files", "written")) and found["log is the same under load"]
    said = f"{rest['row count']:,} rows, {rest['file count']} files: {'the same' if same else 'CHANGED'}"
    cost = f"at most {rest['processes']} process of the server at once, {rest['cpu_seconds']:.1f} s of its CPU"
    table.caption = f"{said}; a day takes {cost}"
    return table


def _row(table: Table, name: str, found: dict[str, float], ratio: str = "") -> None:
    values = [f"{found[key]:.2f}" for key in ("p50", "p95", "p99")]
    table.add_row(name, f"{found['transactions']:,}", *values, ratio)


def main() -> None:
    """Measure, print the table, and write what was found beside it as JSON where `--json` names a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.isolation")
    parser.add_argument("rows", type=int, nargs="?", default=200_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=25)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.rows, pairs=given.pairs, seconds=given.seconds, rate=given.rate)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    Console(width=max(100, int(os.environ.get("COLUMNS", "100")))).print(table_of(found))


if __name__ == "__main__":
    main()
