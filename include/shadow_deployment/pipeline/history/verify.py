"""Verification: all that verdicts rest on is as it was, and they follow from it.

The chain of verdicts, promotions and removals, trials against their terms and batches, snapshots against their
manifests, features of challengers' own against their digests, requests against snapshots, evidence against predictions
and labels, verdicts against evidence, and models against the digests that were judged. Where requests were removed,
sums are compared with their digests alone.
"""

import datetime as dt
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.policy import Policy
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.verdict import VerdictBasis, conclude
from shadow_deployment.errors import SnapshotError
from shadow_deployment.ledger import snapshots, verdicts
from shadow_deployment.ledger.audit import chain, days
from shadow_deployment.ledger.audit.trials import changed_trial
from shadow_deployment.ledger.batches.shared_labels import days_before
from shadow_deployment.ledger.checks import verifications
from shadow_deployment.ledger.predictions import find_challenger
from shadow_deployment.ledger.removal import removals
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import KeptVerdict
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers import own_features
from shadow_deployment.pipeline.challengers.basis import evidence_of
from shadow_deployment.pipeline.challengers.judging import input_of, judge_challenger
from shadow_deployment.pipeline.feature_skew import request_values
from shadow_deployment.pipeline.sample import files_of

_Removals = Mapping[int, Sequence[removals.Removal]]

_WHOLE = ("chain", "trials")  # verified all at once
_TOLERANCE = 1e-9  # of figures that are computed again, perhaps by another machine


@dataclass(frozen=True)
class Verification:
    """How many of each kind were verified, and the first that differs; None where none does.

    `is_complete` says whether the time was enough, `removed` what cannot be computed again, and why.
    """

    verified: Mapping[str, int]
    difference: str | None
    is_complete: bool = True
    removed: Sequence[str] = ()

    def __str__(self) -> str:
        parts = [kind if kind in _WHOLE else f"{count} {kind}" for kind, count in self.verified.items()]
        return ", ".join(parts) or "nothing is there to verify"


def verify(
    context: DeploymentContext, wanted: Sequence[dt.date] | None = None, *, seconds: float = math.inf
) -> Verification:
    """Verify a deployment's ledger up to the first difference, and keep in the ledger what was found.

    Args:
        context: The deployment.
        wanted: Days to verify; None is every day. The chain and the newest verdicts are always verified.
        seconds: After how long no further day is looked at.
    """
    with context.ledger() as session:
        removed = removals.removals(session, context.deployment)
        verification = _verified(_parts(context, session, wanted, removed), time.monotonic() + seconds)
        verification = replace(verification, removed=list(_in_words(removed, wanted, context.deployment.policy.period)))
        verifications.store(
            session,
            context.deployment,
            verification.verified,
            wanted,
            verification.difference,
            is_complete=verification.is_complete,
        )
    return verification


def _verified(parts: "Iterator[tuple[str, partial[str | None]]]", until: float) -> Verification:
    verified: Counter[str] = Counter()
    for kind, look in parts:
        if time.monotonic() > until:
            return Verification(verified, None, is_complete=False)
        difference = look()
        if difference is not None:
            return Verification(verified, difference)
        verified[kind] += 1
    return Verification(verified, None)


def _parts(
    context: DeploymentContext, session: Session[Any], wanted: Sequence[dt.date] | None, removed: _Removals
) -> Iterator[tuple[str, "partial[str | None]"]]:
    deployment = context.deployment
    yield "chain", partial(chain.first_break, session, deployment)
    yield "trials", partial(changed_trial, session, deployment)
    for snapshot in snapshots.snapshots(session, deployment, None, None):
        if wanted is None or snapshot.day in wanted:
            is_pruned = any(each.kind == "retention" for each in removed.get(snapshot.id, ()))
            look = _of_pruned_day if is_pruned else _of_day
            kind = f"{'pruned ' if is_pruned else ''}{deployment.policy.period}s"
            yield kind, partial(look, context, session, snapshot, removed)
    for kept in verdicts.kept(session, deployment, wanted):
        yield "verdicts", partial(_of_verdict, session, kept)
    declared = {challenger.name for challenger in deployment.challengers}
    for name, verdict in verdicts.latest(session, deployment).items():
        if name in declared:
            yield "newest verdicts", partial(_of_model, context, session, verdict)


