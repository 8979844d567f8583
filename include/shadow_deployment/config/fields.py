"""The base class of every section of a deployment file, and the types of the values in it."""

import datetime as dt
import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from shadow_deployment.base.paths import is_supported_address
from shadow_deployment.config.partitions import ALLOWED, ATHENA, SPARK, LakeTable, Pattern, is_files
from shadow_deployment.config.yaml_source import suggestion

DAYS = (dt.date(1970, 1, 1), dt.date(2199, 12, 31))
MAX_ROWS = (1 << 31) - 1  # of a day's sample: their ordinals are SQL integers
FROM_FILE: Final = {"source": "file"}  # context of a validation: a deployment file, not what was stored or looked up
_CRON = re.compile(
    r"(?P<minute>[0-5]?\d) "
    r"(?:(?P<hour>[01]?\d|2[0-3]) \* \* (?P<weekday>\*|[0-7])|\*(?:/(?P<every>2|3|4|6|8|12))? \* \* \*)"
)
_NICKNAMES = {"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *", "@weekly": "0 0 * * 0"}
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_HOURS_OF_A_DAY = 24
_IDENTIFIER = re.compile("[a-z][a-z0-9_]{0,62}")
_QUERY = re.compile(r"\s*(\(|(select|with|values)\s)", re.IGNORECASE)
_MACHINE_ZONES = {"localtime", "Factory"}  # names that mean something else on each machine
_FOLDER = "must be a path, file:///an/absolute/folder or s3://BUCKET/PREFIX"
RESERVED = (
    "request_id",
    "requested_at",
    "stratum",
    "inclusion_probability",
    "champion",
    "champion_version",
    "champion_latency_ms",
    "champion_probabilities",
    "label_key",
)
LOGGED = "logged:"  # begins the names of the columns in which a snapshot holds what challengers logged
KEY = "key:"  # and of those by which features of challengers are looked up


class Section(BaseModel):
    """A section of a deployment file: frozen, without unknown keys, and without conversions between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def matching(pattern: str, allowed: str) -> AfterValidator:
    """Return a validator of text that matches a whole pattern; `allowed` is the error message where it does not."""
    expression = re.compile(pattern)

    def check(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(allowed)
        return value

    return AfterValidator(check)


def _identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        foreign = next((f": {letter!r} is U+{ord(letter):04X}" for letter in value if not letter.isascii()), "")
        raise ValueError(
            f"must be lower-case ASCII letters, digits and underscores, starting with a letter, at most 63{foreign}"
        )
    return value


def _cron(value: str) -> str:
    *begin, weekday = _NICKNAMES.get(value, value).split(" ")
    named = str(_WEEKDAYS.index(weekday.lower())) if weekday.lower() in _WEEKDAYS else weekday
    cron = " ".join([*begin, named])
    if not _CRON.fullmatch(cron):
        raise ValueError(
            'must be once a day ("MINUTE HOUR * * *", @daily), once a week ("MINUTE HOUR * * WEEKDAY", @weekly), every '
            'hour ("MINUTE * * * *", @hourly) or every 2, 3, 4, 6, 8 or 12 hours ("MINUTE */6 * * *")'
        )
    return cron


def ticks_of(schedule: str) -> tuple[range, int]:
    """Return the local hours at which windows begin, and the minute; an hourly schedule has every hour."""
    parts = _CRON.fullmatch(schedule)
    assert parts is not None  # noqa: S101 (the type of the field guarantees it)
    every = _HOURS_OF_A_DAY if parts["hour"] else int(parts["every"] or 1)
    return range(int(parts["hour"] or 0), _HOURS_OF_A_DAY, every), int(parts["minute"])


def weekday_of(schedule: str) -> int | None:
    """Return the weekday on which a weekly schedule's windows begin, Monday being 0; None of any other schedule."""
    weekday = schedule.rpartition(" ")[2]
    return None if weekday == "*" else (int(weekday) - 1) % 7


