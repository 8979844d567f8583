"""What an error must look like."""

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from tests.production import OWNER, READER, SHADOW


def assert_message(postgres: EmbeddedPostgres, code: int, out: str, err: str) -> None:
    assert code == 1
    assert err.startswith("error ") or "\nerror " in err
    assert "Traceback" not in out + err
    for password in passwords(postgres):
        assert password not in out + err


def passwords(postgres: EmbeddedPostgres) -> list[str]:
    return [postgres.conninfo("postgres", role).password for role in (SUPERUSER, OWNER, READER, SHADOW)]
