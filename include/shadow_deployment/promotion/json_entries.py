"""Entries of a JSON list that others write to as well: one key of one entry is set in the text, the rest stays.

The text is not written anew from what was parsed, so that numbers, escapes, the order of keys and the layout of
everything else are what they were, to the byte.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

IDENTITY = "id"
_BLANK = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"\n([ \t]+)[^\s]")
_COMPACT = re.compile(r'":[^\s]')


class EntriesError(ValueError):
    """A text is no JSON, or holds no list of entries where one should be; says what it is instead."""


@dataclass(frozen=True)
class _Member:
    """A value in the text, from its first character to behind its last, with its key where it has one."""

    start: int
    end: int
    value: Any
    key: str = ""
    key_start: int = -1


def new(list_key: str) -> str:
    """Return the text of an object that holds an empty list."""
    return json.dumps({list_key: []}, indent=2, ensure_ascii=False) + "\n"


def set_key(text: str, list_key: str, identity: str, key: str, value: dict[str, Any]) -> str:
    """Return the text in which the entry of this identity has this value for a key, and nothing else is changed.

    The list is that of `list_key`, or the whole text. An entry that is missing is appended; where the value is there
    already, the text is returned as it is. Raises EntriesError where the text is no JSON, an object in it has a key
    twice, or it has another shape.
    """
    _parse(text)
    entries = _list(text, list_key)
    found = [one for one in _entries(text, entries) if one[IDENTITY].value == identity]
    if len(found) > 1:
        raise EntriesError(f"has {len(found)} entries with the id {identity!r}, must have one")
    layout = _Layout.of(text)
    if not found:
        return _append(text, entries, {IDENTITY: identity, key: value}, layout)
    return _change(text, found[0], key, value, layout)


def _change(text: str, entry: dict[str, _Member], key: str, value: dict[str, Any], layout: "_Layout") -> str:
    lines, present = _begins_in_lines(text, next(iter(entry.values()))), entry.get(key)
    if present is None:
        last = list(entry.values())[-1]
        indent = _indent(text, last.key_start)
        before = f",{layout.newline}{indent}" if lines else layout.comma
        added = f"{before}{json.dumps(key)}{layout.colon}{layout.text(value, indent, lines=lines)}"
        return f"{text[: last.end]}{added}{text[last.end :]}"
    if present.value == _parse(json.dumps(value)):
        return text
    written = layout.text(value, _indent(text, present.key_start), lines=lines)
    return f"{text[: present.start]}{written}{text[present.end :]}"


def _append(text: str, entries: _Member, entry: dict[str, Any], layout: "_Layout") -> str:
    members = list(_elements(text, entries.start))
    if members:
        last = members[-1]
        indent = _indent(text, last.start)
        before = f",{layout.newline}{indent}" if _begins_in_lines(text, last) else layout.comma
        written = layout.text(entry, indent, lines=_begins_in_lines(text, next(_members(text, last.start))))
        return f"{text[: last.end]}{before}{written}{text[last.end :]}"
    outer = _indent(text, entries.start)
    if layout.indent is None:
        written = f"[{layout.text(entry, outer, lines=False)}]"
    else:
        inner = f"{outer}{layout.indent}"
        written = f"[{layout.newline}{inner}{layout.text(entry, inner, lines=True)}{layout.newline}{outer}]"
    return f"{text[: entries.start]}{written}{text[entries.end :]}"


@dataclass(frozen=True)
class _Layout:
    """How a text is laid out: by what it indents, None where it is one line, and how it separates."""

    indent: str | None
    newline: str
    comma: str
    colon: str
    is_ascii: bool

    @classmethod
    def of(cls, text: str) -> "_Layout":
        indent = _INDENT.search(text)
        is_compact = _COMPACT.search(text) is not None
        return cls(
            indent=indent[1] if indent else None,
            newline="\r\n" if "\r\n" in text else "\n",
            comma="," if is_compact else ", ",
            colon=":" if is_compact else ": ",
            is_ascii=text.isascii() and "\\u" in text,
        )

    def text(self, value: dict[str, Any], indent: str, *, lines: bool) -> str:
        """Write a value that begins on a line with this indentation, in lines of its own or in one."""
        if not lines:
            return json.dumps(value, ensure_ascii=self.is_ascii, separators=(self.comma, self.colon))
        step = self.indent or "  "
        written = json.dumps(value, ensure_ascii=self.is_ascii, indent=step, separators=(",", self.colon))
        return written.replace("\n", f"{self.newline}{indent}")


def _list(text: str, list_key: str) -> _Member:
    """Find the list of entries: the whole, or what an object holds under the key."""
    start = _skip(text, 0)
    value, end = _DECODER.raw_decode(text, start)
    found = _Member(start, end, value)
    if isinstance(value, dict):
        members = {one.key: one for one in _members(text, start)}
        if list_key not in members:
            keys = ", ".join(map(repr, members)) or "none"
            raise EntriesError(f"has no key {list_key!r}, its keys are {keys}: correct status.key, or add it with []")
        found = members[list_key]
    if not isinstance(found.value, list):
        where = f"holds something else than a list under {list_key!r}" if isinstance(value, dict) else "is no list"
        raise EntriesError(f"{where}, must be an object with a list of entries under {list_key!r}, or such a list")
    return found


def _entries(text: str, entries: _Member) -> Iterator[dict[str, _Member]]:
    """Yield the members of each entry, by key."""
    for number, one in enumerate(_elements(text, entries.start), 1):
        members = {member.key: member for member in _members(text, one.start)} if isinstance(one.value, dict) else {}
        if IDENTITY not in members or not isinstance(members[IDENTITY].value, str):
            raise EntriesError(f"has an entry, the {number}. of its list, that is no object with an {IDENTITY}")
        yield members


def _members(text: str, start: int) -> Iterator[_Member]:
    """Yield the members of the object that begins here."""
    position = _skip(text, start + 1)
    while text[position] != "}":
        key_start = position
        key, position = scanstring(text, position + 1, True)
        position = _skip(text, _skip(text, position) + 1)
        value, end = _DECODER.raw_decode(text, position)
        yield _Member(position, end, value, key, key_start)
        position = _next(text, end)


def _elements(text: str, start: int) -> Iterator[_Member]:
    """Yield the elements of the list that begins here."""
    position = _skip(text, start + 1)
    while text[position] != "]":
        value, end = _DECODER.raw_decode(text, position)
        yield _Member(position, end, value)
        position = _next(text, end)


def _next(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _begins_in_lines(text: str, member: _Member) -> bool:
    """Whether a value, or the key before it, begins a line of its own."""
    start = member.start if member.key_start < 0 else member.key_start
    line = text[:start].rpartition("\n")
    return bool(line[1]) and not line[2].strip()


def _indent(text: str, position: int) -> str:
    """Return what the line of this position is indented by."""
    line = text[:position].rpartition("\n")[2]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise EntriesError(f"has the key {twice!r} twice in one object: which one counts nobody can say; remove one")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=str)  # an integer may have any length, and be an id


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise EntriesError(f"is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise EntriesError("is nested too deeply to be read") from None
