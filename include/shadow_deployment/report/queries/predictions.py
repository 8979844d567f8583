"""What the two models answered: distributions, reliability, quadrants, and the requests that they differ on most."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.explanation import DisagreeingRequest
from shadow_deployment.ledger import page
from shadow_deployment.ledger.disagreements import furthest
from shadow_deployment.ledger.page import HistogramRow, QuadrantRow
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.report.views.facts import Binned, Disagreement, Quadrant, QuadrantsFacts, ScoresFacts

DAYS_OF_DISAGREEMENTS = 7
BINARY_BINS = 20
_95 = 1.959963984540054  # the standard normal's 97.5 % point


@dataclass(frozen=True)
class ComparedPredictions:
    """Which days of whom: a challenger's comparable days against one champion version, and which have ripe labels."""

    challenger: int
    days: Sequence[Snapshot]
    champion_version: str
    ripe: Mapping[dt.date, bool]


def scores(session: Session[Any], deployment: Deployment, compared: ComparedPredictions) -> ScoresFacts | None:
    """Return both models' answers in the same bins; None where none were kept."""
    found = page.bins(session, compared.challenger, compared.days, compared.champion_version, compared.ripe)
    if not found:
        return None
    binary, width = deployment.task == "binary", found[0].width
    first, last = (0, BINARY_BINS - 1) if binary else (min(one.bin for one in found), max(one.bin for one in found))
    by_place = {(one.model, one.bin): one for one in found}
    champion, challenger = (
        _binned([by_place.get((model, number)) for number in range(first, last + 1)], binary=binary)
        for model in ("champion", "challenger")
    )
    return ScoresFacts(
        unit="probability" if binary else "value",
        edges=tuple(number / BINARY_BINS if binary else number * width for number in range(first, last + 2)),
        champion=champion,
        challenger=challenger,
        days=found[0].days,
        first=found[0].first,
        last=found[0].last,
        requests=sum(champion.requests),
        labelled=sum(champion.labelled),
    )


def _binned(found: Sequence[HistogramRow | None], *, binary: bool) -> Binned:
    total = sum(one.weight for one in found if one)
    intervals = [_interval(one, binary=binary) for one in found]
    return Binned(
        share=tuple(one.weight / total if one else 0.0 for one in found),
        requests=tuple(one.requests if one else 0 for one in found),
        labelled=tuple(one.labelled if one else 0 for one in found),
        mean_answer=tuple(one.labelled_answer_sum / one.labelled_weight if _known(one) else None for one in found),
        mean_label=tuple(one.label_sum / one.labelled_weight if _known(one) else None for one in found),
        label_lower=tuple(lower for lower, _ in intervals),
        label_upper=tuple(upper for _, upper in intervals),
    )


def _known(one: HistogramRow | None) -> TypeGuard[HistogramRow]:
    return one is not None and one.labelled > 0


def _interval(one: HistogramRow | None, *, binary: bool) -> tuple[float | None, float | None]:
    """Return the interval of a bin's mean label, at the effective number of requests (Kish 1965)."""
    if not _known(one):
        return None, None
    mean, n = one.label_sum / one.labelled_weight, one.labelled_weight**2 / one.labelled_weight_squares
    if binary:
        return wilson(mean, n)
    if n <= 1:
        return None, None
    variance = max(one.label_squares / one.labelled_weight - mean**2, 0.0)
    margin = _95 * math.sqrt(variance / (n - 1))
    return mean - margin, mean + margin


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share among n (Wilson, JASA 22, 1927); n > 0 need not be whole."""
    squared = _95**2 / n
    centre = (share + squared / 2) / (1 + squared)
    margin = _95 / (1 + squared) * math.sqrt(max(share * (1 - share) / n + squared / (4 * n), 0.0))
    return max(centre - margin, 0.0), min(centre + margin, 1.0)


def quadrants(session: Session[Any], deployment: Deployment, compared: ComparedPredictions) -> QuadrantsFacts | None:
    """Return where the two say yes and no; None for other tasks, and where no day was kept at this threshold."""
    found = page.quadrants(
        session,
        compared.challenger,
        compared.days,
        compared.champion_version,
        compared.ripe,
        deployment.threshold,
    )
    if deployment.task != "binary" or not found:
        return None
    total = sum(one.weight for one in found)
    corners = {(one.champion_yes, one.challenger_yes): one for one in found}
    both, only_champion, only_challenger, neither = (
        _quadrant(corners[key], total) for key in ((True, True), (True, False), (False, True), (False, False))
    )
    return QuadrantsFacts(
        threshold=deployment.threshold,
        quadrants=(both, only_champion, only_challenger, neither),
        days=found[0].days,
        first=found[0].first,
        last=found[0].last,
    )


def _quadrant(one: QuadrantRow, total: float) -> Quadrant:
    negative = one.labelled - one.positive
    return Quadrant(
        champion_yes=one.champion_yes,
        challenger_yes=one.challenger_yes,
        requests=one.requests,
        share=one.weight / total if total else 0.0,
        labelled=one.labelled,
        champion_right=one.positive if one.champion_yes else negative,
        challenger_right=one.positive if one.challenger_yes else negative,
    )


def disagreements(
    session: Session[Any], deployment: Deployment, compared: ComparedPredictions
) -> tuple[Disagreement, ...]:
    """Return the requests of the newest comparable days that the two answered furthest apart, furthest first."""
    newest = compared.days[-DAYS_OF_DISAGREEMENTS:]
    found = furthest(session, compared.challenger, newest) if newest else []
    return tuple(_disagreement(deployment.classes, one) for one in found)


def _disagreement(classes: Sequence[str], one: DisagreeingRequest) -> Disagreement:
    def words(value: float) -> str:
        return classes[int(value)] if classes else f"{value:.4g}"

    return Disagreement(
        day=one.day,
        request_id=one.request_id or "",
        champion=one.champion,
        challenger=one.challenger,
        label=one.label,
        champion_words=words(one.champion),
        challenger_words=words(one.challenger),
        label_words=None if one.label is None else words(one.label),
        slices=one.slices,
    )
