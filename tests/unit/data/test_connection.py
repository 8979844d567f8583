"""Connections from the environment: both forms that Airflow has, and never a password where people read."""

import json
import os
import traceback
from collections.abc import Callable
from unittest.mock import patch
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.data.connections import Connection, environment
from shadow_deployment.errors import CredentialsError

VARIABLE = "AIRFLOW_CONN_SHADOW_DB"
SECRET = "hunter2"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)

Declare = Callable[[str], Connection]


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Declare a connection in the environment and read it."""

    def declare(value: str) -> Connection:
        monkeypatch.setenv(VARIABLE, value)
        return environment("shadow_db")

    return declare


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        (
            "postgresql://ann:hunter2@db.example:6432/shadow",
            {"host": "db.example", "port": 6432, "user": "ann", "password": SECRET, "dbname": "shadow"},
        ),
        ("postgres://ann@db.example/shadow", {"host": "db.example", "user": "ann", "dbname": "shadow"}),
        ("postgresql://db.example", {"host": "db.example"}),
        ("  postgresql://db.example  ", {"host": "db.example"}),
        ("postgresql://[::1]:5432/shadow", {"host": "::1", "port": 5432, "dbname": "shadow"}),
        ("postgresql://%2Frun%2FPostgres/shadow", {"host": "/run/Postgres", "dbname": "shadow"}),
        (
            "postgresql://a%40b:p%2F%3A%23%25%3F@h/my%20db",
            {"host": "h", "user": "a@b", "password": "p/:#%?", "dbname": "my db"},
        ),
        ("postgresql://h/db?sslmode=require", {"host": "h", "dbname": "db", "sslmode": "require"}),
        (
            "postgresql://h/db?__extra__=%7B%22sslmode%22%3A+%22require%22%7D",
            {"host": "h", "dbname": "db", "sslmode": "require"},
        ),
        (
            '{"conn_type": "postgres", "host": "h", "port": 6432, "login": "u", "password": "hunter2", "schema": "db"}',
            {"host": "h", "port": 6432, "user": "u", "password": SECRET, "dbname": "db"},
        ),
        ('{"host": "h", "port": "6432"}', {"host": "h", "port": 6432}),
        ('{"host": "h", "port": ""}', {"host": "h"}),
        ('{"host": "h", "port": null, "extra": null, "login": ""}', {"host": "h"}),
        ('{"host": "h", "extra": {"sslmode": "require"}}', {"host": "h", "sslmode": "require"}),
        ('{"host": "h", "extra": "{\\"sslmode\\": \\"require\\"}"}', {"host": "h", "sslmode": "require"}),
        ('{"host": "h", "extra": ""}', {"host": "h"}),
    ],
)
def test_both_forms_give_the_same_parameters_of_libpq(
    value: str, parameters: dict[str, object], declared: Declare
) -> None:
    assert declared(value).parameters() == parameters


def test_an_extra_that_libpq_does_not_know_is_not_sent_to_it(declared: Declare) -> None:
    connection = declared('{"host": "h", "extra": {"iam": true, "dbname": "other", "connect_timeout": 5}}')
    assert connection.extra["iam"] is True
    assert connection.parameters() == {"host": "h", "connect_timeout": 5}


@given(login=TEXT, password=TEXT, database=TEXT)
@settings(max_examples=50)
def test_any_text_survives_percent_encoding(login: str, password: str, database: str) -> None:
    value = f"postgresql://{quote(login, safe='')}:{quote(password, safe='')}@h:1/{quote(database, safe='')}"
    with patch.dict(os.environ, {VARIABLE: value}):
        connection = environment("shadow_db")
    assert (connection.login, connection.password, connection.database) == (login, password, database)


@given(login=TEXT, password=TEXT, database=TEXT)
@settings(max_examples=50)
def test_any_text_survives_json(login: str, password: str, database: str) -> None:
    with patch.dict(os.environ, {VARIABLE: json.dumps({"login": login, "password": password, "schema": database})}):
        connection = environment("shadow_db")
    assert (connection.login, connection.password, connection.database) == (login, password, database)


@pytest.mark.parametrize("value", [None, "", "   "])
def test_a_connection_that_is_not_declared_says_how_to(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(CredentialsError, match=f"connection shadow_db is not declared: set {VARIABLE} to a URI"):
        environment("shadow_db")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("postgresql://ann:hunter2@h:70000/db", "the port .* must be a number up to 65535"),
        ("postgresql://ann:hunter2@h:hunter2/db", "the port .* must be a number up to 65535"),
        ("postgresql://ann:hun[hunter2@h/db", "is no URI; percent-encode what is not a letter or digit in the pass"),
        ("postgresql://ann:[hunter2]@h/db", "is no URI; percent-encode what is not a letter or digit in the pass"),
        ("postgresql://ann:hunter2\uff0f@h/db", "is no URI; percent-encode what is not a letter or digit in the pass"),
        ("hunter2", "is no URI, must look like postgresql://"),
        ("ann:hunter2", "is no URI, must look like postgresql://"),
        ("postgresql:hunter2", "is no URI, must look like postgresql://"),
        ("postgresql://ann:hunter2@h/db?__extra__=hunter2", "extra .* must be a JSON object"),
        ("postgresql://ann:hunter2@h/db?__extra__=%5B1%5D", "extra .* must be a JSON object"),
        ('{"password": "hunter2"', "no valid JSON"),
        ('{"password": "hunter2", "port": [1]}', "the port .* must be a number up to 65535"),
        ('{"password": "hunter2", "port": "hunter2"}', "the port .* must be a number up to 65535"),
        ('{"password": "hunter2", "extra": "hunter2"}', "extra .* must be a JSON object"),
        ('{"password": "hunter2", "extra": ["hunter2"]}', "extra .* must be a JSON object"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_without_showing_it(value: str, problem: str, declared: Declare) -> None:
    with pytest.raises(CredentialsError, match=problem) as caught:
        declared(value)
    assert "shadow_db" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_the_password_is_in_no_text_about_a_connection(declared: Declare) -> None:
    connection = declared(json.dumps({"host": "h", "login": "ann", "password": SECRET, "extra": {"key": SECRET}}))
    assert connection.password == SECRET
    assert SECRET not in f"{connection} {connection!r} {connection!s}"


@pytest.mark.parametrize(
    ("connection", "text"),
    [
        (Connection("a", "h", 1, "ann", SECRET, "db"), "a (ann@h:1/db)"),
        (Connection("a"), "a (?@localhost:5432/?)"),
    ],
)
def test_a_connection_is_shown_as_who_asks_and_where(connection: Connection, text: str) -> None:
    assert str(connection) == text
