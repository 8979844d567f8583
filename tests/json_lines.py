"""Production in JSON lines: what tests write where the source reads it."""

import datetime as dt
import gzip
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any


def encoded_lines(rows: Iterable[Mapping[str, Any]], *, end: str = "\n", plain: bool = False) -> bytes:
    """Return rows as the bytes of a file; where `plain`, without what is null and with letters as they are."""
    lines = []
    for row in rows:
        present = {name: value for name, value in row.items() if not (plain and value is None)}
        lines.append(json.dumps(present, default=_text, ensure_ascii=not plain) + end)
    return "".join(lines).encode()


def compressed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _text(value: Any) -> str:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(type(value))
