"""A request that champion and challenger answered differently."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class DisagreeingRequest:
    """One request that the two answered differently; `label` is None where it is unknown."""

    day: dt.date
    request_id: str | None
    champion: float
    challenger: float
    label: float | None
    slices: dict[str, str]
