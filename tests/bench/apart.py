"""A piece of work in a process of its own: how long it takes, of the processor too, and how much memory at most.

The process imports what the work needs before the clock starts. It needs nothing but the standard library itself, so
that another environment's Python can run it too.
"""

import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cost:
    """Wall seconds, peak resident memory in MB, what the work returned, and seconds of the processor.

    The last are those of the process with the processes that it has waited for; on a busy machine they say more.
    """

    seconds: float
    peak_mb: float
    result: Any = None
    processor: float = 0.0


@dataclass(frozen=True)
class Work:
    """A module's function, the arguments that it is called with, the modules that are imported before the clock starts.

    `python` runs it, with `variables` in its environment besides this process's.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    uses: Sequence[str] = ()
    python: str = sys.executable
    variables: Mapping[str, str] | None = None

    def measure(self) -> Cost:
        """Do it once in a process of its own; raise CalledProcessError where that fails."""
        name = f"{self.function.__module__}:{self.function.__name__}"
        command = [self.python, "-m", "tests.bench.apart", name, json.dumps(dict(self.arguments)), *self.uses]
        own = os.pathsep.join([str(PROJECT), str(PROJECT / "include")])  # and no other checkout that is installed
        variables = os.environ | {"PYTHONPATH": own} | dict(self.variables or {})
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=variables, cwd=PROJECT)
        return Cost(**json.loads(done.stdout.splitlines()[-1]))


def alternating(works: Sequence[Work], rounds: int) -> list[Cost]:
    """Do all of them in turn, `rounds` times; return of each the median times, the most memory, the last result."""
    found: list[list[Cost]] = [[] for _ in works]
    for _ in range(rounds):
        for costs, work in zip(found, works, strict=True):
            costs.append(work.measure())
    return [
        Cost(
            statistics.median(one.seconds for one in costs),
            max(one.peak_mb for one in costs),
            costs[-1].result,
            statistics.median(one.processor for one in costs),
        )
        for costs in found
    ]


def peak_mb() -> float:
    """Return the most memory that this process, or one of those that it has waited for, had at once, in MB.

    Linux counts a process's memory from its program on: getrusage would say at least what the process that started
    this one had.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():
        found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return max(int(found.split()[1]), children) / 1024
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children) / 1024 / 1024  # bytes, on macOS


def processor_seconds() -> float:
    """Return the seconds of the processor that this process took, and those that it has waited for."""
    return sum(os.times()[:4])


def main(name: str, arguments: str, *uses: str) -> None:
    """Do the work and say, as one line of JSON, what it took."""
    module, _, function = name.partition(":")
    work = getattr(importlib.import_module(module), function)
    for one in uses:
        importlib.import_module(one)
    began, busy = time.perf_counter(), processor_seconds()
    result = work(**json.loads(arguments))
    took = {"seconds": time.perf_counter() - began, "processor": processor_seconds() - busy}
    sys.stdout.write("\n" + json.dumps(took | {"peak_mb": peak_mb(), "result": result}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