def _timezone(value: str) -> str:
    if value not in _zones():
        raise ValueError(f"must be an IANA time zone such as UTC or Europe/Berlin{suggestion(value, _zones())}")
    return value


@cache
def _zones() -> frozenset[str]:
    """Return the zones of this machine; finding them reads some six hundred files."""
    return frozenset(available_timezones() - _MACHINE_ZONES)


def _iso_day(value: object) -> object:
    """Refuse what pydantic would read as seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        raise ValueError("must be a day as YYYY-MM-DD")
    return value


def _possible_day(value: dt.date) -> dt.date:
    first, last = DAYS
    if not first <= value <= last:
        raise ValueError(f"must be a day from {first} to {last}")
    return value


def _table(value: str) -> str:
    if is_files(value):
        Pattern.parse(value)
    elif value.startswith((SPARK, ATHENA)):
        LakeTable.parse(value)
    elif _QUERY.match(value):
        raise ValueError("must be TABLE or SCHEMA.TABLE, not a query: CREATE VIEW gives a query a name to use here")
    elif "://" in value or value.count(".") > 1 or not all(value.split(".")):
        raise ValueError(ALLOWED if "://" in value else "must be TABLE or SCHEMA.TABLE")
    return value


def _folder(value: str) -> str:
    parts = urlsplit(value)
    is_folder = is_supported_address(value) and (parts.netloc or parts.path) and not parts.query and not parts.fragment
    if not is_folder or (parts.scheme == "s3") != bool(parts.netloc):
        raise ValueError(_FOLDER)
    return value


def _document(value: str) -> str:
    parts = urlsplit(value)
    is_file = is_supported_address(value) and parts.path.strip("/") and not parts.path.endswith("/")
    if parts.scheme == "s3" and (not is_file or parts.query or parts.fragment):
        raise ValueError("must be s3://BUCKET/KEY")
    if not is_file:
        raise ValueError("must be file:///an/absolute/file, a path, or s3://BUCKET/KEY")
    return value


def _http(value: str) -> str:
    parts = urlsplit(value)
    is_readable = value.isprintable() and " " not in value and parts.port != 0
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not is_readable:
        raise ValueError("must be an address such as http://host:8080/path, without a login")
    return value


def is_reserved(name: str) -> bool:
    """Return whether a snapshot has a column of its own by this name."""
    return name in RESERVED or name.startswith((LOGGED, KEY))


def _feature(value: str) -> str:
    if is_reserved(value):
        raise ValueError("is a name that snapshots use; rename the column")
    return value


def in_words(columns: str | Sequence[str] | None) -> str:
    """Return the columns of an id or a key as a person writes them."""
    return columns if isinstance(columns, str) else " and ".join(columns or ())


Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[
    str, Field(json_schema_extra={"pattern": f"^{_IDENTIFIER.pattern}$"}), AfterValidator(_identifier)
]
Column = Annotated[str, Field(min_length=1, max_length=63)]
Feature = Annotated[Column, AfterValidator(_feature)]
Columns = Annotated[
    Annotated[Column, Tag("one")] | Annotated[list[Column], Field(min_length=2), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]
PredictionColumns = Annotated[
    Annotated[Column, Tag("one")]
    | Annotated[list[Column], Field(min_length=2), Tag("several")]
    | Annotated[dict[str, Column], Tag("by class")],
    Discriminator(lambda value: {list: "several", dict: "by class"}.get(type(value), "one")),
]
Table = Annotated[Text, AfterValidator(_table)]
Folder = Annotated[str, AfterValidator(_folder)]
Document = Annotated[str, AfterValidator(_document)]
HttpAddress = Annotated[str, AfterValidator(_http)]

Schedule = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
Day = Annotated[dt.date, Field(strict=False), BeforeValidator(_iso_day), AfterValidator(_possible_day)]
Clock = Annotated[str, matching(r"([01]\d|2[0-3]):[0-5]\d", 'must be a time of day as "HH:MM"')]

Probability = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Portion = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=3650)]
RowCount = Annotated[int, Field(ge=1, le=MAX_ROWS)]
