"""A YAML file with the line of every key, so that an error can say where."""

import datetime as dt
import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shadow_deployment.base.redaction import without_credentials
from shadow_deployment.config.yaml_nodes import Loader, compose
from shadow_deployment.errors import DeploymentError

Location = tuple[str | int, ...]

LARGEST = 512 << 10  # bytes of a file: the scheduler reads it every half minute
MOST_VALUES = 50_000  # an alias counts as all that its anchor holds
_LONGEST = 80
_WHOLE = 1 << 63
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of a pair, ends of lines
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # make text look like another
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class YamlSource:
    """What a YAML file holds, and on which line each key stands."""

    name: str
    content: dict[str, Any]
    lines: dict[Location, int] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> "YamlSource":
        """Read a file; raise DeploymentError where it is too large, no UTF-8 text, no YAML, or no mapping of keys."""
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise DeploymentError(f"{path} is larger than {LARGEST >> 10} KiB, which no deployment is")
            text = content.decode("utf-8")
        except OSError as error:
            raise DeploymentError(f"{path} cannot be read: {error}") from None
        except UnicodeDecodeError as error:
            raise DeploymentError(f"{path} cannot be read: {error}; write it as UTF-8") from None
        return cls.from_text(text, str(path))

    @classmethod
    def from_text(cls, text: str, name: str) -> "YamlSource":
        """Read text; `name` stands for the file in messages."""
        lines: dict[Location, int] = {}
        try:
            loader, node = compose(text)
            content = _Builder(loader, cls(name, {}, lines)).build(node, ()) if node else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise DeploymentError(f"{name}:{line} is no valid YAML: {error.problem}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            code = f"U+{ord(text[error.position]):04X}"
            raise DeploymentError(f"{name}:{line} is no valid YAML: the character {code} is no text") from None
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
            word = step if isinstance(step, int) else _cut(step if step.isprintable() else repr(step)[1:-1])
            text += f"[{word}]" if isinstance(step, int) else f".{word}" if text else str(word)
        return text or "the file"


def suggestion(got: str, allowed: Iterable[str]) -> str:
    """Return ', did you mean X?' where one of the allowed words is near, else nothing."""
    near = difflib.get_close_matches(got, list(allowed), n=1)
    return f", did you mean {near[0]}?" if near else ""


def shortened(value: object) -> str:
    """Return a value as Python writes it, cut where it is long, without the login of an address and a password."""
    text = str(value) if type(value) is dt.date else repr(value)
    return _cut(without_credentials(text))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class _Builder:
    """Makes values of a document's nodes, and notes on which line each stands."""

    def __init__(self, loader: Loader, source: YamlSource) -> None:
        self._loader = loader
        self._source = source
        self._values = 0

    def build(self, node: yaml.Node, at: Location) -> Any:
        """Return what a node holds; raise DeploymentError with the line of what cannot be in a deployment."""
        self._values += 1
        if self._values > MOST_VALUES:
            raise DeploymentError(
                f"{self._source.name} holds more than {MOST_VALUES:,} values, which no deployment does: each alias "
                "counts as all that its anchor holds"
            )
        self._source.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self._scalar(node, at)
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in content:
                raise DeploymentError(f"{self._where(key_node)} key {shortened(key)} must be there once")
            self._source.lines[(*at, key)] = key_node.start_mark.line + 1
            content[key] = self.build(value_node, (*at, key))
        return content

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise DeploymentError(f"{self._where(node)} a key must be a word: write braces of your own in quotes")
        if node.tag == _MERGE:
            raise DeploymentError(
                f"{self._where(node)} the key << must not be there: write the keys out that it would merge"
            )
        key = self._scalar(node, None)
        if not isinstance(key, str):
            raise DeploymentError(f"key {shortened(key)} must be a word: write it in quotes ({self._where(node)})")
        return key

    def _scalar(self, node: yaml.Node, at: Location | None) -> Any:
        """Return the value at a location, or the key where there is none."""
        try:
            value = self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:  # such as a day that no month has
            raise self._refused(node, at, f"is no valid value: {error}") from None
        except (LookupError, TypeError, AttributeError):  # how PyYAML takes !!bool maybe
            raise self._refused(node, at, f"is no {node.tag.rpartition(':')[2]}, as the !! before it says") from None
        if isinstance(value, int) and abs(value) >= _WHOLE:
            raise self._refused(node, at, "is no valid value: it must fit into 64 bits")
        if isinstance(value, str) and not _is_text(value):
            raise self._refused(node, at, "holds a control character, must be one line of text")
        return value

    def _refused(self, node: yaml.Node, at: Location | None, why: str) -> DeploymentError:
        what = "key " if at is None else f"{self._source.key(at)} == " if at else ""
        return DeploymentError(f"{self._where(node)} {what}{shortened(node.value)} {why}")

    def _where(self, node: yaml.Node) -> str:
        return f"{self._source.name}:{node.start_mark.line + 1}"


def _is_text(value: str) -> bool:
    return value.isprintable() or not any(one in _TURNING or unicodedata.category(one) in _NO_TEXT for one in value)
