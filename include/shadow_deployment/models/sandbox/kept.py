"""Processes of models that are kept from day to day, so that a command for many days loads each model once.

A kept process must not know of the days before. Its model shows the same few requests again before each use: where it
says something else than it did when it was new, it keeps state or draws at random, and gets a new process for each use,
as every model has under Airflow, where each task is a process of its own.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import psutil
import pyarrow as pa

from shadow_deployment.models.sandbox.process import SandboxProcess

logger = logging.getLogger(__name__)

PROBE_ROWS: Final = 4
_FULL_PERCENT: Final = 75.0  # of this machine's memory, from which on only the process in use is kept

Answer = Callable[[pa.RecordBatch], Any]


@dataclass
class KeptProcess:
    """A process with its program, the requests that it was first shown, and what it said of them."""

    program: Any
    process: SandboxProcess
    probe: pa.RecordBatch | None = None
    answer: Any = None


class KeptProcesses:
    """The newest process of each program, by its name, until the end of the `with` block."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptProcess] = {}
        self._changing: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end_all()

    def find(self, program: Any) -> SandboxProcess | None:
        """Return the process that runs a program, None where there is none."""
        kept = self._kept.get(program.name)
        if kept is None or not kept.process.is_alive:
            return None
        if kept.program != program or program.name in self._changing:
            kept.process.kill()
            return None
        return kept.process

    def keep(self, program: Any, process: SandboxProcess) -> None:
        """Keep a process that has just loaded its program; the others end where this machine's memory gets scarce."""
        if psutil.virtual_memory().percent > _FULL_PERCENT:
            self._end_all()
        self._kept[program.name] = KeptProcess(program, process)

    def is_as_new(self, program: Any, batch: pa.RecordBatch, answer: Answer) -> bool:
        """Return whether a program's process answers as it did when it was new; the first call shows it what to answer.

        Args:
            program: What the process runs.
            batch: Requests of which the first few are shown to a new process.
            answer: Calls it; the answer can be compared.
        """
        kept = self._kept[program.name]
        if program.name in self._changing:
            return True
        if kept.probe is None:
            kept.probe = batch.slice(0, PROBE_ROWS)
            kept.answer = answer(kept.probe)
            return True
        if answer(kept.probe) == kept.answer:
            return True
        logger.warning(
            "challenger %s does not repeat its predictions of the same requests: it keeps state or draws at random, so "
            "it is loaded anew for each day",
            program.name,
        )
        self._changing.add(program.name)
        return False

    def _end_all(self) -> None:
        for kept in self._kept.values():
            kept.process.kill()
        self._kept.clear()
