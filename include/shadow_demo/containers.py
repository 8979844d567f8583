"""What the one-shot services of docker-compose.yaml do: databases on the server of the shadow data, and the demo's.

`python -m shadow_demo.containers databases | demo`. Both may be run again at any time. The addresses come from the
environment: SHADOW_SERVER, of the superuser; AIRFLOW_CONN_SHADOW_OWNER and AIRFLOW_CONN_SHADOW_DB, of the ledger's
owner and of who runs the days; DEMO_OWNER and DEMO_READER.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from shadow_demo import flights, train
from shadow_demo.postgres import let_read, make_database, make_role


def ensure_role(session: psycopg.Connection[Any], address: str) -> str:
    """Make the role of an address, with its password; return its name."""
    parts = urlsplit(address)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    make_role(session, name, password)
    return name


def ensure_database(session: psycopg.Connection[Any], address: str) -> str:
    """Make the role and the database of an address, which belongs to that role; return the database's name."""
    owner, name = ensure_role(session, address), unquote(urlsplit(address).path.removeprefix("/"))
    make_database(session, name, owner)
    return name


def databases(environment: Mapping[str, str]) -> None:
    """Make the ledger's roles and database; `shadow migrate` fills it."""
    with psycopg.connect(environment["SHADOW_SERVER"], autocommit=True) as session:
        ensure_database(session, environment["AIRFLOW_CONN_SHADOW_OWNER"])
        ensure_role(session, environment["AIRFLOW_CONN_SHADOW_DB"])


def demo(environment: Mapping[str, str]) -> int:
    """Train the models, load the flights of 2013 as production, let the reader read them; return how many were new."""
    train.ensure_models(train.MODELS)
    server, owner = environment["SHADOW_SERVER"], environment["DEMO_OWNER"]
    with psycopg.connect(server, autocommit=True) as session:
        name = ensure_database(session, owner)
        reader = ensure_role(session, environment["DEMO_READER"])
    with psycopg.connect(owner) as session:
        loaded = flights.load(session, train.MODELS)
    with psycopg.connect(server, dbname=name, autocommit=True) as session:
        let_read(session, database=name, role=reader, schema="flights", owner=unquote(urlsplit(owner).username or ""))
    return loaded


def main() -> None:
    """Do one of the two; a database that does not let us in is a message and exit code 1."""
    try:
        match sys.argv[1:]:
            case ["databases"]:
                databases(os.environ)
            case ["demo"]:
                print(f"{demo(os.environ):,} requests loaded as production, 0 where they were there already")
            case _:
                sys.exit("python -m shadow_demo.containers databases | demo")
    except psycopg.OperationalError as error:
        hint = "a volume keeps the passwords that it was made with: restore that .env, or remove the volumes"
        sys.exit(f"{error}\n{hint} (docker compose --profile '*' down --volumes)")


if __name__ == "__main__":
    main()
