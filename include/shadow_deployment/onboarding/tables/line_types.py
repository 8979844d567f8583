"""The types of JSON lines as some lines show them, to be declared once and for all days."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from shadow_deployment.data.sources.duckdb.lake import Lake, LakeFile, open_lines
from shadow_deployment.errors import SourceError

LINES: Final = 2_000  # of a file that are looked at
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TEXTS: Final = {"string", "timestamp", "date"}
_FORMATS: Final = {"captureData": "requests.format", "groundTruthData": "labels.format"}


def types_of(lake: Lake, files: Sequence[LakeFile], what: str) -> dict[str, str]:
    """Return the columns of some files as `columns` of a deployment declares them, those whose type is the same on all.

    Raises SourceError where the lines are in a format of SageMaker's, whose columns a deployment names by itself.
    """
    seen: dict[tuple[str, ...], set[str]] = {}
    for file in files:
        with open_lines(lake, file) as content:
            for line in _objects(islice(content, LINES)):
                for path, value in _leaves(line):
                    seen.setdefault(path, set()).add(_type(value))
    for key, setting in _FORMATS.items():
        if any(path[0] == key for path in seen):
            raise SourceError(f"{what} is in a format of SageMaker's: set {setting}, as in examples/sagemaker.yaml")
    types = {path: _common(kinds) for path, kinds in seen.items()}
    return dict(_declared({path: type_ for path, type_ in types.items() if type_ is not None}))


def _objects(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that are objects; one that is none is named when it is read."""
    for line in lines:
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content


def _leaves(content: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        elif value is not None and not isinstance(value, list):
            yield (*path, name), value


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "number"
    if isinstance(value, float):
        return "number"
    return "timestamp" if _TIME.fullmatch(value) else "date" if _DATE.fullmatch(value) else "string"


def _common(types: set[str]) -> str | None:
    """Return the type that values of these types have in common."""
    if len(types) == 1:
        return next(iter(types))
    return "number" if types == {"integer", "number"} else "string" if types <= _TEXTS else None


def _declared(types: Mapping[tuple[str, ...], str]) -> Iterator[tuple[str, str]]:
    """Yield each column by the last part of its path where no other ends so, else by all parts."""
    names = [path[-1].lower() for path in types]
    for path, type_ in types.items():
        name = path[-1] if names.count(path[-1].lower()) == 1 else "_".join(path)
        steps = "".join(f".{part}" if re.fullmatch(r"\w[\w-]*", part) else f'."{part}"' for part in path)
        yield name, type_ if (name,) == path else f"{type_} ${steps}"
