"""SQL files keep psql's own variables: names are quoted as names, values as values, and nothing is pasted in."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql

from shadow_deployment.base.sql_templates import load_literal_statement, load_statement

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a statement to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "statement.sql"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT :'day'", "SELECT %(day)s"),
        ("SELECT :'day'::date, :'day'", "SELECT %(day)s::date, %(day)s"),
        ('SELECT :"id" FROM :"table"', 'SELECT "the id" FROM "flights"."log"'),
        ("SELECT 1 WHERE :condition", "SELECT 1 WHERE x > 1"),
        ("SELECT x::float8, '10:30'::time, a[1:2]", "SELECT x::float8, '10:30'::time, a[1:2]"),
        ("SELECT 'a:condition', b:condition", "SELECT 'a:condition', b:condition"),
        ("SELECT 7 % 3 WHERE x LIKE 'a%'", "SELECT 7 %% 3 WHERE x LIKE 'a%%'"),
        (":'day'", "%(day)s"),
        ("", ""),
    ],
)
def test_variables_become_parameters_and_names_and_all_else_stays(text: str, expected: str, written: Written) -> None:
    pieces = {"id": sql.Identifier("the id"), "table": sql.Identifier("flights", "log"), "condition": sql.SQL("x > 1")}
    assert load_statement(written(text), pieces).as_string() == expected


def test_a_percent_sign_in_a_name_is_no_parameter(written: Written) -> None:
    path, pieces = written('SELECT :"id"'), {"id": sql.Identifier("a%b")}
    assert load_statement(path, pieces).as_string() == 'SELECT "a%%b"'  # psycopg halves it again
    assert load_literal_statement(path, pieces, {}).as_string() == 'SELECT "a%b"'


def test_a_name_cannot_end_its_quotes(written: Written) -> None:
    statement = load_statement(written('SELECT :"id"'), {"id": sql.Identifier('x" FROM secrets --')})
    assert statement.as_string() == 'SELECT "x"" FROM secrets --"'


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("flights", "'flights'"),
        ("o'hare", "'o''hare'"),
        ("'; DROP TABLE t; --", "'''; DROP TABLE t; --'"),
        ("back\\slash", "E'back\\\\slash'"),
        ("50%", "'50%'"),
        (":'other'", "':''other'''"),
        (':"id"', "':\"id\"'"),
        (None, "NULL"),
        (["JFK", "o'hare"], "'{JFK,o''hare}'"),
        (dt.datetime(2013, 3, 1, tzinfo=dt.UTC), "'2013-03-01 00:00:00+00:00'::timestamptz"),
    ],
)
def test_a_quoted_value_stays_one_literal(value: object, literal: str, written: Written) -> None:
    statement = load_literal_statement(written("SELECT :'value' % 2"), {"id": sql.Identifier("no")}, {"value": value})
    text = statement.as_string().removeprefix("SELECT ").removesuffix(" % 2").strip()
    assert text.removesuffix("::text[]") == literal


def test_a_piece_is_not_searched_for_variables(written: Written) -> None:
    statement = load_literal_statement(written("SELECT :columns"), {"columns": sql.SQL(":'value'")}, {"value": 1})
    assert statement.as_string() == "SELECT :'value'"


@pytest.mark.parametrize("text", [':"missing"', ":missing", ":'missing'"])
def test_a_variable_that_nothing_was_given_for_is_an_error(text: str, written: Written) -> None:
    with pytest.raises(KeyError, match="missing"):
        load_literal_statement(written(text), {}, {})
