"""The embedded server starts, stops, survives and says what is wrong."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from shadow_demo import account
from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres, EmbeddedPostgresError
from tests.integration.demo.postgres.asking import execute, ownership

PROJECT = Path(__file__).parents[4]

START = "import pathlib, sys; from shadow_demo.postgres import *; EmbeddedPostgres(pathlib.Path(sys.argv[1])).start()"

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="how root is avoided only matters to root")


@pytest.fixture
def own(second: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """A server that a test has to itself: stopped before and after, and with its table ``kept`` in it."""
    yield second
    second.stop()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, as pytest's are not."""
    parent = Path(tempfile.mkdtemp(dir="/var/tmp"))
    parent.chmod(0o711)
    yield parent
    shutil.rmtree(parent)


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.folder / "data/postmaster.pid").read_text().split()[0])


def owner(folder: Path, then: str = "") -> subprocess.Popen:
    """Another process that starts the server, at the head of a process group of its own."""
    command = [sys.executable, "-c", f"{START}; {then}", str(folder)]
    return subprocess.Popen(command, cwd=PROJECT, start_new_session=True, stdout=subprocess.PIPE)


def kept(server: EmbeddedPostgres) -> bool:
    return execute(server, "SELECT answer FROM kept") == [(42,)]


def test_start_and_stop_may_be_repeated(own):
    own.stop()
    assert not own.is_running()
    own.start()
    pid = postmaster(own)
    own.start()
    assert postmaster(own) == pid
    assert own.is_running()
    assert kept(own)
    own.stop()
    own.stop()
    assert not own.is_running()
    assert "database system is shut down" in (own.folder / "server.log").read_text()


def test_stop_does_not_make_a_folder(tmp_path):
    EmbeddedPostgres(tmp_path / "pg").stop()
    assert list(tmp_path.iterdir()) == []


def test_stop_ends_open_connections(own):
    own.start()
    with psycopg.connect(own.uri("postgres", SUPERUSER)):
        own.stop()
        assert not own.is_running()


def test_killed_server_is_recovered_with_its_data(own):
    own.start()
    execute(own, "CREATE TABLE late AS SELECT 7 AS answer")  # in the log only, not yet in the table's file
    os.kill(postmaster(own), signal.SIGKILL)
    while own.is_running():
        time.sleep(0.001)
    own.start()
    assert kept(own)
    assert execute(own, "SELECT answer FROM late") == [(7,)]


def test_start_waits_for_the_last_process_of_a_killed_server(own):
    own.start()
    with psycopg.connect(own.uri("postgres", SUPERUSER)) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # it cannot see that its server is gone, as if it were busy
        os.kill(postmaster(own), signal.SIGKILL)
        process = owner(own.folder)
        while "shared memory block" not in (own.folder / "server.log").read_text():
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(backend, signal.SIGKILL)
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert kept(own)


def test_left_over_process_id_is_no_obstacle(own):
    own.start()
    lines = (own.folder / "data/postmaster.pid").read_text().splitlines()
    another_programs = "\n".join([str(os.getpid()), *lines[1:], ""])
    for left_over in (another_programs, ""):
        own.stop()
        (own.folder / "data/postmaster.pid").write_text(left_over)
        assert not own.is_running()
        own.start()
        assert kept(own)


def test_server_outlives_its_killed_owner_and_is_reused(own):
    process = owner(own.folder, then="print('started', flush=True); sys.stdin.read(); import time; time.sleep(60)")
    assert process.stdout.readline() == b"started\n"
    pid = postmaster(own)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert own.is_running()
    own.start()
    assert postmaster(own) == pid
    assert kept(own)


def test_output_of_the_owner_is_not_held_open(own):
    process = owner(own.folder)
    process.communicate(timeout=120)
    assert own.is_running()


def test_initdb_killed_midway_is_done_again(tmp_path):
    server = EmbeddedPostgres(tmp_path / "pg")
    process = owner(server.folder)
    while not list(server.folder.glob("**/PG_VERSION")):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not server.is_running()
    with server:
        assert execute(server, "SELECT 1") == [(1,)]
        assert {path.name for path in server.folder.iterdir()} == {"data", "lock", "server.log", "state.json"}


def test_two_processes_start_one_server(tmp_path):
    server = EmbeddedPostgres(tmp_path / "pg")
    processes = [owner(server.folder), owner(server.folder)]
    try:
        assert [process.wait(300) for process in processes] == [0, 0]
        log = (server.folder / "server.log").read_text()
        assert log.count("The files belonging to this database system") == 1
        assert log.count("database system is ready to accept connections") == 1
    finally:
        server.stop()
        for process in processes:
            process.communicate()


def test_port_is_kept_over_a_restart_unless_it_is_taken(own):
    own.start()
    port = own.port
    own.stop()
    own.start()
    assert own.port == port
    own.stop()
    with socket.create_server((own.host, port)):
        own.start()
        assert own.port != port
        assert kept(own)


