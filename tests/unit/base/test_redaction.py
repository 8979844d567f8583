"""Redaction: each function removes what its docstring says, and leaves what makes an error useful."""

import pytest

from shadow_deployment.base.redaction import (
    LONGEST_EXCERPT,
    excerpt,
    first_line,
    one_line,
    secrets_in,
    without_credentials,
    without_failed_values,
    without_observations,
    without_quoted,
    without_secrets,
    without_values,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://u:p@host/a", "see https://...@host/a"),
        ("postgresql://reader@db/log and redis://:pw@cache", "postgresql://...@db/log and redis://...@cache"),
        ("{'db_password': 'a b', 'host': 'x'}", "{'db_password': ..., 'host': 'x'}"),
        ('{"API_TOKEN": "t", "n": 1}', '{"API_TOKEN": ..., "n": 1}'),
        ("{'Secret': 12, 'port': 5432}", "{'Secret': ..., 'port': 5432}"),
        ("mail@example.org", "mail@example.org"),
    ],
)
def test_logins_of_addresses_and_values_of_secret_keys_go(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot convert 'Rare' to float32", "cannot convert … to float32"),
        ("row [7345129.25, -3e5] of v7345129", "row […, …] of v…"),
        ('no column "distance"', 'no column "distance"'),
        ("unknown Rare Carrier, Rare", "unknown …, …"),
        ("rarely Rarely", "rarely Rarely"),
        ("aged 41, 1,234.5", "aged …, …"),
        ("plain words", "plain words"),
    ],
)
def test_values_go_and_words_and_names_stay(text: str, expected: str) -> None:
    assert without_values(text, ["Rare", "Rare Carrier", " ", ""], names=["distance"]) == expected


def test_a_hidden_text_goes_even_within_a_word() -> None:
    assert without_values("Bearer xs3cr.ty", hidden=["s3cr.t", ""]) == "Bearer x…y"
    assert without_values("a.c abc", ["a.c"]) == "… abc"


def test_a_text_is_cut_before_it_is_searched() -> None:
    assert without_values("x" * 30_000) == "x" * 20_000


def test_an_excerpt_is_short_printable_and_without_values() -> None:
    assert excerpt("no\n\x00 'a' b 5 Smith", ["Smith"]) == "no … b … …"
    assert excerpt("why " * 100) == f"{('why ' * 100)[:LONGEST_EXCERPT]}…"


def test_one_line_is_printable_and_can_be_stored() -> None:
    assert one_line("a\x00b\n c\td \ud800\u2028 é") == "a b c d é"
    assert one_line("abcdef", 3) == "abc"


def test_the_first_line_of_an_error_is_never_empty() -> None:
    assert first_line(ValueError("\n what failed \nDETAIL: a row\n")) == "what failed "
    assert first_line(ValueError()) == "ValueError"
    assert first_line("a\nb") == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('invalid input: "7345129"', "invalid input: …"),
        ('value "a" or "b" here', "value … here"),
        ('open "cut', "open …"),
    ],
)
def test_what_postgres_quotes_goes(text: str, expected: str) -> None:
    assert without_quoted(text) == expected


def test_the_values_that_an_expectation_failed_on_go() -> None:
    assert without_failed_values("cannot compare value 'Rare' in ['a', 'b'] of column 'x'") == (
        "cannot compare value ... in ... of column 'x'"
    )


def test_observed_values_and_reasons_of_broken_expectations_go() -> None:
    assert without_observations("max on distance: observed 7345129.25; see it") == "max on distance; see it"
    assert without_observations("max could not be evaluated: bad 'Rare'") == "max could not be evaluated"


def test_secrets_and_logins_go_and_the_rest_stays_in_one_line() -> None:
    said = "token s3cr3tx of\nhttps://me:pw@host/a at 12.5"
    assert without_secrets(said, ["s3cr3t"]) == "token …x of https://...@host/a at 12.5"


def test_secrets_are_found_by_the_names_of_their_variables() -> None:
    environment = {
        "MLFLOW_TRACKING_TOKEN": "a",
        "DB_PASSWORD": "b",
        "AWS_SECRET_ACCESS_KEY": "c",
        "API_KEY": "d",
        "EMPTY_TOKEN": "",
        "PATH": "/bin",
        "KEYBOARD": "us",
    }
    assert secrets_in(environment) == ["a", "b", "c", "d"]
