"""Judging: a verdict on one challenger from stored evidence, and what blocks a PASS."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision import calendar
from shadow_deployment.decision.calendar import LabelProgress
from shadow_deployment.decision.explanation import explain
from shadow_deployment.decision.finding import Verdict
from shadow_deployment.decision.missing_labels import dependence
from shadow_deployment.decision.series import Evidence, Series, digest_of, gather
from shadow_deployment.decision.verdict import judge
from shadow_deployment.ledger import calibrations, labels, replay_checks, snapshots, validations
from shadow_deployment.ledger.disagreements import furthest
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.series import read as read_series
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.catalog import QUIET
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.models.loading import model_digest

DAYS_OF_DISAGREEMENTS = 7
MOST_REQUESTS = 5


@dataclass(frozen=True)
class JudgedChallenger:
    """A verdict against one champion version, with its explanation and everything that it depends on."""

    verdict: Verdict
    champion_version: str
    warnings: Sequence[str]
    explanation: str
    judged_on: Mapping[str, Any]


def judge_challenger(
    session: Session[Any], deployment: Deployment, challenger: Challenger, key: int, day: dt.date
) -> JudgedChallenger:
    """Judge a challenger on all evidence against the champion of `day`, up to that day.

    `key` is the ledger's key of the challenger's model.
    """
    taken = snapshots.snapshots(session, deployment, None, day)
    champion_version = champion_of(taken)
    comparable = comparable_days(session, taken, key, champion_version)
    evidence = evidence_on(session, deployment, key, comparable, day, squares=deployment.policy.unit == "request")
    blocked = [
        *_blocked(deployment, challenger, taken, {snapshot.id for snapshot in comparable}, day),
        *_identical(challenger, evidence),
        *_replay_failures(session, deployment, comparable),
    ]
    promotable = 1 if challenger.is_watched else len(deployment.promotable)
    verdict = judge(deployment.policy, evidence, promotable=promotable, blocked=blocked, day=day)
    warnings = [
        *_direction(challenger, champion_version),
        *dependence(deployment.policy, evidence, calendar.final_days(comparable, maturity_of(deployment))),
        *_certainly_wrong(evidence),
        *calibrations.warnings(session, deployment, key),
    ]
    explanation = explain(
        deployment,
        challenger,
        verdict,
        evidence,
        furthest(session, key, comparable[-DAYS_OF_DISAGREEMENTS:]),
        champion_version=champion_version,
        warnings=warnings,
    )
    judged_on = _judged_on(deployment, promotable, evidence, blocked) | {"warnings": warnings}
    return JudgedChallenger(verdict, champion_version, warnings, explanation, judged_on)


def comparable_days(
    session: Session[Any], taken: Sequence[Snapshot], key: int, champion_version: str
) -> list[Snapshot]:
    """Return the days on which only this champion served, and inputs and predictions meet their expectations."""
    return calendar.comparable(taken, champion_version, validations.passed(session, taken, key))


def evidence_on(
    session: Session[Any],
    deployment: Deployment,
    key: int,
    comparable: Sequence[Snapshot],
    day: dt.date,
    *,
    squares: bool = True,
) -> dict[tuple[str, str], Series]:
    """Return what a challenger's rules are judged on: the evidence of days that count, overall and in every slice.

    `squares` says whether the sums of squares are needed.
    """
    metrics = QUIET | {rule.metric for rule in deployment.policy.rules}
    found = read_series(session, key, comparable, metrics=metrics, squares=squares)
    return gather(found, mature_labels(session, deployment, comparable, day))


def labels_on(
    session: Session[Any], deployment: Deployment, taken: Sequence[Snapshot], day: dt.date
) -> dict[dt.date, LabelProgress]:
    """Return the labels of each day as known at the end of `day`'s window, and whether the day counts then."""
    now, maturity = window_of(deployment, day).end, maturity_of(deployment)
    known = labels.known_by(session, calendar.collected_later(taken, now, maturity), now)
    coverage = deployment.policy.minimum_coverage
    return calendar.label_progress(taken, known, now=now, maturity=maturity, minimum_coverage=coverage)


