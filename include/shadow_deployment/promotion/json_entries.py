"""Some keys of one entry in a JSON list that others write to as well.

The text is parsed and written anew with its own indentation and separators. Values, numbers as they are spelled and the
order of keys are kept; escapes of characters and lines that are laid out by hand are not.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

IDENTITY = "id"
_INDENT = re.compile(r"\n([ \t]+)\S")
_COMPACT = re.compile(r'":\S')


class EntriesError(ValueError):
    """A text is not JSON, or has no list of entries; the message says what it is instead."""


class UnknownEntryError(EntriesError):
    """A list in which somebody else keeps entries has none with this id; the message names those that it has."""


@dataclass(frozen=True)
class _Number:
    """A number as it is spelled, of any length and precision."""

    text: str


def new(list_key: str) -> str:
    """Return the text of an object with an empty list."""
    return json.dumps({list_key: []}, indent=2, ensure_ascii=False) + "\n"


def set_keys(text: str, list_key: str, identity: str, values: Mapping[str, Any]) -> str:
    """Return the text with some keys of one entry set.

    Args:
        text: JSON, an object with a list under `list_key` or a list.
        list_key: key of the list of entries.
        identity: the entry's `id`; an entry that is missing is appended to a list that has no keys but these.
        values: the keys to set; where the entry has the same already, the text is returned unchanged.

    Raises:
        UnknownEntryError: there is no such entry in a list that has other keys.
        EntriesError: the text is not JSON, has a key twice in one object, or has another shape.
    """
    try:
        document = _parse(text)
        entries = _entries(document, list_key)
        matching = [entry for entry in entries if _identity(entry) == identity]
        if len(matching) > 1:
            raise EntriesError(f"has {len(matching)} entries with the id {identity!r}, must have one")
        if not matching and any(set(entry) - {IDENTITY, *values} for entry in entries):
            ids = [str(_identity(entry)) for entry in entries]
            raise UnknownEntryError(f"has no entry with the id {identity!r}, its ids are {', '.join(map(repr, ids))}")
        entry = matching[0] if matching else {IDENTITY: identity}
        parsed = _parse(json.dumps(values))
        if all(key in entry and entry[key] == value for key, value in parsed.items()):
            return text
        entry |= parsed
        if not matching:
            entries.append(entry)
        return _write(document, text)
    except RecursionError:
        raise EntriesError("is nested too deeply to be read") from None


def _parse(text: str) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=_Number, parse_float=_Number, parse_constant=_Number
        )
    except json.JSONDecodeError as error:
        raise EntriesError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise EntriesError(f"has the key {twice!r} twice in one object; remove one of them")
    return members


def _entries(document: Any, list_key: str) -> list[dict[str, Any]]:
    where, entries = "is", document
    if isinstance(document, dict):
        if list_key not in document:
            keys = ", ".join(map(repr, document)) or "none"
            raise EntriesError(f"has no key {list_key!r}, its keys are {keys}: correct status.key, or add it with []")
        where, entries = f"has under {list_key!r}", document[list_key]
    if not isinstance(entries, list):
        raise EntriesError(f"{where} no list, must be a list of entries or an object with one under {list_key!r}")
    for number, entry in enumerate(entries, 1):
        if _identity(entry) is None:
            raise EntriesError(f"has no object with an {IDENTITY} as entry {number} of its list")
    return entries


def _identity(entry: Any) -> str | None:
    identity = entry.get(IDENTITY) if isinstance(entry, dict) else None
    if isinstance(identity, _Number):
        return identity.text
    return identity if isinstance(identity, str) else None


def _write(document: Any, text: str) -> str:
    """Return a document laid out like `text`."""
    mark = uuid4().hex  # tells numbers from text, which json.dumps cannot be taught
    indent, is_compact = _INDENT.search(text), _COMPACT.search(text) is not None
    written = json.dumps(
        document,
        default=lambda number: f"{mark}{number.text}",
        ensure_ascii="\\u" in text,
        indent=indent[1] if indent else None,
        separators=("," if indent or is_compact else ", ", ":" if is_compact else ": "),
    )
    written = re.sub(rf'"{mark}([^"]+)"', r"\1", written) + text[len(text.rstrip()) :].replace("\r\n", "\n")
    return written.replace("\n", "\r\n") if "\r\n" in text else written
