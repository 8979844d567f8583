"""The moments at which a run of days writes, each with a name, so that something can go wrong at every one of them.

A name is the step, what it is about, and which moment of it: `score 2024-03-01 other 1: half a copy in copying.py:24,
1`. It is the same when the step is run again, so a run can be let through to the first that was not disturbed yet.
"""

import functools
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq
from psycopg._copy import LibpqWriter

from shadow_deployment.data import storage
from shadow_deployment.pipeline import steps

STEPS = ("sample", "validate_inputs", "score", "validate_predictions", "collect_labels", "compare", "judge")
HALF_A_FILE = 200  # bytes; every file of a snapshot has more

Happening = Callable[[str, "psycopg.Connection[Any] | None"], None]
Patch = Callable[[Any, str, Any], None]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(where: Any, name: str, moment: str, call: int) -> None:
    """Let the process die before or after the call of this number to a function."""
    function, left = getattr(where, name), [call]

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and moment == "before":
            die()
        result = function(*arguments, **keywords)
        if left[0] == 0 and moment == "after":
            die()
        return result

    setattr(where, name, wrapped)


class Diary:
    """Which moments were disturbed already, in a file that outlives the processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def moments(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def is_new(self, moment: str) -> bool:
        """Whether nothing has happened at this moment yet; from now on it has."""
        if moment in self.moments:
            return False
        with self.path.open("a") as file:
            file.write(f"{moment}\n")
        return True


class Moments:
    """Tells `happening` of every moment of the run, with the session that writes where there is one.

    Before and after every commit of a transaction that has written, in the middle of every COPY into a table, and of
    every file of the store: half-written, before it gets its name, and after.
    """

    def __init__(self, happening: Happening) -> None:
        self._happening = happening
        self._step = "before the first step"
        self._counted: Counter[str] = Counter()
        self._asking = False  # what happens may write too: that is no moment, if it is of the same thread
        self._one_at_a_time = threading.RLock()

    def watch(self, patch: Patch = setattr) -> None:
        """Begin to watch this process; `patch` may be a monkeypatch's, which ends it."""
        for name in STEPS:
            patch(steps, name, self._step_named(name, getattr(steps, name)))
        patch(psycopg.Connection, "commit", self._commit(psycopg.Connection.commit))
        patch(LibpqWriter, "write", self._copy(LibpqWriter.write))
        patch(storage.StoreFile, "write", self._file(storage.StoreFile.write))
        patch(Path, "replace", self._around("its name", Path.replace))

    def arrive(self, kind: str, session: "psycopg.Connection[Any] | None" = None) -> None:
        kind = f"{kind} in {engine_line()}"
        with self._one_at_a_time:
            self._counted[kind] += 1
            if not self._asking:
                self._asking = True
                self._happening(f"{self._step}: {kind}, {self._counted[kind]}", session)
                self._asking = False

    def _step_named(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(shadow: Any, *arguments: Any) -> Any:
            self._step = " ".join([name, *map(str, arguments)])
            self._counted.clear()
            return function(shadow, *arguments)

        return wrapped

    def _commit(self, commit: Callable[..., None]) -> Callable[..., None]:
        def wrapped(session: "psycopg.Connection[Any]") -> None:
            with self._one_at_a_time:
                writes = not self._asking and has_written(session)
            if writes:
                self.arrive("before a commit", session)
            commit(session)
            if writes:
                self.arrive("after a commit", session)

        return wrapped

    def _copy(self, write: Callable[..., None]) -> Callable[..., None]:
        def wrapped(writer: LibpqWriter, data: Any) -> None:
            writer.flush_threshold = 0  # the half is to reach the server
            write(writer, data[: len(data) // 2])
            self.arrive("half a copy", writer.connection)
            write(writer, data[len(data) // 2 :])

        return wrapped

    def _file(self, write: Callable[..., int]) -> Callable[..., int]:
        def wrapped(file: Any, data: Any) -> int:
            before = file.tell()
            if not before <= HALF_A_FILE < before + len(data):
                return write(file, data)
            half = write(file, data[: len(data) // 2])
            file.flush()
            self.arrive("half a file")
            return half + write(file, data[len(data) // 2 :])

        return wrapped

    def _around(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any) -> Any:
            self.arrive(f"before {what}")
            result = function(*arguments)
            self.arrive(f"after {what}")
            return result

        return wrapped


def engine_line() -> str:
    """Return file and line of the engine that this is called from."""
    frame = sys._getframe(1)
    while frame.f_back is not None and "/include/shadow_deployment/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def has_written(session: "psycopg.Connection[Any]") -> bool:
    """Whether the transaction that is open in a session has changed anything."""
    if session.closed or session.info.transaction_status != pq.TransactionStatus.INTRANS:
        return False
    row = session.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
    return row is not None and bool(row[0])
