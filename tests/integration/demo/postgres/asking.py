"""What the tests of the embedded server ask it."""

import stat
from pathlib import Path

import psycopg

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres


def ownership(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return stat.filemode(status.st_mode), status.st_uid, status.st_gid


def execute(server: EmbeddedPostgres, query: str, database: str = "postgres", user: str = SUPERUSER) -> list[tuple]:
    with psycopg.connect(**vars(server.conninfo(database, user)), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []
