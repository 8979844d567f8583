"""Judging: a verdict on one challenger from stored evidence, and what blocks a PASS."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.safeguards.lately import successor_got_worse
from shadow_deployment.decision.safeguards.memory import long_memory_advised
from shadow_deployment.decision.safeguards.missing_labels import missing_label_warnings
from shadow_deployment.decision.series import Evidence, digest_of, gather
from shadow_deployment.decision.trial import SERVICE
from shadow_deployment.decision.verdict import VerdictBasis, conclude
from shadow_deployment.decision.words import wording
from shadow_deployment.decision.words.explanation import explain
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.decision.words.naming import features_differ
from shadow_deployment.ledger import series
from shadow_deployment.ledger.checks import calibrations, replay_checks, validations
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import NewVerdict
from shadow_deployment.metrics.catalog import SKEW, skew_of
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers import too_good
from shadow_deployment.pipeline.challengers.basis import Basis, basis_of, evidence_of, evidence_rows
from shadow_deployment.pipeline.challengers.label_checks import label_problems, never_labelled
from shadow_deployment.pipeline.challengers.trials import FindTrial, known_trial

MOST_DAYS = 5


def judge_challenger(
    session: Session[Any],
    deployment: Deployment,
    challenger: Challenger,
    key: int,
    day: dt.date,
    *,
    trial_for: FindTrial = known_trial,
) -> NewVerdict:
    """Judge a challenger on all evidence of its trial against the champion of `day`, up to that day.

    `key` is the ledger's key of the challenger's model. `trial_for` as for `basis_of`.
    """
    basis, policy = basis_of(session, deployment, challenger, key, day, trial_for=trial_for), deployment.policy
    counted = evidence_rows(session, key, basis, basis.compared)
    shown = evidence_rows(session, key, basis, basis.shown) if basis.replayed else []
    alone = evidence_of(session, policy, counted)
    evidence = evidence_of(session, policy, shown) if basis.replayed else alone
    alpha = basis.trial.alpha if basis.trial else policy.alpha
    problems = label_problems(session, deployment, basis)
    doubted, acknowledged = too_good.doubts(session, deployment, challenger, key, basis, shown or counted, evidence)
    replayed_otherwise = _replay_failures(session, deployment, basis.shown)
    blocked = [*_blocked(deployment, challenger, basis), *problems.blocked, *doubted, *replayed_otherwise]
    left_out, also = basis.calendar.left_out, evidence if basis.replayed else None
    verdict = conclude(policy, VerdictBasis(basis.last_day, alpha, blocked, left_out, counted=alone, shown=also))
    noticed = _warnings(session, deployment, challenger, basis, key, evidence)
    warnings = [*noticed, *acknowledged, *problems.warnings, *_missing_labels(deployment, verdict, basis)]
    explanation = explain(
        deployment, challenger, verdict, evidence, champion=basis.champion, trial=basis.trial, warnings=warnings
    )
    terms, days = policy.model_dump(by_alias=True, mode="json"), basis.counts.to_json()
    trial = basis.trial.number if basis.trial else None
    judged_on = input_of(
        policy=terms, trial=trial, alpha=alpha, days=days, blocked=blocked, warnings=warnings, evidence=evidence
    )
    return NewVerdict(
        day=day,
        challenger=key,
        champion_version=basis.champion_version,
        trial=basis.trial,
        days=basis.counts,
        verdict=verdict,
        alpha=alpha,
        blocked=blocked,
        counted=counted,
        shown=shown,
        warnings=warnings,
        explanation=explanation,
        judged_on=judged_on,
    )


def _warnings(
    session: Session[Any], deployment: Deployment, challenger: Challenger, basis: Basis, key: int, evidence: Evidence
) -> Iterator[str]:
    """Yield what a verdict says beside its reasons; labels have warnings of their own."""
    yield from _direction(challenger, basis)
    if challenger.is_watched:
        worse = successor_got_worse(deployment.policy, evidence)
        yield from (wording.successor_got_worse(metric, since) for metric, since in worse)
    if basis.counts.concluded_on is not None:
        yield wording.concluded(basis.counts.concluded_on)
    yield from _left_out(basis)
    yield from _rests_on_training_date(challenger, basis)
    yield from _failed_predictions(session, basis, key)
    yield from long_memory_advised(deployment.policy, evidence)
    yield from _certainly_wrong(evidence)
    yield from _skewed(session, deployment, basis, key)
    yield from calibrations.warnings(session, deployment, key)


def _missing_labels(deployment: Deployment, verdict: Verdict, basis: Basis) -> Iterator[str]:
    return missing_label_warnings(verdict.findings, deployment.catalog, deployment.task, *never_labelled(basis))


def _blocked(deployment: Deployment, challenger: Challenger, basis: Basis) -> list[str]:
    reasons: list[str] = []
    if challenger.is_a_a_check:
        reasons.append("this is the A/A check, the champion against itself: it measures noise and is never promoted")
    newest = next((snapshot for snapshot in reversed(basis.taken) if snapshot.rows), None)
    if newest is not None and len(newest.champions) > 1:
        versions = ", ".join(newest.champion_versions)
        reasons.append(f"the champion changed during {newest.day} (versions {versions}); evidence starts over")
    reasons += _of_the_day(challenger, basis)
    most = basis.calendar.too_many_left_out(deployment.policy.max_days_left_out)
    if most is not None:
        reasons.append(
            f"{len(basis.calendar.left_out)} {basis.counts.period}s are left out, at most {most} may be "
            f"(policy.max_days_left_out == {deployment.policy.max_days_left_out}): {_named(basis)}; "
            f"shadow run {deployment.name} --missing runs those that were not run"
        )
    return reasons


def _of_the_day(challenger: Challenger, basis: Basis) -> Iterator[str]:
    """Yield why the judged day itself cannot be compared."""
    today = next((snapshot for snapshot in basis.taken if snapshot.day == basis.day), None)
    state = basis.calendar.states.get(basis.day)
    if state == "withdrawn":
        yield f"{basis.day} was withdrawn"
    elif state == "not complete":
        yield f"{basis.day} is not complete: not all its windows were sampled"
    elif today is None:
        yield f"{basis.day} was not sampled"
    elif state == "inputs failed":
        yield f"the inputs of {basis.day} do not meet their expectations"
    elif state == "not run":
        yield f"the predictions of {challenger.name} for {basis.day} are incomplete"


def _named(basis: Basis) -> str:
    return ", ".join(f"{day} ({state})" for day, state in basis.counts.left_out.items())


def _left_out(basis: Basis) -> Iterator[str]:
    days = len(basis.counts.left_out)
    if days:
        yield f"{basis.counts.say(days)} left out, entered at the worst value counted so far: {_named(basis)}"


def _rests_on_training_date(challenger: Challenger, basis: Basis) -> Iterator[str]:
    trial = basis.trial
    if trial and trial.trained_until and basis.counts.replayed and not basis.replayed:
        seen = basis.counts.say(trial.seen_undeclared)
        late = f", which was declared once {seen} had been seen" if trial.seen_undeclared else ""
        yield (
            f"{basis.counts.say(basis.counts.replayed)} of the evidence began before {challenger.name} was registered: "
            f"the verdict rests on the declared training date {trial.trained_until}{late}"
        )


def _failed_predictions(session: Session[Any], basis: Basis, key: int) -> Iterator[str]:
    failed = validations.predictions_failed(session, basis.shown, key)
    days = [str(snapshot.day) for snapshot in basis.shown if snapshot.id in failed]
    if days:
        newest = ", ".join(days[-MOST_DAYS:])
        yield f"predictions do not meet their expectations on {basis.counts.say(len(days))}, which count: {newest}"


def _replay_failures(session: Session[Any], deployment: Deployment, comparable: Sequence[Snapshot]) -> Iterator[str]:
    champion = deployment.champion
    if champion is None:
        return
    mismatches = replay_checks.mismatches(session, comparable, champion, model_digest(champion.as_challenger))
    if mismatches:
        newest = mismatches[-1]
        yield features_differ(
            quantity(len(mismatches), deployment.policy.period),
            (newest.mismatched, newest.checked),
            newest.largest,
        )


def _direction(challenger: Challenger, basis: Basis) -> Iterator[str]:
    if basis.champion_version == SERVICE:
        yield f"it is compared with {basis.champion}: requests.champion_identity == service"
    if challenger.is_watched:
        yield (
            f"this is the former champion, {challenger.version}, watched after a promotion: PASS means that it is "
            f"better than its successor, {basis.champion}, and suggests a rollback"
        )


def _certainly_wrong(evidence: Evidence) -> Iterator[str]:
    series = evidence.get(("certainly_wrong", ALL))
    if series is None:
        return
    for model, share in (("champion", series.champion), ("challenger", series.challenger)):
        count = max(round(float((share * series.pairs).sum())), int((share > 0).sum()))
        if count:
            yield f"{count} predictions of the {model} were exactly 0 or 1 and wrong; log loss counts each as 36"


def _skewed(session: Session[Any], deployment: Deployment, basis: Basis, key: int) -> Iterator[str]:
    """Yield which features differed from the logged ones on the last day, where a rule is about that."""
    names = {skew_of(name).name: name for name in deployment.skewable}
    if not names or all(rule.metric != SKEW for rule in deployment.policy.rules):
        return
    rows = evidence_rows(session, key, basis, basis.shown)
    evidence = gather(series.read(session, rows, metrics=names, squares=False))
    for metric, name in names.items():
        skew = evidence.get((metric, ALL))
        if skew is not None and skew.days and skew.challenger[-1] > 0:
            yield f"{name} differs from the logged {name} in {skew.challenger[-1]:.2%} of requests on {skew.days[-1]}"


def input_of(
    *,
    policy: Mapping[str, Any],
    trial: int | None,
    alpha: float,
    days: Mapping[str, Any],
    blocked: Sequence[str],
    warnings: Sequence[str],
    evidence: Evidence,
) -> dict[str, Any]:
    """Return all that a verdict depends on, for its digest; policy and days as JSON, `trial` is a number."""
    return {
        "policy": policy,
        "trial": trial,
        "alpha": alpha,
        "days": days,
        "blocked": list(blocked),
        "evidence": digest_of(evidence),
        "warnings": list(warnings),
    }
