"""A model cannot read what other processes hold in their environments, where this machine lets it be kept from that."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_deployment.doctor import isolation as checks
from shadow_deployment.doctor.checks import Check, examine
from shadow_deployment.models.sandbox import isolation, process
from tests.integration.models.beside import batch, loaded
from tests.security.planted import PASSWORD

READS = "python:tests.security.leaking_models:reads"


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Let each test find out by itself what works."""
    isolation.isolation_of.cache_clear()
    yield
    isolation.isolation_of.cache_clear()


@pytest.fixture
def sibling() -> Iterator[int]:
    """A process of this user that holds credentials, as a scheduler does."""
    held = {"AIRFLOW_CONN_SHADOW_DB": PASSWORD}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=held) as running:
        yield running.pid
        running.kill()


def readable(pid: int) -> bool:
    return b"AIRFLOW_CONN_SHADOW_DB" in Path(f"/proc/{pid}/environ").read_bytes()


def isolated(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate every process in this way."""
    monkeypatch.setattr(process, "isolation_of", lambda _: how)


def test_no_environment_of_any_other_process_can_be_read(sibling: int) -> None:
    if isolation.isolation_of(sys.executable) == isolation.NONE:
        pytest.skip("this machine allows neither another user nor a user namespace")
    assert readable(sibling), "it can be read from here"
    read, seen, parent = loaded({"model": READS}).predict(batch([1.0, 2.0, 3.0])).values.tolist()
    assert seen > 1
    assert parent == os.getpid()
    assert read == 0


def test_without_isolation_they_can_be_read_so_that_this_test_can_fail(
    sibling: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolated(isolation.NONE, monkeypatch)
    read, _, _ = loaded({"model": READS}).predict(batch([1.0, 2.0, 3.0])).values.tolist()
    assert readable(sibling)
    assert read > 0


@pytest.mark.parametrize("how", ["user 65534", "namespace"])
def test_each_way_keeps_a_process_from_this_ones_environment(how: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(isolation.WORKER.parent)!r}); import worker, os\n"
    code += f"before = worker.is_isolated('none', {os.getppid()})\nworker.isolate({how!r})\n"
    code += f"try: open('/proc/{os.getpid()}/environ').read()\nexcept PermissionError: print(before, 'denied')\n"
    interpreter = "/usr/bin/python3" if os.geteuid() == 0 else sys.executable
    done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"{how} is not allowed on this machine")
    assert done.stdout.split() == ["False", "denied"], done.stderr


def test_the_doctor_says_where_models_are_not_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked() -> Check:
        (found,) = examine("installation", checks.probes())
        return found

    monkeypatch.setattr(isolation, "_works", lambda *_: False)
    found = checked()
    assert (found.state, found.result.partition(":")[0]) == ("warning", "not isolated")
    assert "let workers make user namespaces" in found.remedy
    isolation.isolation_of.cache_clear()
    monkeypatch.setattr(isolation, "_works", lambda _, how: how == "namespace")
    assert checked().result == "models cannot read other processes: a user namespace of their own"


def test_an_interpreter_that_does_not_start_is_not_isolated() -> None:
    assert isolation.isolation_of("/nowhere/python") == isolation.NONE
