"""A child process that runs `worker.py`: started, asked, watched and ended from here.

It shares no memory, no environment and no standard output with this process, and is in a process group of its own. It
ends with this process, however that ends.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.errors import ModelError
from shadow_deployment.models.sandbox.worker import LENGTHS

WORKER = Path(__file__).with_name("worker.py")
MEBIBYTE = 1 << 20
_GLANCE = 0.05  # seconds between two looks at the memory
_CHUNK = 1 << 20
_REMEMBERED = 4_096
_LAST_WORDS = 240
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ModelDiedError(Exception):
    """The model's process has ended or had to be ended: time, memory, a crash. No error of the engine: rows have it."""


def environment(**more: str) -> dict[str, str]:
    """Return what a child finds in its environment: no connection and no secret but those that `more` names.

    Arithmetic has one thread, so that the same input gives the same bits on every machine of a kind.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return (
        kept
        | dict.fromkeys(_ONE_THREAD, "1")
        | {"PYTHONPATH": os.pathsep.join([str(PROJECT / "include"), str(PROJECT)])}
        | more
    )


class SandboxProcess:
    """One process; `memory_mb` bounds it and whatever it starts."""

    def __init__(self, interpreter: str, variables: Mapping[str, str], *, memory_mb: int) -> None:
        self._limit = memory_mb
        self._number = 0
        self._said = bytearray()
        reading, self._to = os.pipe()
        self._from, writing = os.pipe()
        self._output, output = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 (the interpreter is declared, the program is ours)
                [interpreter, "-I", "-B", "-u", str(WORKER), str(reading), str(writing), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(reading, writing),
                env=dict(variables),
                cwd=PROJECT,
                start_new_session=True,
            )
        except OSError as error:
            for pipe in (self._to, self._from, self._output):
                os.close(pipe)
            raise ModelError(f"{interpreter} cannot be started: {error.strerror or error}") from error
        finally:
            for pipe in (reading, writing, output):
                os.close(pipe)
        pipes = (self._to, self._from, self._output)
        for pipe in pipes:
            os.set_blocking(pipe, False)
        self._end = weakref.finalize(self, _end, self._process, pipes, os.getpid())

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._end.alive and self._process.poll() is None

    @property
    def last_words(self) -> str:
        """The end of what it printed, in one line; empty where it printed nothing."""
        text = " ".join(self._said.decode("utf-8", "replace").split())
        return text if len(text) <= _LAST_WORDS else f"...{text[-_LAST_WORDS:]}"

    def memory(self) -> float:
        """Return the MiB that it and the processes it has started hold."""
        return _memory(self._process.pid, self._limit)

    def kill(self) -> None:
        """End it and every process it has started. A second call does nothing."""
        self._end()

    def ask(self, header: Mapping[str, Any], body: bytes = b"", *, seconds: float, most: int) -> tuple[Any, bytes]:
        """Send a request; return header and body of the answer, which have at most `most` bytes.

        Raises ModelDiedError where it ends, breaks the protocol, takes longer or more memory; it is then killed.
        """
        bound = " (limits.seconds)" if header["do"] == "predict" else ""
        self._number += 1
        head = json.dumps({**header, "number": self._number}).encode()
        try:
            return self._exchange(LENGTHS.pack(len(head), len(body)) + head, body, time.monotonic() + seconds, most)
        except _TooLateError:
            raise self._died(f"gave no answer within {seconds:g} seconds{bound} and was killed") from None
        except BaseException:
            self.kill()
            raise

    def _exchange(self, head: bytes, body: bytes, until: float, most: int) -> tuple[Any, bytes]:
        waiting = [memoryview(part) for part in (head, body) if part]
        got, looked = bytearray(), time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._to, selectors.EVENT_WRITE)
            while True:
                now = time.monotonic()
                if now >= until:
                    raise _TooLateError
                for key, _ in selector.select(min(until - now, _GLANCE)):
                    if key.fd == self._to:
                        self._write(waiting)
                        if not waiting:
                            selector.unregister(self._to)
                    elif not self._read(key.fd, got):
                        selector.unregister(key.fd)
                answer = self._parsed(got, most)
                if answer is not None:
                    return answer
                if (
                    self._from not in [key.fd for key in selector.get_map().values()]
                    or self._process.poll() is not None
                ):
                    return self._after_the_end(got, most)
                if time.monotonic() - looked >= _GLANCE:
                    self._require_memory()
                    looked = time.monotonic()

    def _write(self, waiting: list[memoryview]) -> None:
        try:
            sent = os.write(self._to, waiting[0][:_CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:
            waiting.clear()
            return
        waiting[0] = waiting[0][sent:]
        if not waiting[0]:
            waiting.pop(0)

    def _read(self, pipe: int, got: bytearray) -> bool:
        """Read what is there; return whether more may come."""
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        if pipe == self._output:
            self._said += chunk
            del self._said[:-_REMEMBERED]
        else:
            got += chunk
        return bool(chunk)

    def _parsed(self, got: bytearray, most: int) -> tuple[Any, bytes] | None:
        """Return the answer in what was read, None where it is not all there."""
        if len(got) < LENGTHS.size:
            return None
        head, body = LENGTHS.unpack_from(got)
        if head + body > most:
            raise self._died("answered with more than was asked for and was killed")
        end = LENGTHS.size + head + body
        if len(got) < end:
            return None
        try:
            answer = json.loads(bytes(got[LENGTHS.size : LENGTHS.size + head]))
            is_ours = answer["number"] == self._number and len(got) == end
        except (ValueError, TypeError, KeyError):
            is_ours = False
        if not is_ours:
            raise self._died("answered with what is no answer and was killed")
        return answer, bytes(got[LENGTHS.size + head : end])

    def _after_the_end(self, got: bytearray, most: int) -> tuple[Any, bytes]:
        """Return an answer that a process has left behind; raise ModelDiedError that says how it ended, otherwise."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # a pipe closes a moment before its process ends
        for pipe in (self._from, self._output):
            before = -1
            while before != len(got) + len(self._said):
                before = len(got) + len(self._said)
                self._read(pipe, got)
        answer = self._parsed(got, most)
        if answer is not None:
            return answer
        code = self._process.returncode
        if code is None:
            raise self._died("closed its pipe and was killed")
        if code >= 0:
            raise self._died(f"ended itself with exit code {code}")
        lack = ", perhaps for lack of memory on this machine" if -code == signal.SIGKILL else ""
        raise self._died(f"was ended by {_signal(-code)}{lack}")

    def _require_memory(self) -> None:
        held = self.memory()
        if held > self._limit:
            raise self._died(
                f"held {held:.0f} MiB, more than the {self._limit} that it may (limits.memory_mb), and was killed"
            )

    def _died(self, how: str) -> ModelDiedError:
        self.kill()
        said = self.last_words
        return ModelDiedError(f"the model's process {how}{f'; it had printed: {said}' if said else ''}")


class _TooLateError(Exception):
    """No answer in time."""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _memory(pid: int, limit: float) -> float:
    """Return the MiB of a process and its descendants; what they share counts once where the sum is over the limit."""
    family = _family(pid)
    resident = sum(_held(one, "rss") for one in family) / MEBIBYTE
    if resident <= limit or len(family) == 1:
        return resident
    return sum(_held(one, "pss") for one in family) / MEBIBYTE


def _family(pid: int) -> Sequence[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def _held(process: psutil.Process, name: str) -> float:
    with contextlib.suppress(psutil.Error):
        found = process.memory_info() if name == "rss" else process.memory_full_info()
        return float(getattr(found, name, found.rss))
    return 0.0


def _end(process: "subprocess.Popen[bytes]", pipes: Sequence[int], owner: int) -> None:
    """End a process with its group and what it has started elsewhere; a fork of this process leaves it alone."""
    if os.getpid() == owner:
        family = _family(process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for one in family[1:]:
            with contextlib.suppress(psutil.Error):
                one.kill()
        process.wait()
    for pipe in pipes:
        os.close(pipe)
