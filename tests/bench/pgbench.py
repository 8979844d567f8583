"""A load as production has one: pgbench's TPC-B-like transactions and its lookups, at a fixed rate.

Latency counts from the moment at which a transaction was due, so that one that had to wait for its turn is not hidden.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shadow_demo.account import account_for
from shadow_demo.postgres import ConnectionInfo

CLIENTS = 4
A_LONG_TIME = 3600  # seconds
SCRIPTS = ("tpcb-like@1", "select-only@4")  # of five transactions four look something up
_RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Latencies:
    """Transactions in the order in which they ended: when they were due, in seconds, and what they took, in ms."""

    due: NDArray[np.float64]
    milliseconds: NDArray[np.float64]
    script: NDArray[np.int64]

    def percentiles(self) -> dict[str, float]:
        """Return how many transactions there were, the median, and the 95th and 99th percentile, in ms."""
        if not len(self.milliseconds):
            return {"transactions": 0, "p50": float("nan"), "p95": float("nan"), "p99": float("nan")}
        p50, p95, p99 = np.percentile(self.milliseconds, [50, 95, 99])
        return {"transactions": len(self.milliseconds), "p50": float(p50), "p95": float(p95), "p99": float(p99)}

    def within(self, spans: Sequence[tuple[float, float]]) -> "Latencies":
        """Return the transactions that were under way in one of these spans of time."""
        return self._chosen(self._under_way(spans))

    def outside(self, spans: Sequence[tuple[float, float]]) -> "Latencies":
        """Return those that were under way in none of them."""
        return self._chosen(~self._under_way(spans))

    def _under_way(self, spans: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
        chosen = np.zeros(len(self.due), bool)
        for began, ended in spans:
            chosen |= (self.due + self.milliseconds / 1000 >= began) & (self.due <= ended)
        return chosen

    def _chosen(self, chosen: NDArray[np.bool_]) -> "Latencies":
        return Latencies(self.due[chosen], self.milliseconds[chosen], self.script[chosen])


class Pgbench:
    """The program, against one database; it keeps its logs in a folder."""

    def __init__(self, server: Path, database: ConnectionInfo, folder: Path) -> None:
        self._program = account_for(server).binaries / "pgbench"
        self._database = database
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def fill(self, scale: int) -> None:
        """Make pgbench's tables: 100,000 accounts for each unit of `scale`."""
        self._run("--initialize", "--quiet", f"--scale={scale}")

    def capacity(self, seconds: int) -> float:
        """Return how many transactions a second there are where nothing holds them back."""
        found = _RATE.search(self._run(*_load(seconds)))
        assert found is not None, "pgbench did not say how many transactions it made"
        return float(found[1])

    def start(self, name: str, rate: float, seed: int) -> "subprocess.Popen[str]":
        """Start so many transactions a second until `ended` is asked; the seed tells when each is due."""
        options = [*_load(A_LONG_TIME), f"--rate={rate:.0f}", "--log", f"--log-prefix={name}", f"--random-seed={seed}"]
        return subprocess.Popen(
            self._command(*options), env=self._variables(), cwd=self._folder, stdout=subprocess.PIPE, text=True
        )

    def ended(self, load: "subprocess.Popen[str]", name: str) -> Latencies:
        """End a load; return what it has logged: a line a transaction, its sixth field and those before are documented.

        It ends as it does where a person interrupts it; the log's last line may be half a one, and is left out.
        """
        load.terminate()
        load.communicate()
        [file] = self._folder.glob(f"{name}.*")
        rows = np.loadtxt(file.read_text().splitlines()[:-1], usecols=(2, 3, 4, 5), ndmin=2)
        ended = rows[:, 2] + rows[:, 3] / 1e6
        milliseconds = rows[:, 0] / 1000
        return Latencies(ended - milliseconds / 1000, milliseconds, rows[:, 1].astype(np.int64))

    def _run(self, *options: str) -> str:
        done = subprocess.run(
            self._command(*options), env=self._variables(), cwd=self._folder, capture_output=True, text=True, check=True
        )
        return done.stdout

    def _command(self, *options: str) -> list[str]:
        one = self._database
        return [
            str(self._program),
            *options,
            f"--host={one.host}",
            f"--port={one.port}",
            f"--username={one.user}",
            one.dbname,
        ]

    def _variables(self) -> dict[str, str]:
        return os.environ | {"PGPASSWORD": self._database.password}


def _load(seconds: int) -> list[str]:
    scripts = [f"--builtin={script}" for script in SCRIPTS]
    return ["--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=1", f"--time={seconds}", *scripts]
