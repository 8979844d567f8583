"""What the answers to some questions must look like."""

import datetime as dt

from pydantic import TypeAdapter, ValidationError

from shadow_deployment.config.fields import Identifier, TimeZone
from shadow_deployment.config.model import Address
from shadow_deployment.errors import DeploymentError
from shadow_deployment.metrics.catalog import Task

_ADDRESS: TypeAdapter[str] = TypeAdapter(Address)
_ZONE: TypeAdapter[str] = TypeAdapter(TimeZone)
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
TASKS: dict[str, Task] = {"binary": "binary", "regression": "regression", "multiclass": "multiclass"}


def day(text: str) -> dt.date:
    """Return a day."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day as YYYY-MM-DD") from None


def days(text: str) -> int:
    """Return a number of days."""
    if not text.isdecimal() or int(text) > 3650:
        raise ValueError("must be a whole number of days from 0 to 3650")
    return int(text)


def share(text: str) -> float:
    """Return a share above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise ValueError("must be a number above 0 and at most 1")
    return number


def address(text: str) -> str:
    """Return a model's address."""
    return _valid(_ADDRESS, text)


def timezone(text: str) -> str:
    """Return a time zone."""
    return _valid(_ZONE, text)


def identifier(text: str) -> str:
    """Return a name of a deployment or of a challenger."""
    return _valid(_IDENTIFIER, text)


def require_name(name: str) -> None:
    """Raise DeploymentError where this is no name of a deployment."""
    try:
        identifier(name)
    except ValueError as error:
        raise DeploymentError(f"NAME == {name!r}, {error}") from None


def _valid(adapter: TypeAdapter[str], text: str) -> str:
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
