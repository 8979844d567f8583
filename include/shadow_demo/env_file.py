"""`make env`: the secrets of docker-compose.yaml, made once and kept in `.env`; prints the login.

Needs nothing but Python: who runs the containers need not install what is in them. What stands in the file stays as it
is, to the byte; what is missing or empty is added. The file is readable by its owner only, and there whole or not at
all. The passwords of the databases and of Redis are set when their volumes are made: with a new file they need new
volumes (`docker compose --profile "*" down --volumes`).
"""

import base64
import fcntl
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
USER, PORT = "admin", "8080"
IMAGE_UID = 50000  # of the user `airflow` in the image
LINE = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*?)[ \t]*$")


def account() -> str:
    """Return the number of the user that the containers of Airflow run as: this one, and never root."""
    return str(os.getuid() or IMAGE_UID)


def fernet_key() -> str:
    """Return a key as Airflow encrypts its connections with: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def token() -> str:
    """Return a password of 32 random bytes that needs no quoting in a URL."""
    return secrets.token_urlsafe(32)


MAKERS: Mapping[str, Callable[[], str]] = {
    "AIRFLOW_UID": account,
    "AIRFLOW_PASSWORD": lambda: secrets.token_urlsafe(12),  # typed by a person
    "AIRFLOW_FERNET_KEY": fernet_key,
    "AIRFLOW_JWT_SECRET": token,
    "AIRFLOW_SECRET_KEY": token,
    "METADATA_PASSWORD": token,
    "SHADOW_SUPERUSER_PASSWORD": token,
    "SHADOW_OWNER_PASSWORD": token,
    "SHADOW_PASSWORD": token,
    "DEMO_OWNER_PASSWORD": token,
    "DEMO_READER_PASSWORD": token,
    "REDIS_PASSWORD": token,
    "S3_ACCESS_KEY": lambda: secrets.token_hex(10),
    "S3_SECRET_KEY": token,
}


def values(text: str) -> dict[str, str]:
    """Return the variables of a `.env`; of one that stands there twice the last, as docker compose does."""
    matches = (LINE.match(line) for line in text.splitlines())
    return {match[1]: "" if match[2].startswith("#") else match[2].strip("'\"") for match in matches if match}


def completed(text: str) -> str:
    """Return the text with a value for each of MAKERS: lines without one are filled, missing lines are added."""
    known = values(text)
    missing = {name: make() for name, make in MAKERS.items() if not known.get(name)}
    if not missing:
        return text
    lines = []
    for line in text.splitlines(keepends=True):
        match = LINE.match(line.rstrip("\r\n"))
        empty = match is not None and match[1] in missing
        lines.append(f"{match[1]}={missing.pop(match[1])}\n" if match and empty else line)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join(lines) + "".join(f"{name}={value}\n" for name, value in missing.items())


def ensure(path: Path) -> dict[str, str]:
    """Complete the file, or make it; return its variables. Raises OSError where it cannot be written."""
    path = path.resolve()
    with _locked(path.parent):
        before = path.read_bytes().decode() if path.exists() else ""
        after = completed(before)
        if after != before:
            _write(path, after)
        path.chmod(0o600)
        return values(after)


def user(number: str) -> int:
    """Return the user of the containers; raises ValueError for root and for what is no number."""
    if not number.isdecimal() or int(number) == 0:
        raise ValueError(f"AIRFLOW_UID == {number!r}, must be the number of a user other than root")
    return int(number)


def ensure_models(folder: Path, uid: int) -> None:
    """Make the folder of the models, which a container writes as this user; root gives it to that user."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, uid, 0)


def main(project: Path = PROJECT) -> None:
    """Write `.env` and print the login; where that cannot be done, say so and exit with 1."""
    path = project / ".env"
    try:
        values = ensure(path)
        ensure_models(project / "include" / "models", user(values["AIRFLOW_UID"]))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be used: {error}; mend it, or move it away to have a new one made")
    address = f"http://localhost:{values.get('AIRFLOW_PORT') or PORT}"
    print(f"{path} holds the secrets: keep it, and give it to nobody")
    print(f"docker compose up     Airflow at {address}, user {USER}, password {values['AIRFLOW_PASSWORD']}")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name.lstrip('.')}.new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
        os.fchmod(file.fileno(), 0o600)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
