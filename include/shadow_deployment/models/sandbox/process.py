"""The sandbox process, which runs `worker.py`: how it is started, called, watched and ended.

It shares no memory, environment or standard output with this process, reads none of any other where this machine allows
that (see `isolation.py`), has a process group of its own, and ends with this process, however that ends.
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.errors import ModelError
from shadow_deployment.models.sandbox.isolation import WORKER, isolation_of, user_of
from shadow_deployment.models.sandbox.worker import LENGTHS

MEBIBYTE = 1 << 20
_POLL_SECONDS = 0.05  # between two measurements of memory
_CHUNK = 1 << 20  # no pipe holds more
_OUTPUT_BYTES = 4_096  # of the end of what it prints
_OUTPUT_TAIL = 240  # characters of that in an error
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ModelDiedError(Exception):
    """The sandbox process ended, or was killed for time, memory or a broken protocol. Its rows get this error.

    `output` is the end of what it printed: foreign words, which may show values of requests.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(f"{reason}; it had printed: {output}" if output else reason)
        self.reason = reason
        self.output = output


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a sandbox: no connection and no secret but those in `more`.

    Arithmetic runs in one thread, so that the same input gives the same bits on every machine of a kind.
    """
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    python_path = os.pathsep.join([str(PROJECT / "include"), str(PROJECT)])
    return inherited | dict.fromkeys(_ONE_THREAD, "1") | {"PYTHONPATH": python_path} | more


class SandboxProcess:
    """One process; `memory_mb` bounds it together with the processes it starts.

    `stage` puts files into its `folder`, which is removed with it; there is none without. `owner` is what it runs, in
    the words of its errors.
    """

    def __init__(
        self,
        interpreter: str,
        variables: Mapping[str, str],
        *,
        memory_mb: int,
        stage: Callable[[Path], None] | None = None,
        owner: str = "the model",
    ) -> None:
        self._owner = owner
        how = isolation_of(interpreter)
        self.folder = None if stage is None else _staged(stage, user_of(how))
        self._limit = memory_mb
        self._number = 0
        self._printed = bytearray()
        reading, self._to = os.pipe()
        self._from, writing = os.pipe()
        self._output, output = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 (the interpreter is declared, the program is ours)
                [interpreter, "-I", "-B", "-u", str(WORKER), *map(str, (reading, writing, os.getpid())), how],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(reading, writing),
                env=dict(variables),
                cwd=PROJECT,
                start_new_session=True,
            )
        except OSError as error:
            _remove(self.folder)
            for pipe in (self._to, self._from, self._output):
                os.close(pipe)
            raise ModelError(f"{interpreter} cannot be started: {error.strerror or error}") from error
        finally:
            for pipe in (reading, writing, output):
                os.close(pipe)
        pipes = (self._to, self._from, self._output)
        for pipe in pipes:
            os.set_blocking(pipe, False)
        self._end = weakref.finalize(self, _end, self._process, pipes, os.getpid(), self.folder)

    @property
    def is_alive(self) -> bool:
        """Whether it can be called."""
        return self._end.alive and self._process.poll() is None

    @property
    def output_tail(self) -> str:
        """The end of what it printed, in one line; empty where it printed nothing."""
        text = " ".join(self._printed.decode("utf-8", "replace").split())
        return text if len(text) <= _OUTPUT_TAIL else f"...{text[-_OUTPUT_TAIL:]}"

    def forget_output(self) -> None:
        """Forget what it has printed so far."""
        self._read(self._output, bytearray())
        self._printed.clear()

    def memory(self) -> float:
        """Return the MiB that it and the processes it started hold."""
        return _memory(self._process.pid, self._limit)

    def kill(self) -> None:
        """End it and every process it started. A second call does nothing."""
        self._end()

    def call(
        self, header: Mapping[str, Any], body: bytes = b"", *, seconds: float, most_bytes: int
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request; return header and body of the reply, which have at most `most_bytes` bytes.

        Raises:
            ModelDiedError: It ended, broke the protocol, or took more time or memory than allowed; it is then killed.
        """
        limit = " (limits.seconds)" if header["do"] == "predict" else ""
        self._number += 1
        head = json.dumps({**header, "number": self._number}).encode()
        frame = LENGTHS.pack(len(head), len(body)) + head
        try:
            return self._exchange(frame, body, time.monotonic() + seconds, most_bytes)
        except TimeoutError:
            raise self._died(f"did not reply within {seconds:g} seconds{limit} and was killed") from None
        except BaseException:
            self.kill()
            raise

    def _exchange(self, head: bytes, body: bytes, until: float, most_bytes: int) -> tuple[dict[str, Any], bytes]:
        unsent = [memoryview(part) for part in (head, body) if part]
        received, measured = bytearray(), time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            selector.register(self._to, selectors.EVENT_WRITE)
            while True:
                now = time.monotonic()
                if now >= until:
                    raise TimeoutError
                for key, _ in selector.select(min(until - now, _POLL_SECONDS)):
                    is_open = self._write(unsent) if key.fd == self._to else self._read(key.fd, received)
                    if not is_open:
                        selector.unregister(key.fd)
                reply = self._parse(received, most_bytes)
                if reply is not None:
                    return reply
                is_closed = self._from not in {key.fd for key in selector.get_map().values()}
                if is_closed or self._process.poll() is not None:
                    return self._drain(received, most_bytes)
                if time.monotonic() - measured >= _POLL_SECONDS:
                    self._require_memory()
                    measured = time.monotonic()

    def _write(self, unsent: list[memoryview]) -> bool:
        """Write what the pipe takes; return whether more is to be sent."""
        try:
            sent = os.write(self._to, unsent[0][:_CHUNK])
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        unsent[0] = unsent[0][sent:]
        if not unsent[0]:
            unsent.pop(0)
        return bool(unsent)

    def _read(self, pipe: int, received: bytearray) -> bool:
        """Read what the pipe holds; return whether more may come."""
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        if pipe == self._output:
            self._printed += chunk
            del self._printed[:-_OUTPUT_BYTES]
        else:
            received += chunk
        return bool(chunk)

    def _parse(self, received: bytearray, most_bytes: int) -> tuple[dict[str, Any], bytes] | None:
        """Return the reply in what was received, None where it is incomplete."""
        if len(received) < LENGTHS.size:
            return None
        head, body = LENGTHS.unpack_from(received)
        if head + body > most_bytes:
            raise self._died("sent a longer reply than was asked for and was killed")
        end = LENGTHS.size + head + body
        if len(received) < end:
            return None
        try:
            reply = json.loads(bytes(received[LENGTHS.size : LENGTHS.size + head]))
            is_ours = reply["number"] == self._number and len(received) == end
        except (ValueError, TypeError, KeyError):
            is_ours = False
        if not is_ours:
            raise self._died("sent something other than a reply and was killed")
        return reply, bytes(received[LENGTHS.size + head : end])

    def _drain(self, received: bytearray, most_bytes: int) -> tuple[dict[str, Any], bytes]:
        """Return a reply that an ended process left behind; else raise ModelDiedError that says how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # a pipe closes a moment before its process ends
        for pipe in (self._from, self._output):
            self._read(pipe, received)
        reply = self._parse(received, most_bytes)
        if reply is not None:
            return reply
        code = self._process.returncode
        if code is None:
            raise self._died("closed its pipe and was killed")
        if code >= 0:
            raise self._died(f"ended itself with exit code {code}")
        hint = ", perhaps because this machine ran out of memory" if -code == signal.SIGKILL else ""
        raise self._died(f"was ended by {_signal_name(-code)}{hint}")

    def _require_memory(self) -> None:
        resident = self.memory()
        if resident > self._limit:
            raise self._died(
                f"held {resident:.0f} MiB, more than the {self._limit} it is allowed (limits.memory_mb), and was killed"
            )

    def _died(self, reason: str) -> ModelDiedError:
        self.kill()
        return ModelDiedError(f"{self._owner}'s process {reason}", self.output_tail)


def _staged(stage: Callable[[Path], None], user: int | None) -> Path:
    """Return a new folder with a model's files; where another user reads them, they are that user's."""
    folder = Path(tempfile.mkdtemp(prefix="shadow-model-"))
    try:
        stage(folder)
        if user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user, follow_symlinks=False)
    except BaseException as error:
        _remove(folder)
        if isinstance(error, OSError):
            raise ModelError(f"a model's files cannot be copied to {folder}: {error.strerror or error}") from error
        raise
    return folder


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _memory(pid: int, limit: float) -> float:
    """Return the MiB of a process and its descendants; memory they share counts once where the sum is over the limit.

    The shared part takes long to measure, and matters only there.
    """
    family = _family(pid)
    resident = sum(_bytes(process, "rss") for process in family) / MEBIBYTE
    if resident <= limit or len(family) == 1:
        return resident
    return sum(_bytes(process, "pss") for process in family) / MEBIBYTE


def _family(pid: int) -> Sequence[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.Error:
        return []


def _bytes(process: psutil.Process, name: str) -> float:
    with contextlib.suppress(psutil.Error):
        memory = process.memory_info() if name == "rss" else process.memory_full_info()
        return float(getattr(memory, name, memory.rss))
    return 0.0


def _end(process: "subprocess.Popen[bytes]", pipes: Sequence[int], owner: int, folder: Path | None) -> None:
    """End a process with its group, what it started elsewhere and its folder; a fork of this process leaves all."""
    if os.getpid() == owner:
        family = _family(process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for descendant in family[1:]:
            with contextlib.suppress(psutil.Error):
                descendant.kill()
        process.wait()
        _remove(folder)
    for pipe in pipes:
        os.close(pipe)
