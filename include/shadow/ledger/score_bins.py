"""What a page shows of a day's answers: in bins, by quadrant, and which requests differ most; kept beside the evidence.

Answers in bins add up over days. Binary: 20 equal bins of 0 to 1. Regression: each day's bins have a width that is a
power of two and begin at a multiple of it, chosen from the day's answers alone, so that days may be compared in any
order and still lie within each other's bins. Several classes have neither bins nor quadrants.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.shadow.ledger import disagreements
from include.shadow.ledger.database import Session
from include.shadow.statements import parameterised

_SQL = Path(__file__).parent / "sql"
STATEMENTS = (_SQL / "add_score_bins.sql", _SQL / "add_disagreements.sql")


def add(session: Session[Any], settings: Mapping[str, Any]) -> int:
    """Enter one day and challenger, in the comparison's transaction; return how many rows changed.

    `settings` are those of the comparison. A day whose requests are gone keeps what it has.
    """
    binned, disagreeing = STATEMENTS
    changed = 0
    if settings["task"] in ("binary", "regression"):
        row = session.execute(parameterised(binned), settings).fetchone()
        changed = int(row[0]) if row else 0
    return changed + session.execute(parameterised(disagreeing), {**settings, "most": disagreements.MOST}).rowcount