def test_only_loopback_listens(server):
    assert server.host == "127.0.0.1"
    assert execute(server, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert execute(server, "SHOW unix_socket_directories") == [("",)]


def test_settings_are_durable_and_in_utc(server):
    names = "fsync", "synchronous_commit", "full_page_writes", "timezone", "server_encoding", "max_connections"
    assert [execute(server, f"SHOW {name}")[0][0] for name in names] == ["on", "on", "on", "UTC", "UTF8", "100"]
    assert execute(server, "SHOW shared_buffers") == [("128MB",)]


def test_files_are_private(server):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [server.folder, *server.folder.iterdir()]}
    folders = {server.folder.name: 0o700, "data": 0o700}
    assert modes == folders | {"state.json": 0o600, "server.log": 0o600, "lock": 0o600}


def test_nothing_outside_the_folder_changes(parents, server):
    assert {path: ownership(path) for path in parents} == parents
    assert {path.name for path in next(iter(parents)).iterdir()} == {server.folder.name}


def test_log_holds_neither_passwords_nor_data(server):
    with pytest.raises(errors.UniqueViolation):
        execute(server, "CREATE TEMPORARY TABLE t (n text UNIQUE); INSERT INTO t VALUES ('secret-1'), ('secret-1')")
    with pytest.raises(errors.UndefinedObject):
        execute(server, "ALTER ROLE absent PASSWORD 'secret-2'")
    execute(server, "ALTER ROLE postgres SET log_statement = 'all'")
    server.ensure_role("quiet", "secret-3")
    execute(server, "ALTER ROLE postgres RESET log_statement")
    log = (server.folder / "server.log").read_text()
    assert "duplicate key" in log
    assert 'CREATE ROLE "quiet"' in log
    assert "secret-" not in log
    assert server.conninfo("postgres", SUPERUSER).password not in log


def test_failed_start_says_why_and_where_the_log_is(own):
    control = own.folder / "data/global/pg_control"
    moved = control.rename(own.folder / "moved")
    with pytest.raises(EmbeddedPostgresError, match=r"pg_ctl failed(.|\n)*pg_control(.|\n)*server\.log"):
        own.start()
    moved.rename(control)
    own.start()
    assert kept(own)


def test_lost_state_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(EmbeddedPostgresError, match=r"state\.json is gone"):
        EmbeddedPostgres(tmp_path).start()


def test_unusable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="must be a folder"):
        EmbeddedPostgres(tmp_path / "file").start()


def test_stopped_server_is_not_mistaken_for_the_one_on_its_port(server, tmp_path):
    shutil.copy(server.folder / "state.json", tmp_path)
    with pytest.raises(EmbeddedPostgresError, match=r"is not running: call start\(\) first"):
        EmbeddedPostgres(tmp_path).ensure_role("early")


@pytest.fixture
def without_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ``unshare`` that fails, as the real one does where the system forbids it."""
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@AS_ROOT
def test_root_without_user_namespaces_runs_as_another_user(open_folder, without_user_namespaces, monkeypatch):
    before = ownership(open_folder)
    server = EmbeddedPostgres(open_folder / "pg")
    with server:
        assert Path(f"/proc/{postmaster(server)}").stat().st_uid == 65534
        assert ownership(server.folder / "data") == ("drwx------", 65534, 65534)
        assert ownership(server.folder / "state.json") == ("-rw-------", 0, 0)
        execute(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    monkeypatch.undo()
    with server:
        assert kept(server)
    assert ownership(open_folder) == before


@AS_ROOT
def test_root_whose_user_namespaces_are_now_blocked_keeps_the_data(own, open_folder, without_user_namespaces):
    shutil.copytree(own.folder, open_folder / "pg")
    with EmbeddedPostgres(open_folder / "pg") as copy:
        assert Path(f"/proc/{postmaster(copy)}").stat().st_uid == 65534
        assert kept(copy)


@AS_ROOT
def test_root_without_user_namespaces_gets_an_error_that_names_the_closed_folder(open_folder, without_user_namespaces):
    (open_folder / "closed").mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match=rf"closed: {open_folder}/closed\)\. Choose a folder"):
        EmbeddedPostgres(open_folder / "closed/pg").start()
    assert stat.S_IMODE((open_folder / "closed").stat().st_mode) == 0o700


@AS_ROOT
def test_normal_user_needs_no_other_account(open_folder, monkeypatch):
    """The programs are copied first: the project may lie below a folder that only root may enter."""
    programs = account.readable_copy(account.installation(), open_folder)
    monkeypatch.setattr(account, "installation", lambda: programs)
    folder = open_folder / "home"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    if (child := os.fork()) == 0:  # no new interpreter: root's may be closed to other users
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with EmbeddedPostgres(folder / "pg") as server:
                names = {path.name for path in server.folder.iterdir()}
                code = 0 if server.is_running() and names == {"data", "lock", "server.log", "state.json"} else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
