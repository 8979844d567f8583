"""A YAML file with the line of every key, so that an error can name it."""

import datetime as dt
import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shadow_deployment.base.redaction import without_credentials
from shadow_deployment.errors import DeploymentError

Location = tuple[str | int, ...]

_LONGEST = 80
_DEEPEST = 50
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's scanner is ten times as fast


@dataclass(frozen=True)
class YamlSource:
    """The content of a YAML file, and the line of each key."""

    name: str
    content: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> "YamlSource":
        """Read a file; raise DeploymentError if it is not UTF-8 text, not YAML, or not a mapping."""
        return cls.from_text(text_of(path), str(path))

    @classmethod
    def from_text(cls, text: str, name: str) -> "YamlSource":
        """Read text; `name` stands for the file in messages."""
        source = cls(name, {}, {})
        try:
            _require_shallow(text, name)
            loader = _Loader(text)
            node = loader.get_single_node()
            content = _Builder(loader, source).build(node, ()) if node else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise DeploymentError(f"{name}:{line} is not valid YAML: {error.problem}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise DeploymentError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise DeploymentError(f"{name} must contain keys and values, starting with name: ...")
        source.content.update(content)
        return source

    def where(self, location: Location) -> str:
        """Return file:line of a key, or of the nearest key around it."""
        while location not in self.lines and location:
            location = location[:-1]
        return f"{self.name}:{self.lines.get(location, 1)}"

    def key(self, location: Location) -> str:
        """Return a location as a person writes it, policy.rules[1].metric."""
        text = ""
        for step in location:
            word = step if isinstance(step, int) else _cut(step if step.isprintable() else repr(step)[1:-1])
            text += f"[{word}]" if isinstance(step, int) else f".{word}" if text else str(word)
        return text or "the file"


def text_of(path: Path) -> str:
    """Return the text of a file; raise DeploymentError if it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeploymentError(f"{path} cannot be read: {error}") from None
    except UnicodeDecodeError as error:
        raise DeploymentError(f"{path} cannot be read: {error}; save it as UTF-8") from None


def suggestion(got: str, allowed: Iterable[str]) -> str:
    """Return ', did you mean X?' for the closest of the allowed words, or nothing if none is close."""
    near = difflib.get_close_matches(got, list(allowed), n=1)
    return f", did you mean {near[0]}?" if near else ""


def shorten(value: object) -> str:
    """Return a value as Python writes it, cut to 80 characters, without logins in addresses and without passwords."""
    text = str(value) if type(value) is dt.date else repr(value)
    return _cut(without_credentials(text))


def _require_shallow(text: str, name: str) -> None:
    """Raise DeploymentError where a document nests too deep: libyaml composes by recursion, which ends the process."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise DeploymentError(
                f"{name}:{line} nests more than {_DEEPEST} levels deep; close brackets, or indent less"
            )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class _Builder:
    """Builds values from a document's nodes and records the line of each."""

    def __init__(self, loader: Any, source: YamlSource) -> None:
        self._loader = loader
        self._source = source

    def build(self, node: yaml.Node, at: Location) -> Any:
        """Return the value of a node; raise DeploymentError with the line of a duplicate key or an impossible value."""
        self._source.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self._scalar(node, at)
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in content:
                raise DeploymentError(f"{self._where(key_node)} key {shorten(key)} appears twice; keep one of them")
            self._source.lines[(*at, key)] = key_node.start_mark.line + 1
            content[key] = self.build(value_node, (*at, key))
        return content

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise DeploymentError(f"{self._where(node)} a key must be text: quote values that start with {{ or [")
        if node.tag == "tag:yaml.org,2002:merge":
            raise DeploymentError(
                f"{self._where(node)} the key << is not supported: write out the keys that it would merge"
            )
        key = self._scalar(node, ())
        if not isinstance(key, str):
            raise DeploymentError(f"{self._where(node)} key {shorten(key)} must be text: write it in quotes")
        return key

    def _scalar(self, node: yaml.Node, at: Location) -> Any:
        try:
            return self._loader.construct_object(node)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # PyYAML's constructors leak them
            key = f"{self._source.key(at)} == " if at else ""
            raise DeploymentError(
                f"{self._where(node)} {key}{shorten(node.value)} is not a valid {node.tag.rpartition(':')[2]}: {error}"
            ) from None

    def _where(self, node: yaml.Node) -> str:
        return f"{self._source.name}:{node.start_mark.line + 1}"
