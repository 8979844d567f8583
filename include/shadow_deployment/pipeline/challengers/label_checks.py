"""Labels that block a PASS, or that a verdict warns of: contradicted, invalid, early, and missing ones."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shadow_deployment.base.numbers import plain_percent, quantity
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import in_words
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision import calendar
from shadow_deployment.ledger import labels
from shadow_deployment.ledger.batches import shared_labels
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline.challengers.basis import Basis


@dataclass
class LabelProblems:
    """What is wrong with the labels of a verdict's days: reasons against a PASS, and warnings."""

    blocked: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def label_problems(session: Session[Any], deployment: Deployment, basis: Basis) -> LabelProblems:
    """Return what is wrong with the labels of the days that count, or will once their labels are there."""
    problems = LabelProblems()
    table = deployment.labels.table
    contradicted = sum(snapshot.contradicted for snapshot in basis.compared)
    if contradicted:
        problems.blocked.append(
            f"{contradicted} requests have contradictory labels in {table}; they do not count until that is fixed"
        )
    invalid = sum(snapshot.invalid for snapshot in basis.compared)
    if invalid:
        examples = _examples(session, basis, window_of(deployment, basis.day).end)
        _limited(problems, deployment, basis, invalid, f"an invalid label: {examples}; {_allowed(deployment)}")
    early = sum(snapshot.early for snapshot in basis.compared)
    if early:
        when = f"{deployment.labels.time} of {table} is before {deployment.requests.time} of the request"
        _limited(problems, deployment, basis, early, f"a label known before the request: {when}")
    problems.blocked += _coverage(deployment, basis)
    problems.warnings += _shared(session, deployment, basis)
    return problems


def _limited(problems: LabelProblems, deployment: Deployment, basis: Basis, count: int, what: str) -> None:
    """Warn of labels that are never used, and block a PASS where they are too many."""
    share, most = count / sum(snapshot.rows for snapshot in basis.compared), deployment.policy.max_invalid_labels
    counted = f"{quantity(count, 'request')} ({share:.2%}) had {what}; such labels are not used"
    problems.warnings.append(counted)
    if share > most:
        key = f"at most {most:.2%} may (policy.max_invalid_labels == {most:g})"
        problems.blocked.append(f"{counted}, and {key}")


def _examples(session: Session[Any], basis: Basis, known_by: dt.datetime) -> str:
    examples = labels.invalid_examples(session, basis.compared, known_by)
    return ", ".join(dict.fromkeys(repr(value) for value in examples))


def _allowed(deployment: Deployment) -> str:
    column, texts = deployment.labels.column, deployment.labels
    if deployment.classes:
        return f"{column} must be one of {', '.join(deployment.classes)}"
    if texts.positive is not None:
        return f"{column} must be {texts.positive!r} or {texts.negative!r}"
    return f"{column} must be {'0 or 1 (or false or true)' if deployment.task == 'binary' else 'finite'}"


def _coverage(deployment: Deployment, basis: Basis) -> Iterator[str]:
    """Yield that too few requests of the days that count have a label."""
    counted = _counted(basis)
    share, least = calendar.coverage(counted), deployment.policy.minimum_coverage
    if share is not None and share < least:
        yield (
            f"{plain_percent(share)} of the requests of {quantity(len(counted), 'counted day')} have a label, at least "
            f"{plain_percent(least)} must (policy.minimum_coverage == {least:g})"
        )


def _shared(session: Session[Any], deployment: Deployment, basis: Basis) -> Iterator[str]:
    """Yield how many facts the requests of the days that count are about, where they share labels."""
    counted = _counted(basis)
    requests, repeated = sum(each.rows for each in counted), shared_labels.count(session, counted)
    if repeated:
        key = in_words(deployment.labels.key)
        facts = (
            f"{quantity(requests, 'request')} are about {quantity(requests - repeated, 'label')}, shared by {key}: "
            f"{plain_percent(repeated / requests)} repeat an earlier prediction of theirs"
        )
        if deployment.labels.shared == "first":
            yield f"{facts} and are left out of what needs labels (labels.shared == first)"
        else:
            yield (
                f"{facts}, so that days depend on each other (labels.shared == all): policy.unit == week, or first "
                "predictions alone, allow for that"
            )


def never_labelled(basis: Basis) -> tuple[int, int]:
    """Return how many requests of the days that count have no usable label, and how many requests there are."""
    counted = _counted(basis)
    return sum(each.rows - each.labelled for each in counted), sum(each.rows for each in counted)


def _counted(basis: Basis) -> list[Snapshot]:
    """Return the days whose labels count."""
    counts = calendar.in_order(basis.mature)
    return [snapshot for snapshot in basis.compared if counts[snapshot.day]]
