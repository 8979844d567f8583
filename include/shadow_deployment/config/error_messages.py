"""Error messages of a deployment file: pydantic's errors with key, line, what was got and what is allowed."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from shadow_deployment.config.yaml_source import Location, YamlSource, shorten, suggestion
from shadow_deployment.errors import DeploymentError

MAX_PROBLEMS = 20  # lines of an error
_LONGEST_LINE = 1_200
_UNIONS: tuple[tuple[str | None, ...], ...] = (  # None stands for a position in a list
    ("requests", "id"),
    ("requests", "prediction"),
    ("labels", "id"),
    ("labels", "key"),
    ("policy", "rules", None, "minimum_requests"),
    ("alerts", "channels", None),
    ("metrics", None),
)
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d{1,3}")


def deployment_error(title: str, lines: Sequence[str]) -> DeploymentError:
    """Return the error for these lines of a deployment, at most the first twenty."""
    more = len(lines) - MAX_PROBLEMS
    shown = [
        *(_cut_middle(line) for line in lines[:MAX_PROBLEMS]),
        *([f"and {more} more problems"] if more > 0 else []),
    ]
    return DeploymentError("\n".join(f"{title}: {line}" for line in shown))


def _cut_middle(line: str) -> str:
    """Return a long line without its middle: its end names the place in the file."""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"


def describe_error(root: type[BaseModel], source: YamlSource, problem: Any) -> str:
    """Return an error of pydantic as a line: key, what was got, what is allowed, and where.

    Args:
        root: the model that was validated.
        source: the file.
        problem: an entry of `ValidationError.errors()`.
    """
    location = _file_location(problem["loc"])
    is_key = location[-1:] == ("[key]",)  # a key is wrong, not its value
    location = location[:-1] if is_key else location
    key = source.key(location)
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        text = f"{key} is missing"
    elif kind == "extra_forbidden":
        near = suggestion(str(location[-1]), _allowed_keys(root, location[:-1]))
        text = f"{key}{'' if key.isascii() else f' (in ASCII {key!a})'} is unknown{near}"
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        near = suggestion(str(problem["input"]), expected.split(", "))
        got = "is a key that" if is_key else f"== {shorten(problem['input'])},"
        text = f"{key} {got} must be one of {expected}{near}"
    else:
        text = f"{key} == {shorten(problem['input'])}, {_allowed_value(kind, problem)}{_hint(kind, problem['input'])}"
    return f"{text} ({source.where(location)})"


def _allowed_value(kind: str, problem: Any) -> str:
    if kind == "too_short" and problem["ctx"]["min_length"] > 1:
        return f"must have at least {problem['ctx']['min_length']} entries"
    message = _MESSAGES.get(kind) or problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if message.startswith("must "):
        return str(message)
    return f"must be a valid address: {message}" if kind == "value_error" else f"must be {message}"


def _hint(kind: str, got: object) -> str:
    """Return how to write what was meant if YAML has read it as another type."""
    if kind == "string_type" and isinstance(got, int | float | dt.date):
        return ": write it in quotes"
    if kind in ("float_type", "int_type") and isinstance(got, str) and _EXPONENT.fullmatch(got):
        return ": write it with a point and a sign, as in 1.0e-3"
    if kind in ("float_type", "int_type") and isinstance(got, str) and _NUMBER.fullmatch(got):
        return ": write it without quotes"
    return ""


def _file_location(location: Location) -> Location:
    """Return a location without the tag of the union member that pydantic adds."""
    for shape in _UNIONS:
        if len(location) > len(shape) and all(
            isinstance(step, int) if part is None else step == part for part, step in zip(shape, location, strict=False)
        ):
            return (*location[: len(shape)], *location[len(shape) + 1 :])
    return tuple(location)


_MESSAGES = {
    "too_short": "must have at least one entry",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most 63 characters",
    "model_type": "must be keys and values",
    "dict_type": "must be keys and values",
    "list_type": "must be a list",
    "date_type": "must be a day as YYYY-MM-DD",
    "date_parsing": "must be a day as YYYY-MM-DD",
    "date_from_datetime_inexact": "must be a day as YYYY-MM-DD, without a time",
    "date_from_datetime_parsing": "must be a day as YYYY-MM-DD",
    "invalid_key": "must be text: write it in quotes",
}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the sections that a value of this type may be, or consist of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)


def _allowed_keys(root: type[BaseModel], location: Location) -> list[str]:
    model: Any = root
    for step in location:
        if isinstance(step, int):
            continue
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        model = next(_models_in(fields.get(str(step))), None)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]