def _in_words(removed: _Removals, wanted: Sequence[dt.date] | None, period: str) -> Iterator[str]:
    """Yield what cannot be computed again since requests were removed."""
    lines = [each for of_day in removed.values() for each in of_day if wanted is None or each.day in wanted]
    pruned, erased = ([each for each in lines if each.kind == kind] for kind in ("retention", "erasure"))
    if pruned:
        yield (
            f"removed by retention: {quantity(len(pruned), period)}, {pruned[0].day} to {pruned[-1].day}, last on "
            f"{max(each.removed_at for each in pruned):%Y-%m-%d}: their evidence is compared with its digest only"
        )
    if erased:
        count, days = sum(each.requests for each in erased), {each.day for each in erased}
        yield (
            f"erased: {quantity(count, 'request')} of {quantity(len(days), period)}, last on "
            f"{max(each.removed_at for each in erased):%Y-%m-%d}: evidence from before is compared with its digest only"
        )


def _of_pruned_day(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, removed: _Removals
) -> str | None:
    """Return whose evidence of a day without requests is not as it was written."""
    since = max(each.removed_at for each in removed[snapshot.id])
    changed = days.changed_evidence(session, context.deployment, snapshot, since)
    return None if changed is None else f"the ledger has {changed}"


def _erased_since(context: DeploymentContext, snapshot: Snapshot, removed: _Removals) -> dt.datetime | None:
    """Return when requests were last erased of a day, or of one before it that may share labels with it."""
    first = snapshot.day - dt.timedelta(days=days_before(context.deployment))
    moments = [each.removed_at for of_day in removed.values() for each in of_day if first <= each.day <= snapshot.day]
    return max(moments, default=None)


def _of_day(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, removed: _Removals) -> str | None:
    """Return what of a day is not as it was written, or not what it was computed from."""
    try:
        changed = days.changed_request(session, snapshot, files_of(context, snapshot), context.store)
        own_features.require_unchanged(context, session, snapshot)
    except SnapshotError as error:
        return str(error)
    if changed is not None:
        return f"{changed} is not in the ledger as its snapshot has it"
    since = _erased_since(context, snapshot, removed)
    custom = request_values(context, session, snapshot)
    changed = days.changed_evidence(session, context.deployment, snapshot, since, custom)
    return None if changed is None else f"the ledger has {changed}"


def _of_verdict(session: Session[Any], kept: KeptVerdict) -> str | None:
    """Return how a verdict differs from what its evidence gives."""
    policy, about = Policy.model_validate(kept.policy), f"the verdict of {kept.day} on {kept.name}"
    counted = evidence_of(session, policy, kept.counted_evidence)
    shown = evidence_of(session, policy, kept.shown_evidence) if kept.shown_evidence else None
    left_out = [dt.date.fromisoformat(each["day"]) for each in kept.days["left_out"]]
    ended = kept.days["concluded_on"]
    day = dt.date.fromisoformat(ended) if ended else kept.day
    basis = VerdictBasis(day, kept.alpha, kept.blocked, left_out, counted, shown)
    judged_on = input_of(
        policy=kept.policy,
        trial=kept.trial,
        alpha=kept.alpha,
        days=kept.days,
        blocked=kept.blocked,
        warnings=kept.warnings,
        evidence=basis.all_evidence,
    )
    if digest(judged_on) != kept.input_digest:
        return f"{about} rests on other evidence than the ledger has now"
    verdict = conclude(policy, basis)
    if verdict.outcome != kept.outcome:
        return f"{about} says {kept.outcome}, and its evidence gives {verdict.outcome}"
    findings = [finding.to_json() for finding in verdict.findings]
    if list(verdict.reasons) != kept.reasons or not _is_close(findings, kept.findings):
        return f"{about} has other findings or reasons than its evidence gives"
    return None


def _of_model(context: DeploymentContext, session: Session[Any], newest: verdicts.StoredVerdict) -> str | None:
    """Return how a challenger's newest verdict differs from what all facts of now give, or its model from its file."""
    challenger = context.deployment.challenger(newest.name)
    of_file = model_digest(challenger)
    if of_file != newest.model_digest:
        return (
            f"{challenger.model} has digest {of_file[:12]}, and the newest verdict on {newest.name}, of {newest.day}, "
            f"is about {newest.model_digest[:12]}"
        )
    key = find_challenger(session, context.deployment, challenger, of_file)
    if key is None:
        return None
    judged = judge_challenger(session, context.deployment, challenger, key, newest.day)
    if judged.trial is not None and judged.verdict.outcome != newest.outcome:
        return (
            f"the newest verdict on {newest.name}, of {newest.day}, says {newest.outcome}, and the ledger gives "
            f"{judged.verdict.outcome} now: judge the day again"
        )
    return None


def _is_close(value: Any, other: Any) -> bool:
    """Return whether two pieces of JSON are the same but for the last digits of numbers."""
    if isinstance(value, float) and isinstance(other, int | float):
        return math.isclose(value, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(_is_close(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_is_close, value, other))
    return bool(value == other)
