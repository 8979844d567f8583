"""What is wrong in a deployment file, in words: pydantic's errors with key, line, what was got and what is allowed."""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from shadow_deployment.config.yaml_source import Location, YamlSource, shorten, suggestion
from shadow_deployment.errors import DeploymentError

MOST_PROBLEMS = 20  # lines of one error
_LONGEST_LINE = 1_200
_OF_SEVERAL_KINDS: tuple[tuple[str | None, ...], ...] = (  # None stands for a number in a list
    ("requests", "prediction"),
    ("policy", "rules", None, "minimum_requests"),
    ("alerts", "channels", None),
)
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d{1,3}")


def deployment_error(title: str, lines: Sequence[str]) -> DeploymentError:
    """Return the error that says these lines of a deployment, the first of them where there are many."""
    more = len(lines) - MOST_PROBLEMS
    shown = [
        *(_fitting(line) for line in lines[:MOST_PROBLEMS]),
        *([f"and {more} more that are wrong"] if more > 0 else []),
    ]
    return DeploymentError("\n".join(f"{title}: {line}" for line in shown))


def _fitting(line: str) -> str:
    """Return a line without its middle where it is long; where it stands in the file is its end."""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"


def describe_error(root: type[BaseModel], source: YamlSource, problem: Any) -> str:
    """Return one of pydantic's errors as a line: key, what was got, what is allowed, and where; `root` is the model."""
    location = _written(problem["loc"])
    key = source.key(location)
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        text = f"{key} is missing"
    elif kind == "extra_forbidden":
        near = suggestion(str(location[-1]), _allowed(root, location[:-1]))
        text = f"{key}{'' if key.isascii() else f' (in ASCII {key!a})'} is unknown{near}"
    elif kind == "literal_error":
        expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        near = suggestion(str(problem["input"]), expected.split(", "))
        text = f"{key} == {shorten(problem['input'])}, must be one of {expected}{near}"
    else:
        text = f"{key} == {shorten(problem['input'])}, {_message(kind, problem)}{_hint(kind, problem['input'])}"
    return f"{text} ({source.where(location)})"


def _message(kind: str, problem: Any) -> str:
    """Return what is allowed."""
    if kind == "too_short" and problem["ctx"]["min_length"] > 1:
        return f"must have at least {problem['ctx']['min_length']} entries"
    message = _MESSAGES.get(kind) or problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if message.startswith("must "):
        return str(message)
    return f"must be an address that can be read: {message}" if kind == "value_error" else f"must be {message}"


def _hint(kind: str, got: object) -> str:
    """Return how to write what was meant, where YAML has read it as something else."""
    if kind == "string_type" and isinstance(got, int | float | dt.date):
        return ": write it in quotes"
    if kind in ("float_type", "int_type") and isinstance(got, str) and _EXPONENT.fullmatch(got):
        return ": write it with a point and a sign, as in 1.0e-3"
    if kind in ("float_type", "int_type") and isinstance(got, str) and _NUMBER.fullmatch(got):
        return ": write it without quotes"
    return ""


def _written(location: Location) -> Location:
    """Return where something stands in the file: pydantic also names which of several kinds a value is taken for."""
    for shape in _OF_SEVERAL_KINDS:
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
    "invalid_key": "must be a word: write it in quotes",
}


def _allowed(root: type[BaseModel], location: Location) -> list[str]:
    model: Any = root
    for step in location:
        if isinstance(step, int):
            continue
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        annotation = fields.get(str(step))
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]
