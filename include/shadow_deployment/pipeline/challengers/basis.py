"""What a challenger's verdict rests on: its trial, what became of each day, and the evidence of the days that count."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import Policy
from shadow_deployment.config.window import days_between, first_day_from, first_day_on, window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision import calendar
from shadow_deployment.decision.calendar import Calendar, DayCounts, DayRecords
from shadow_deployment.decision.safeguards.usable import MISSING_PREDICTIONS
from shadow_deployment.decision.series import Series, gather
from shadow_deployment.decision.trial import SERVICE, Trial, champion_in_words
from shadow_deployment.ledger import labels, series, snapshots, trials
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.catalog import QUIET
from shadow_deployment.pipeline.challengers.trials import FindTrial, conclusion_of, known_trial


@dataclass(frozen=True)
class Basis:
    """The days of a challenger's trial up to the judged day, with their labels as known at its window's end.

    `taken` are the sampled days that were not withdrawn. `compared` count, `replayed` are shown beside them, and
    `mature` says of both whether their labels count. Days from `live_from` on are live. `trial` is None before the
    champion's first request.
    """

    day: dt.date
    champion_version: str
    trial: Trial | None
    taken: Sequence[Snapshot]
    calendar: Calendar
    compared: Sequence[Snapshot]
    replayed: Sequence[Snapshot]
    mature: dict[dt.date, bool]
    counts: DayCounts
    live_from: dt.date

    @property
    def last_day(self) -> dt.date:
        """The last day that the verdict is about: the judged one, or that on which the trial was concluded."""
        return self.counts.concluded_on or self.day

    @property
    def shown(self) -> list[Snapshot]:
        """All days with evidence that a verdict may show, in order."""
        return [*self.replayed, *self.compared]

    @property
    def champion(self) -> str:
        """What the challenger is compared with, in words."""
        return champion_in_words(self.champion_version, self.counts.champion_versions, self.counts.period)


def basis_of(
    session: Session[Any],
    deployment: Deployment,
    challenger: Challenger,
    key: int,
    day: dt.date,
    *,
    trial_for: FindTrial = known_trial,
) -> Basis:
    """Return what a verdict of a day rests on.

    `key` is the ledger's key of the challenger's model. `trial_for` finds its trial: `known_trial` writes
    nothing, `opening` opens it where there is none.
    """
    withdrawn = trials.withdrawn(session, deployment)
    sampled = snapshots.sampled(session, deployment, None, day)
    taken = [each for each in sampled if each.is_complete and each.day not in withdrawn]
    version = champion_of(taken)
    has_champion = any(snapshot.champions for snapshot in taken)
    trial = trial_for(session, deployment, challenger, key, version) if has_champion else None
    if trial is None:
        return Basis(day, version, None, taken, Calendar({}), [], [], {}, DayCounts(0, 0, 0, 0, {}, {}), day)
    first, shown_from, live_from = _first_days(deployment, challenger, trial, taken)
    records = DayRecords(
        begun=[each.day for each in sampled if not each.is_complete],
        failed=validations.inputs_failed(session, taken),
        scored=validations.scored(session, taken, key),
        seen=trials.seen_days(session, trial) if trial.is_of_a_challenger else (),
        withdrawn=withdrawn,
    )
    concluded_on = conclusion_of(session, deployment, trial, key, day, but=day)
    last = concluded_on or day
    every = list(days_between(deployment, shown_from, last))
    days = calendar.calendar_of(taken, records, champion_version=version, every=every, first=first)
    compared, replayed = ([each for each in taken if days.states.get(each.day) == state] for state in _WITH_EVIDENCE)
    compared, replayed = (labels_on(session, deployment, each, day) for each in (compared, replayed))
    known = [*replayed, *compared]
    mature = mature_labels(deployment, labels_on(session, deployment, known, last) if concluded_on else known)
    counts = calendar.counts_of(days, taken, calendar.in_order(mature), live_from)
    counts = replace(counts, concluded_on=concluded_on, period=deployment.policy.period)
    return Basis(day, version, trial, taken, days, compared, replayed, mature, counts, live_from)


_WITH_EVIDENCE = ("compared", "replayed")


def evidence_rows(session: Session[Any], key: int, basis: Basis, days: Sequence[Snapshot]) -> list[int]:
    """Return the keys of a challenger's evidence on some days of a basis."""
    return series.newest(session, key, days, basis.mature, champion_version=basis.champion_version)