def mature_labels(
    session: Session[Any], deployment: Deployment, taken: Sequence[Snapshot], day: dt.date
) -> dict[dt.date, bool]:
    """Return for each day whether its labels count on `day`."""
    return {of: progress.counts for of, progress in labels_on(session, deployment, taken, day).items()}


def champion_of(taken: Sequence[Snapshot]) -> str:
    """Return the version that served last; "none" where there was no request yet."""
    versions = [version for snapshot in taken for version in snapshot.champion_versions[-1:]]
    return versions[-1] if versions else "none"


def _blocked(
    deployment: Deployment, challenger: Challenger, taken: Sequence[Snapshot], valid: set[int], day: dt.date
) -> list[str]:
    reasons: list[str] = []
    if challenger.is_a_a_check:
        reasons.append("this is the A/A check, the champion against itself: it measures noise and is never promoted")
    today = next((snapshot for snapshot in taken if snapshot.day == day), None)
    newest = next((snapshot for snapshot in reversed(taken) if snapshot.rows), None)
    if newest is not None and len(newest.champion_versions) > 1:
        versions = ", ".join(newest.champion_versions)
        reasons.append(f"the champion changed during {newest.day} (versions {versions}); evidence starts over")
    if today is None:
        reasons.append(f"{day} was not sampled")
    elif len(today.champion_versions) < 2 and today.rows and today.id not in valid:
        reasons.append(f"the inputs or predictions of {day} are incomplete or do not meet their expectations")
    contradicted = sum(snapshot.contradicted for snapshot in taken)
    if contradicted:
        reasons.append(
            f"{contradicted} requests have contradictory labels in {deployment.labels.table}; they do not count until "
            "that is fixed"
        )
    return reasons


def _identical(challenger: Challenger, evidence: Evidence) -> list[str]:
    if challenger.is_a_a_check:
        return []
    compared = [series for series in evidence.values() if series.slice == ALL and series.days]
    same = [np.array_equal(one.identical, one.pairs) for one in compared if one.identical is not None]
    if same and all(same):
        most = max(series.total_requests for series in compared)
        return [f"its predictions are identical to the champion's on all {most} requests: is it the same model?"]
    return []


def _replay_failures(session: Session[Any], deployment: Deployment, comparable: Sequence[Snapshot]) -> Iterator[str]:
    champion = deployment.champion
    if champion is None:
        return
    mismatches = replay_checks.mismatches(session, comparable, champion, model_digest(champion.as_challenger))
    if mismatches:
        newest = mismatches[-1]
        worst = ", ".join(request["request_id"] for request in newest.worst[:MOST_REQUESTS])
        yield (
            f"features differ between serving and shadow: on {len(mismatches)} days the champion's own model predicts "
            f"otherwise than the log, most recently for {newest.mismatched} of {newest.checked} requests, by up to "
            f"{newest.largest:.3g} ({worst})"
        )


def _direction(challenger: Challenger, champion_version: str) -> Iterator[str]:
    if challenger.is_watched:
        yield (
            f"this is the former champion, {challenger.version}, watched after a promotion: PASS means that it is "
            f"better than its successor {champion_version}, and suggests a rollback"
        )


def _certainly_wrong(evidence: Evidence) -> Iterator[str]:
    series = evidence.get(("certainly_wrong", ALL))
    if series is None:
        return
    for model, share in (("champion", series.champion), ("challenger", series.challenger)):
        count = max(round(float((share * series.pairs).sum())), int((share > 0).sum()))
        if count:
            yield f"{count} predictions of the {model} were exactly 0 or 1 and wrong; log loss counts each as 36"


def _judged_on(deployment: Deployment, promotable: int, evidence: Evidence, blocked: Sequence[str]) -> dict[str, Any]:
    return {
        "policy": deployment.policy.model_dump(by_alias=True, mode="json"),
        "promotable": promotable,
        "blocked": list(blocked),
        "evidence": digest_of(evidence),
    }
