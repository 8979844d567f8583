"""A YAML file with the line of every key, so that an error can say where."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from include.shadow.errors import DeploymentError

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class YamlSource:
    """What a YAML file holds, and on which line each key stands."""

    name: str
    content: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> "YamlSource":
        """Read a file; raise DeploymentError where it is no UTF-8 text, no YAML, or no mapping of keys."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DeploymentError(f"{path} cannot be read: {error}") from None
        return cls.from_text(text, str(path))

    @classmethod
    def from_text(cls, text: str, name: str) -> "YamlSource":
        """Read text; `name` stands for the file in messages."""
        lines: dict[Location, int] = {}
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            content = _build(loader, node, (), lines, name) if node else None
            loader.dispose()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise DeploymentError(f"{name}:{line} is no valid YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise DeploymentError(f"{name} is no valid YAML: {error}") from None
        except RecursionError:
            raise DeploymentError(f"{name} is nested without end, must be keys, values and lists") from None
        if not isinstance(content, dict):
            raise DeploymentError(f"{name} must hold keys and values, starting with name: ...")
        return cls(name, content, lines)

    def where(self, location: Location) -> str:
        """Return file:line of a key, or of the nearest key around it."""
        while location not in self.lines and location:
            location = location[:-1]
        return f"{self.name}:{self.lines.get(location, 1)}"

    def key(self, location: Location) -> str:
        """Return a location as a person writes it, policy.rules[1].metric."""
        text = ""
        for step in location:
            text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
        return text or "the file"


def suggestion(got: str, allowed: Iterable[str]) -> str:
    """Return ', did you mean X?' where one of the allowed words is near, else nothing."""
    near = difflib.get_close_matches(got, list(allowed), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _build(loader: yaml.SafeLoader, node: yaml.Node, at: Location, lines: dict[Location, int], name: str) -> Any:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*at, index), lines, name) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node, name)
    content: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise DeploymentError(f"{name}:{line} a key must be a word: write braces of your own in quotes")
        key = _scalar(loader, key_node, name)
        if key in content:
            raise DeploymentError(f"{name}:{line} key {key!r} must be there once")
        lines[(*at, key)] = line
        content[key] = _build(loader, value_node, (*at, key), lines, name)
    return content


def _scalar(loader: yaml.SafeLoader, node: yaml.Node, name: str) -> Any:
    try:
        return loader.construct_object(node)
    except ValueError as error:  # such as a day that no month has
        line = node.start_mark.line + 1
        raise DeploymentError(f"{name}:{line} {node.value!r} is no valid value: {error}") from None
