"""What production feels of a shadow day: pgbench's latency with and without one, and that nothing in it is changed.

Run it with `python -m tests.bench.isolation [rows] [--rounds N] [--seconds N] [--rate N]`. Production is one server,
with the day's log beside the tables that the load changes, and has one core together with its load; models and ledger,
which would be on another machine, have the others. A round has three phases under the same load, transaction by
transaction: with no day, with a day that reads a copy of the log on the ledger's server, and with one that reads
production. Machines are noisy, so there are many short rounds, in alternating order, and what is said of them is a mean
ratio with its confidence interval.
"""

import argparse
import hashlib
import json
import os
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

from include.embedded.postgres import SUPERUSER
from tests.bench.two_servers import COPY, PRODUCTION, READER, SCALE, Place, RunningDay, new_place, on_productions_core

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


def phase(
    place: Place, name: str, seconds: int, rate: float, seed: int, day: tuple[int, str] | None = None
) -> dict[str, Any]:
    """Load production for some seconds, with a shadow day where there is one: its number, and what it reads."""
    place.settle()
    shadow_day = RunningDay(place, *day) if day is not None else None
    with on_productions_core():
        load = place.pgbench.start(name, seconds, rate, seed)
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


def ratio(rounds: Sequence[Mapping[str, Any]], here: str, beside: str, part: str = "all") -> dict[str, float]:
    """Return the geometric mean of the rounds' ratios of p99, and the limits of its 95 % confidence interval.

    `part` is of the phase that is named first: all of it, or `while read`; beside it there is all of the other one,
    or of a phase with a day the same part.
    """
    other = part if all(part in one[beside] for one in rounds) else "all"
    logs = np.log([one[here][part]["p99"] / one[beside][other]["p99"] for one in rounds])
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


def measure(rows: int = 40_000, *, rounds: int = 12, seconds: int = 12, rate: float | None = None) -> dict[str, Any]:
    """Return what production felt in phases without and with a shadow day, and whether anything in it was changed.

    Without a rate the load is a fifth of what production can do.
    """
    with new_place(rows) as place:
        return _measured(place, rounds, seconds, rate)


def _measured(place: Place, rounds: int, seconds: int, rate: float | None) -> dict[str, Any]:
    with on_productions_core():
        capacity = place.pgbench.capacity(5)
    rate = rate or capacity / 5
    logged = {name: _checksum(place, name) for name in _LOGGED}
    phase(place, "warm", seconds, rate, 0)
    found = []
    for number in range(1, rounds + 1):
        days = {"none": None, "copy": (2 * number, COPY), "production": (2 * number + 1, PRODUCTION)}
        order = [*days][:: -1 if number % 2 else 1]  # whatever grows in the course of a bench is felt by each alike
        felt = {name: phase(place, f"{name}_{number}", seconds, rate, number, days[name]) for name in order}
        found.append({name: felt[name] for name in days})
        sys.stderr.write(f"{json.dumps(found[-1])}\n")
    ((balanced, history, accounts),) = place.query(INVARIANTS)
    return {
        "rows": place.rows,
        "seconds": seconds,
        "capacity": capacity,
        "rate": rate,
        "rounds": found,
        "ratio": ratio(found, "production", "none"),
        "ratio while read": ratio(found, "production", "none", "while read"),
        "ratio to a copy": ratio(found, "production", "copy"),
        "ratio to a copy while read": ratio(found, "production", "copy", "while read"),
        "ratio of a copy": ratio(found, "copy", "none"),
        "log is the same under load": logged == {name: _checksum(place, name) for name in _LOGGED},
        "balances agree": balanced and accounts == SCALE * 100_000,
        "changes by the load": history,
        "at rest": at_rest(place, 0),
    }


def table_of(found: dict[str, Any]) -> Table:
    """Return the medians of the phases, the ratios of their 99th percentiles, and what was changed: nothing."""
    rounds, share = found["rounds"], found["rate"] / found["capacity"]
    title = (
        f"production under {found['rate']:.0f} transactions a second, {share:.0%} of what its core can do; "
        f"{len(rounds)} rounds of {found['seconds']} s a phase, days of {found['rows']:,} requests"
    )
    table = Table(title=title)
    for heading in ("phase", "transactions", "p50 ms", "p95 ms", "p99 ms", "p99 / no day", "p99 / copy"):
        table.add_column(heading, justify="left" if heading == "phase" else "right")
    read = statistics.median(one["production"]["seconds read"] for one in rounds)
    for name, key, part, ratios in (
        ("no day", "none", "all", ()),
        ("a day that reads a copy", "copy", "all", ("ratio of a copy",)),
        ("a day that reads production", "production", "all", ("ratio", "ratio to a copy")),
        (f"  while it reads ({read:.1f} s)", "production", "while read", _WHILE_READ),
    ):
        felt = [one[key][part] for one in rounds]
        medians = [f"{statistics.median(one[value] for one in felt):.2f}" for value in ("p50", "p95", "p99")]
        said = ["{mean:.2f} ({low:.2f} to {high:.2f})".format(**found[one]) for one in ratios]
        table.add_row(name, f"{sum(one['transactions'] for one in felt):,}", *medians, *said)
    rest = found["at rest"]
    same = all(rest[name] for name in ("rows", "files", "written")) and found["log is the same under load"]
    said = f"{rest['row count']:,} rows, {rest['file count']} files: {'the same' if same else 'CHANGED'}"
    cost = f"at most {rest['processes']} process of the server at once, {rest['cpu_seconds']:.1f} s of its CPU"
    table.caption = f"{said}; a day takes {cost}"
    return table


_WHILE_READ = ("ratio while read", "ratio to a copy while read")


def main() -> None:
    """Measure, print the table, and write what was found beside it as JSON where `--json` names a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.isolation")
    parser.add_argument("rows", type=int, nargs="?", default=40_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=12)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.rows, rounds=given.rounds, seconds=given.seconds, rate=given.rate)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    Console(width=max(120, int(os.environ.get("COLUMNS", "120")))).print(table_of(found))


if __name__ == "__main__":
    main()
