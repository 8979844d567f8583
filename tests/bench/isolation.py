"""What production feels of a shadow day: pgbench's latency with and without one, and that nothing in it is changed.

Run it with `python -m tests.bench.isolation [rows] [--days N] [--rate N]`. Production is one server, with the day's log
beside the tables that the load changes, and has one core together with its load; models and ledger, which would be on
another machine, have the others. Machines are noisy, and two minutes of the same load differ by more than what is to be
seen: so each day works for about half a second, begins nothing for as long, goes on, and so forth, and what is felt
while it works is compared with what is felt while it is stopped. All days together give a mean ratio with its
confidence interval.
"""

import argparse
import hashlib
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table
from scipy import stats

from shadow_demo.postgres import SUPERUSER
from tests.bench.two_servers import READER, SCALE, Place, RunningDay, new_place, on_productions_core

Span = tuple[float, float]
LEAD = 1  # seconds of load before the day begins, and after it
TURN = (0.3, 0.7)  # seconds for which a day works, or stops
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


def switched(place: Place, number: int, rate: float) -> dict[str, Any]:
    """Load production while a shadow day works and stops by turns; return what was felt in either."""
    place.settle()
    chance, shadow_day = random.Random(number), RunningDay(place, number)
    with on_productions_core():
        load = place.pgbench.start(f"day_{number}", rate, number)
    time.sleep(LEAD)
    shadow_day.begin()
    working, stopped = list[Span](), list[Span]()
    while not shadow_day.is_done:
        began = time.time()
        shadow_day.works(chance.uniform(*TURN))
        working.append((began, time.time()))
        if not shadow_day.is_done:
            time.sleep(chance.uniform(*TURN))
            stopped.append((working[-1][1], time.time()))
    took = shadow_day.took()
    time.sleep(LEAD)
    latencies = place.pgbench.ended(load, f"day_{number}")
    reading = _both([took[step] for step in READING], working)
    return {
        "working": latencies.within(working).percentiles(),
        "reading": latencies.within(reading).percentiles(),
        "stopped": latencies.outside(working).within(stopped).percentiles(),
        "seconds working": sum(ended - began for began, ended in working),
        "seconds reading": sum(ended - began for began, ended in reading),
    }


def _both(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return when one of some and one of the others are under way at once."""
    spans = ((max(one[0], other[0]), min(one[1], other[1])) for one in some for other in others)
    return [(began, ended) for began, ended in spans if began < ended]


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


def ratio(days: Sequence[Mapping[str, Any]], here: str, beside: str) -> dict[str, float]:
    """Return the geometric mean of the days' ratios of p99, and the limits of its 95 % confidence interval."""
    logs = np.log([one[here]["p99"] / one[beside]["p99"] for one in days])
    mean = float(logs.mean())
    half = float(stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)) if len(logs) > 1 else float("inf")
    return {name: float(np.exp(value)) for name, value in (("mean", mean), ("low", mean - half), ("high", mean + half))}


_LOGGED = ("serving.log", "serving.outcome")
_LOADED = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history")


def _checksum(place: Place, table: str) -> str:
    statement = sql.SQL("SELECT md5(string_agg(md5(t::text), '' ORDER BY t::text)) FROM {} AS t")
    return str(place.query(statement.format(sql.Identifier(*table.split("."))).as_string())[0][0])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def measure(rows: int = 100_000, *, days: int = 8, rate: float | None = None) -> dict[str, Any]:
    """Return what production felt while shadow days worked and while they stopped, and whether anything was changed.

    Without a rate the load is a fifth of what production can do.
    """
    with new_place(rows) as place:
        return _measured(place, days, rate)


def _measured(place: Place, days: int, rate: float | None) -> dict[str, Any]:
    with on_productions_core():
        capacity = place.pgbench.capacity(5)
    rate = rate or capacity / 5
    logged = {name: _checksum(place, name) for name in _LOGGED}
    found = []
    for number in range(days):
        found.append(switched(place, number, rate))
        sys.stderr.write(f"{json.dumps(found[-1])}\n")
    ((balanced, history, accounts),) = place.query(INVARIANTS)
    return {
        "rows": place.rows,
        "capacity": capacity,
        "rate": rate,
        "days": found,
        "ratio": ratio(found, "working", "stopped"),
        "ratio while read": ratio(found, "reading", "stopped"),
        "log is the same under load": logged == {name: _checksum(place, name) for name in _LOGGED},
        "balances agree": balanced and accounts == SCALE * 100_000,
        "changes by the load": history,
        "at rest": at_rest(place, days),
    }


def table_of(found: dict[str, Any]) -> Table:
    """Return the medians of the days, the ratios of their 99th percentiles, and what was changed: nothing."""
    days, share = found["days"], found["rate"] / found["capacity"]
    title = (
        f"production under {found['rate']:.0f} transactions a second, {share:.0%} of what its core can do, "
        f"and {len(days)} days of {found['rows']:,} requests"
    )
    table = Table(title=title)
    for heading in ("while a day", "transactions", "p50 ms", "p95 ms", "p99 ms", "p99 beside a stopped day"):
        table.add_column(heading, justify="left" if heading == "while a day" else "right")
    worked, read = (statistics.median(one[f"seconds {name}"] for one in days) for name in ("working", "reading"))
    for name, key, compared in (
        ("is stopped", "stopped", ""),
        (f"works ({worked:.1f} s)", "working", "ratio"),
        (f"reads production ({read:.1f} s of these)", "reading", "ratio while read"),
    ):
        felt = [one[key] for one in days]
        medians = [f"{statistics.median(one[value] for one in felt):.2f}" for value in ("p50", "p95", "p99")]
        said = ["{mean:.2f} ({low:.2f} to {high:.2f})".format(**found[compared])] if compared else []
        table.add_row(name, f"{sum(one['transactions'] for one in felt):,}", *medians, *said)
    rest = found["at rest"]
    same = all(rest[name] for name in ("rows", "files", "written")) and found["log is the same under load"]
    kept = f"{rest['row count']:,} rows, {rest['file count']} files: {'the same' if same else 'CHANGED'}"
    cost = f"at most {rest['processes']} process of the server at once, {rest['cpu_seconds']:.1f} s of its CPU"
    table.caption = f"{kept}; a day takes {cost}"
    return table


def main() -> None:
    """Measure, print the table, and write what was found beside it as JSON where `--json` names a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.isolation")
    parser.add_argument("rows", type=int, nargs="?", default=100_000)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.rows, days=given.days, rate=given.rate)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    Console(width=max(120, int(os.environ.get("COLUMNS", "120")))).print(table_of(found))


if __name__ == "__main__":
    main()
