"""A deployment file as text: YAML with a comment above each key that says why."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

SCHEMA_NAME: Final = "deployment.schema.json"
MODELINE: Final = f"# yaml-language-server: $schema={SCHEMA_NAME}"
_WIDTH: Final = 110


@dataclass(frozen=True)
class Line:
    """A value and the comment that stands above it; a mapping of lines, or a list of them, is a block."""

    value: Any
    comment: str = ""


def yaml_text(heading: Sequence[str], lines: Mapping[str, Line]) -> str:
    """Return a file: the schema's line, a heading of comments, and each key with its comment above."""
    text = [MODELINE, *_comments(" ".join(heading), ""), *_mapping(lines, "")]
    return "\n".join(text) + "\n"


def _mapping(lines: Mapping[str, Line], indent: str) -> Iterator[str]:
    for key, line in lines.items():
        yield from _comments(line.comment, indent)
        if isinstance(line.value, Mapping) and _is_block(line.value.values()):
            yield f"{indent}{key}:"
            yield from _mapping(line.value, f"{indent}  ")
        elif isinstance(line.value, list) and _is_block(line.value):
            yield f"{indent}{key}:"
            for each in line.value:
                yield from _comments(each.comment, f"{indent}  ")
                yield f"{indent}  - {_flow(each.value)}"
        else:
            yield from _scalar(key, line.value, indent)


def _scalar(key: str, value: Any, indent: str) -> Iterator[str]:
    text = f"{indent}{key}: {_flow(value)}"
    if len(text) <= _WIDTH or not isinstance(value, list):
        yield text
        return
    yield f"{indent}{key}:"
    for each in value:
        yield f"{indent}  - {_flow(each)}"


def _is_block(values: Any) -> bool:
    return any(isinstance(each, Line) for each in values)


def _comments(comment: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(comment, _WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()
