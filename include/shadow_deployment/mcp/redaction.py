"""What leaves the server: totals only, without what names or describes one request, and without logins.

Slices and days of a few requests could be taken apart, so means over fewer than `FEWEST_REQUESTS` are withheld. Two
totals that differ by one request are not: whoever may ask can compare them, as on the page.
"""

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, Final

from shadow_deployment.base.redaction import without_credentials
from shadow_deployment.decision.words.naming import without_small_slices

FEWEST_REQUESTS: Final = 10
_MEANS: Final = ("champion", "challenger", "challenger_value", "difference", "estimate", "lower", "upper")


def redacted(value: Any) -> Any:
    """Return an answer as JSON has it: texts without small slices and logins, days as text, None for NaN."""
    if isinstance(value, Mapping):
        return {str(key): redacted(each) for key, each in _without_small_means(value).items()}
    if isinstance(value, list | tuple):
        return [redacted(each) for each in value]
    if isinstance(value, str):
        return without_small_slices(without_credentials(value))
    if isinstance(value, dt.date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_small_means(row: Mapping[str, Any]) -> Mapping[str, Any]:
    count = row.get("pairs", row.get("requests"))
    if not isinstance(count, int) or count >= FEWEST_REQUESTS:
        return row
    return {key: None if key in _MEANS and isinstance(value, float) else value for key, value in row.items()}
