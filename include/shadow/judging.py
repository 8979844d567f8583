"""Judging: which days of evidence count for a challenger, and what stands in the way of a PASS."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.shadow.deployment import Challenger, Deployment
from include.shadow.evidence import ALL, Evidence, Series, gather
from include.shadow.ledger import evidence as ledger_evidence
from include.shadow.ledger import snapshots, validations
from include.shadow.ledger.database import Session
from include.shadow.ledger.labels import maturity_of
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.policy import Verdict, judge
from include.shadow.window import window_of

SIGNIFICANT_DIGITS = 12


@dataclass(frozen=True)
class Judged:
    """A verdict, the champion that it is against, and everything that it rests on."""

    verdict: Verdict
    champion_version: str
    judged_on: Mapping[str, Any]


def judge_challenger(
    session: Session[Any], deployment: Deployment, challenger: Challenger, key: int, day: dt.date
) -> Judged:
    """Judge a challenger on all evidence against the champion of `day`, up to that day."""
    taken = snapshots.snapshots(session, deployment, None, day)
    champion_version = _champion(taken)
    valid = _valid(session, taken, key)
    comparable = [one for one in taken if one.id in valid and one.champion_versions == [champion_version]]
    rules = deployment.policy.rules
    rows = ledger_evidence.read(
        session,
        key,
        comparable,
        champion_version=champion_version,
        metrics={rule.metric for rule in rules},
        slices={ALL} | {name for rule in rules for name in rule.slices},
    )
    found = gather(rows, ripe_days(deployment, comparable, day))
    blocked = _blocked(deployment, challenger, taken, valid, day) + _identical(challenger, found)
    verdict = judge(deployment.policy, found, promotable=len(deployment.promotable), blocked=blocked)
    return Judged(verdict, champion_version, _judged_on(deployment, found, blocked))


def ripe_days(deployment: Deployment, taken: Sequence[Snapshot], day: dt.date) -> dict[dt.date, bool]:
    """Say of each day whether its labels count on `day`: enough of them are there, or none is expected any more.

    Labels tend to arrive in an order that depends on what they say, so a day that is half labelled misleads.
    """
    now, maturity = window_of(deployment, day).end, maturity_of(deployment)
    ripe: dict[dt.date, bool] = {}
    for one in taken:
        mature = one.window_end + maturity
        covered = one.rows > 0 and one.labelled >= deployment.policy.minimum_coverage * one.rows
        collected = one.labels_until is not None and one.labels_until >= mature
        ripe[one.day] = covered or (collected and mature <= now)
    return ripe


def _champion(taken: Sequence[Snapshot]) -> str:
    """Return the version that served last; "none" where there was no request yet."""
    versions = [version for one in taken for version in one.champion_versions[-1:]]
    return versions[-1] if versions else "none"


def _valid(session: Session[Any], taken: Sequence[Snapshot], key: int) -> set[int]:
    """Return the snapshots whose inputs, and this challenger's predictions, were validated and meet expectations."""
    said = {(one.snapshot_id, one.challenger_id): one.success for one in validations.recorded(session, taken)}
    return {one.id for one in taken if said.get((one.id, None)) and said.get((one.id, key))}


def _blocked(
    deployment: Deployment, challenger: Challenger, taken: Sequence[Snapshot], valid: set[int], day: dt.date
) -> list[str]:
    reasons: list[str] = []
    if challenger.is_control:
        reasons.append("this is the control, the champion against itself: it measures noise and is never promoted")
    today = next((one for one in taken if one.day == day), None)
    if today is None:
        reasons.append(f"{day} was not sampled")
    elif today.rows and today.id not in valid:
        reasons.append(f"the inputs or predictions of {day} are not complete or do not meet their expectations")
    elif len(today.champion_versions) > 1:
        versions = ", ".join(today.champion_versions)
        reasons.append(f"the champion changed in the course of {day}: {versions} served; evidence starts anew")
    contradicted = sum(one.contradicted for one in taken)
    if contradicted:
        reasons.append(
            f"{contradicted} requests have labels that contradict each other in {deployment.labels.table}: "
            "they count for nothing until that is mended"
        )
    return reasons


def _identical(challenger: Challenger, found: Evidence) -> list[str]:
    if challenger.is_control:
        return []
    compared = [series for series in found.values() if series.slice == ALL and series.days]
    if compared and all((series.identical == series.pairs).all() for series in compared):
        most = max(series.total_requests for series in compared)
        return [f"its predictions are identical to the champion's on all {most} requests: is it the same model?"]
    return []


def _judged_on(deployment: Deployment, found: Evidence, blocked: Sequence[str]) -> dict[str, Any]:
    return {
        "policy": deployment.policy.model_dump(by_alias=True, mode="json"),
        "promotable": len(deployment.promotable),
        "blocked": list(blocked),
        "evidence": [[*key, *_content(series)] for key, series in sorted(found.items())],
    }


def _content(series: Series) -> list[list[Any]]:
    """Return a series for the digest, rounded: the last bits of a sum say nothing about the evidence."""
    means = (series.champion, series.challenger, series.difference)
    rounded = [[f"{value:.{SIGNIFICANT_DIGITS}g}" for value in mean.tolist()] for mean in means]
    return [[str(day) for day in series.days], series.pairs.tolist(), *rounded]
