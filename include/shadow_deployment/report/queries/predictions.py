"""What the two models predicted: distributions, reliability, quadrants, and the requests that they differ on most."""

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.ledger import page
from shadow_deployment.ledger.batches.histograms import largest_disagreements
from shadow_deployment.ledger.page import ComparedPredictions, HistogramRow
from shadow_deployment.report.views import PredictionBin, QuadrantsView, ScoresView

DAYS_OF_DISAGREEMENTS: Final = 7
BINARY_BINS: Final = 20
_95: Final = 1.959963984540054  # the standard normal's 97.5 % point


def scores(session: Session[Any], deployment: Deployment, compared: ComparedPredictions) -> ScoresView | None:
    """Return both models' predictions in the same bins; None where none were kept."""
    rows = page.bins(session, compared)
    if not rows:
        return None
    binary, width = deployment.task == "binary", rows[0].width
    first, last = (0, BINARY_BINS - 1) if binary else (min(row.bin for row in rows), max(row.bin for row in rows))
    by_place = {(row.model, row.bin): row for row in rows}
    champion, challenger = (
        _bins([by_place.get((model, number)) for number in range(first, last + 1)], binary=binary)
        for model in ("champion", "challenger")
    )
    return ScoresView(
        unit="probability" if binary else "value",
        edges=tuple(number / BINARY_BINS if binary else number * width for number in range(first, last + 2)),
        champion=champion,
        challenger=challenger,
        days=rows[0].days,
        first=rows[0].first,
        last=rows[0].last,
    )


def _bins(rows: Sequence[HistogramRow | None], *, binary: bool) -> tuple[PredictionBin, ...]:
    total = sum(row.weight for row in rows if row)
    return tuple(_bin(row, row.weight / total, binary=binary) if row else PredictionBin() for row in rows)


def _bin(row: HistogramRow, share: float, *, binary: bool) -> PredictionBin:
    if not row.labelled:
        return PredictionBin(share, row.requests)
    prediction, label = row.labelled_answer_sum / row.labelled_weight, row.label_sum / row.labelled_weight
    interval = _interval(row, label, binary=binary)
    return PredictionBin(share, row.requests, row.labelled, prediction, label, *interval, row.labelled_weight)


def _interval(row: HistogramRow, mean: float, *, binary: bool) -> tuple[float | None, float | None]:
    """Return the interval of a bin's mean label, at the effective number of requests (Kish 1965)."""
    n = row.labelled_weight**2 / row.labelled_weight_squares
    if binary:
        return wilson(mean, n)
    if n <= 1:
        return None, None
    variance = max(row.label_squares / row.labelled_weight - mean**2, 0.0)
    margin = _95 * math.sqrt(variance / (n - 1))
    return mean - margin, mean + margin


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share among n (Wilson, JASA 22, 1927); n > 0 need not be whole."""
    squared = _95**2 / n
    centre = (share + squared / 2) / (1 + squared)
    margin = _95 / (1 + squared) * math.sqrt(max(share * (1 - share) / n + squared / (4 * n), 0.0))
    return max(centre - margin, 0.0), min(centre + margin, 1.0)


def quadrants(session: Session[Any], deployment: Deployment, compared: ComparedPredictions) -> QuadrantsView | None:
    """Return where the two say yes and no; None for other tasks, and where no day was kept at this threshold."""
    if deployment.task != "binary":
        return None
    rows = page.quadrants(session, compared, deployment.threshold)
    ordered = sorted(rows, key=lambda row: (row.champion_yes, row.challenger_yes), reverse=True)
    return QuadrantsView(deployment.threshold, tuple(ordered)) if rows else None


def disagreements(
    session: Session[Any], compared: ComparedPredictions, known_by: dt.datetime
) -> tuple[DisagreeingRequest, ...]:
    """Return the requests of the newest comparable days on which the two differ most, the largest difference first.

    Labels are those that were known at a moment.
    """
    newest = compared.days[-DAYS_OF_DISAGREEMENTS:]
    return tuple(largest_disagreements(session, compared.challenger, newest, known_by)) if newest else ()
