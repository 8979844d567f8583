"""Redaction: what a library, model or server wrote is stored, logged or sent without values, logins and secrets.

Each function states what it removes. None of them knows where a text goes: callers redact where a text comes in.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

MARK: Final = "…"
LONGEST_EXCERPT: Final = 200
_SEARCHED: Final = 20_000  # characters; a longer text is cut before it is searched
_LOGIN = re.compile(r"//[^/\s]*@")
_SECRET = re.compile(r"(?i)(['\"]\w*(?:passw|secret|token)\w*['\"]: )('[^']*'|\"[^\"]*\"|[^,}\s]+)")
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|(?:^|_)key(?:_|$)")
_VALUE = re.compile(  # quoted, a short number that ends a name as in float32, any other number
    r"""(?P<quoted>'[^']*'|"[^"]*")|(?P<of_name>(?<=[A-Za-z_])\d{1,3}(?!\d|[.,]\d))|"""
    r"""[-+]?\d(?:[\d.,_]*\d)?(?:[eE][-+]?\d+)?"""
)
_QUOTED = re.compile(r'".*"|".*')
_FAILED_VALUES = re.compile(r"""(?<=value )(["']).*?\1|\[[^]]*\]""")
_OBSERVED = re.compile(r": observed \S+?(?=;|$)")
_NOT_EVALUATED = re.compile(r"(could not be evaluated): .*")


def without_credentials(text: str) -> str:
    """Remove logins from addresses (`//user:password@`) and the values of keys named password, secret or token."""
    return _SECRET.sub(r"\1...", _LOGIN.sub("//...@", text))


def without_secrets(text: str, hidden: Iterable[str] = ()) -> str:
    """Remove given secrets wherever they stand, and what `without_credentials` removes; return it in one line."""
    if expression := _any_of(hidden):
        text = re.sub(expression, MARK, text)
    return one_line(without_credentials(text))


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names say that they are a password, secret, token or key."""
    return [value for name, value in environment.items() if value and _SECRET_NAME.search(name)]


def without_values(
    text: str, texts: Iterable[str] = (), *, names: Collection[str] = (), hidden: Iterable[str] = ()
) -> str:
    """Remove every number, everything in quotes, and given texts; cut what is longer than 20,000 characters.

    Args:
        text: What a model, a server or a library wrote.
        texts: Text values of the requests, removed where they stand alone, the longest first.
        names: Names of features, which stay although they are quoted. Digits that end a name, as in float32, stay too.
        hidden: Secrets and other texts to remove wherever they stand, also within a word.
    """

    def replacement(match: re.Match[str]) -> str:
        is_name = match["of_name"] or (match["quoted"] and match["quoted"][1:-1] in names)
        return match[0] if is_name else MARK

    text = text[:_SEARCHED]
    if expression := _any_of(hidden):
        text = re.sub(expression, MARK, text)
    if expression := _any_of(texts):
        text = re.sub(rf"(?<!\w)(?:{expression})(?!\w)", MARK, text)
    return _VALUE.sub(replacement, text)


def excerpt(text: str, hidden: Iterable[str] = ()) -> str:
    """Remove what `without_values` removes and what is not printable; return the first 200 characters in one line."""
    shown = one_line(without_values(text, hidden=hidden))
    return shown if len(shown) <= LONGEST_EXCERPT else f"{shown[:LONGEST_EXCERPT]}{MARK}"


def one_line(text: str, longest: int | None = None) -> str:
    """Remove line breaks, NUL, halves of surrogate pairs and other characters that are not printable; cut the rest."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:longest]


def first_line(error: BaseException | str) -> str:
    """Remove all but the first line of an error, as further ones may show rows; return its type where it is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "" if isinstance(error, str) else type(error).__name__


def without_quoted(text: str) -> str:
    """Remove what stands in double quotes, closed or not: where Postgres shows a value of a row."""
    return _QUOTED.sub(MARK, text)


def without_failed_values(text: str) -> str:
    """Remove quoted text after the word `value` and lists in brackets: the values that an expectation failed on."""
    return _FAILED_VALUES.sub("...", text)


def without_observations(line: str) -> str:
    """Remove an observed value, which may be one row's, and why an expectation could not be evaluated."""
    return _NOT_EVALUATED.sub(r"\1", _OBSERVED.sub("", line))


def _any_of(texts: Iterable[str]) -> str:
    """Return an expression for any of these texts, the longest first; empty where there is none."""
    return "|".join(map(re.escape, sorted({text for text in texts if text.strip()}, key=len, reverse=True)))
