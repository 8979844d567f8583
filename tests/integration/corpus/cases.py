"""The tables of wrong deployments: what one case changes in a good file, and what must be said of it.

A case is one line of a YAML file, `what is wrong: {set: {path: value}, says: ...}`. `good` names the file that is
changed (binary), `remove` lists keys to take out, `says` holds what the message must contain. `at` is where the mistake
stands if that is not what was changed, `lines` how many mistakes are told, and `never` must not be in any text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
KEYS = {"good", "set", "remove", "says", "at", "lines", "never"}

Steps = list[str | int]


@dataclass(frozen=True)
class Case:
    """One mistake: the file that has it, and what the error says."""

    family: str
    title: str
    content: Mapping[str, Any]
    says: list[str]
    at: str
    lines: int
    never: str | None

    @property
    def text(self) -> str:
        """The wrong file."""
        return yaml.dump(self.content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=1000)


def cases() -> Iterator[Case]:
    """Yield every case of every table."""
    for path in sorted((HERE / "deployments").glob("*.yaml")):
        written = path.read_text(encoding="utf-8")
        table = yaml.load(written, yaml.CSafeLoader)
        assert len(table) == len(re.findall(r"^[^#\s].*: \{", written, re.MULTILINE)), f"{path}: a title is there twice"
        for title, row in table.items():
            yield _case(path.stem, title, row)


def good(name: str = "binary") -> dict[str, Any]:
    """Return a good deployment."""
    content = yaml.load((HERE / "good" / f"{name}.yaml").read_text(), yaml.CSafeLoader)
    assert isinstance(content, dict)
    return content


def steps(path: str) -> Steps:
    """Return `policy.rules[1].is` as its keys and positions."""
    return [int(number) if number else word for word, number in re.findall(r"([^.\[\]]+)(?!\])|\[(\d+)\]", path)]


def line_of(text: str, path: str) -> int:
    """Return the line on which a key stands in a file, or the nearest key around it."""
    node, line = yaml.compose(text, yaml.CSafeLoader), 1
    for step in steps(path):
        if isinstance(step, int):
            entries = node.value if isinstance(node, yaml.SequenceNode) else []
            if step >= len(entries):
                break
            node = entries[step]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == step), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _case(family: str, title: str, row: Mapping[str, Any]) -> Case:
    assert set(row) <= KEYS, f"{title}: {set(row) - KEYS}"
    content = good(row.get("good", "binary"))
    for path, value in row.get("set", {}).items():
        put(content, steps(path), value)
    for path in row.get("remove", []):
        *around, last = steps(path)
        _at(content, around).pop(last)
    changed = [*row.get("set", {}), *row.get("remove", [])]
    says = row["says"] if isinstance(row["says"], list) else [row["says"]]
    return Case(family, title, content, says, row.get("at", changed[0]), row.get("lines", 1), row.get("never"))


def put(content: Any, path: Steps, value: Any) -> None:
    *around, last = path
    _at(content, around)[last] = value


def _at(content: Any, path: Steps) -> Any:
    for step in path:
        content = content[step]
    return content