def evidence_of(
    session: Session[Any], policy: Policy, rows: Sequence[int], *, squares: bool = False
) -> dict[tuple[str, str], Series]:
    """Return evidence of these keys in the metrics of a policy, overall and in every slice.

    `squares` says whether the sums of squares are needed where the policy's unit is not a request.
    """
    metrics = QUIET | {MISSING_PREDICTIONS} | {rule.metric for rule in policy.rules}
    return gather(series.read(session, rows, metrics=metrics, squares=squares or policy.unit == "request"))


def comparable_days(
    session: Session[Any], taken: Sequence[Snapshot], key: int, champion_version: str
) -> list[Snapshot]:
    """Return the days with evidence of a challenger against a champion version, whether they count in a trial or not.

    Only this champion served them, their inputs meet their expectations, and all predictions are there.
    """
    complete = validations.scored(session, taken, key) - validations.inputs_failed(session, taken)
    return calendar.comparable(taken, champion_version, complete)


def labels_on(session: Session[Any], deployment: Deployment, taken: Sequence[Snapshot], day: dt.date) -> list[Snapshot]:
    """Return sampled days with their labels as known at the end of `day`'s window."""
    return labels.as_of(session, taken, window_of(deployment, day).end)


def mature_labels(deployment: Deployment, known: Sequence[Snapshot]) -> dict[dt.date, bool]:
    """Return for each day, with its labels as known at one moment, whether they count then."""
    progress = calendar.label_progress(known, maturity_of(deployment))
    return {day: each.counts for day, each in progress.items()}


def champion_of(taken: Sequence[Snapshot]) -> str:
    """Return the champion that the newest evidence is against; "none" where there was no request yet."""
    return next((snapshot.champions[-1] for snapshot in reversed(taken) if snapshot.champions), "none")


def logged_version(taken: Sequence[Snapshot]) -> str:
    """Return the version that served last; "none" where there was no request yet."""
    return next((snapshot.champion_versions[-1] for snapshot in reversed(taken) if snapshot.champion_versions), "none")


def _first_days(
    deployment: Deployment, challenger: Challenger, trial: Trial, taken: Sequence[Snapshot]
) -> tuple[dt.date, dt.date, dt.date]:
    """Return the first day of a trial that counts, the first that is shown, and the first that is live.

    An A/A check and a former champion have nothing to choose from: they begin with the champion's first sampled day.
    """
    live_from = first_day_from(deployment, trial.opened_at)
    if not trial.is_of_a_challenger:
        served_from = _served_from(challenger, trial, taken)
        return served_from, served_from, live_from
    shown_from = first_day_on(deployment, trial.first_trained_day(maturity_of(deployment)))
    counts_replayed = deployment.policy.replay == "count" and trial.trained_until is not None
    return (shown_from if counts_replayed else max(shown_from, live_from)), shown_from, live_from


def _served_from(challenger: Challenger, trial: Trial, taken: Sequence[Snapshot]) -> dt.date:
    """Return the champion's first sampled day; where that is the service, a former champion's own days are before."""
    days = [each for each in taken if trial.champion_version in each.champions]
    if challenger.is_watched and trial.champion_version == SERVICE:
        own = [each.day for each in days if _served(challenger.version, each)]
        days = [each for each in days if not own or each.day > own[-1]] or days[-1:]
    return days[0].day


def _served(version: str, snapshot: Snapshot) -> bool:
    return any(logged == version or logged.endswith(f"@{version}") for logged in snapshot.champion_versions)
