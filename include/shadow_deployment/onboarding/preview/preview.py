"""Everything that a preview says, as plain data."""

import datetime as dt
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import day_after, day_of, days_between, first_day_on, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import Access
from shadow_deployment.data.sampling import allocate
from shadow_deployment.errors import SourceError
from shadow_deployment.metrics.catalog import Task
from shadow_deployment.onboarding.preview.answers import SHOWN, ModelAnswers, answers_of, numbers
from shadow_deployment.onboarding.preview.days import PreviewedDay, known_until, looked_up, read_days
from shadow_deployment.onboarding.preview.horizon import RuleHorizon, horizons
from shadow_deployment.onboarding.tables.opening import open_table

DAYS: Final = 10
_CALL_ROWS: Final = 256  # of a call to a server, unless limits.rows says otherwise
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class LabelArrival:
    """Of the previewed requests: how many have a label, an invalid one, one before the request, and after how long."""

    requests: int
    labelled: int
    invalid: int
    early: int
    median_days: float | None
    most_days: float | None

    @property
    def share(self) -> float:
        """The share of the requests that have a label."""
        return self.labelled / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class ScoredRow:
    """One request with its label, what the champion logged and each challenger says: a number or a class.

    `errors` has the reasons of those that say nothing.
    """

    request_id: str
    label: float | str | None
    champion: float | str | None
    challengers: dict[str, float | str | None]
    errors: dict[str, str]


@dataclass(frozen=True)
class DailyCost:
    """What a day costs: seconds to read and to score, bytes of the snapshot, rows in the ledger, calls to servers."""

    reading_seconds: float
    scoring_seconds: dict[str, float]
    calls: dict[str, int]
    snapshot_bytes: int
    ledger_rows: int


@dataclass(frozen=True)
class Preview:
    """What a deployment would do: on `day`, the newest one whose labels should be there, and `days` before it.

    With a weekly schedule these are weeks, by their first days: `period`. `problems` says by challenger what went wrong
    with some or all requests, `unscored` names those without any answer.
    """

    deployment: str
    task: Task
    day: dt.date
    days: int
    period: str
    log_from: dt.date
    log_to: dt.date
    requests: int
    sampled: int
    strata: int
    labels: LabelArrival
    rows: list[ScoredRow]
    problems: dict[str, str]
    unscored: list[str]
    horizons: list[RuleHorizon]
    days_there: int
    past_counts: bool
    cost: DailyCost
    access: dict[str, Access]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def preview(context: DeploymentContext, *, day: dt.date | None, gain: float) -> Preview:
    """Look at up to DAYS past days of a deployment; neither the ledger nor the snapshots' store is touched.

    Args:
        context: The deployment with its connections.
        day: The day to show; by default the newest one whose labels should be there.
        gain: By which share of the champion's loss a challenger is supposed to be better.

    Raises:
        SourceError: The log has no requests on these days, or lacks what the deployment names.
        CredentialsError, TransientError: Production cannot be read.
    """
    deployment = context.deployment
    context.check_sources()
    first, last = _span(context)
    mature = max(last - deployment.labels.maturity_days * _DAY, first)
    days = next(filter(None, (_days(context, first, newest) for newest in ([day] if day else [mature, last]))), [])
    if not days:
        raise SourceError(
            f"deployment {deployment.name}: {deployment.requests.table} has no requests in the {DAYS} "
            f"{deployment.policy.period}s up to {day or last}, must have some: it goes from {first} to {last}"
        )
    answers = [answers_of(context, each, days) for each in deployment.challengers]
    shown = days[0]
    draws = allocate(deployment.sample, shown.population)
    return Preview(
        deployment=deployment.name,
        task=deployment.task,
        day=shown.window.day,
        days=len(days),
        period=deployment.policy.period,
        log_from=first,
        log_to=last,
        requests=shown.total,
        sampled=sum(draw.size for draw in draws),
        strata=len(draws),
        labels=_arrival(days),
        rows=_rows(deployment, shown, answers),
        problems=_problems(answers),
        unscored=[each.name for each in answers if sum(each.errors.values()) == each.rows],
        horizons=list(horizons(deployment, days, answers, gain)),
        days_there=_days_there(deployment, first, last),
        past_counts=deployment.policy.replay == "count",
        cost=_cost(deployment, shown, answers, sum(draw.size for draw in draws)),
        access=_access(context, shown),
    )


def _days(context: DeploymentContext, first: dt.date, newest: dt.date) -> list[PreviewedDay]:
    """Return up to DAYS days (or weeks) with requests, the newest first: it is the one that `newest` is in."""
    days = list(days_between(context.deployment, first, newest))
    return list(read_days(context, days[::-1][:DAYS]))


def _span(context: DeploymentContext) -> tuple[dt.date, dt.date]:
    """Return the first and the last whole day of the log."""
    requests = context.deployment.requests
    where = (requests.table, requests.conn_id, "requests.table")
    table = open_table(*where, context.connections, context.cloud, requests)
    span = table.span(requests.time)
    if span is None:
        raise SourceError(f"requests.table == {requests.table!r}, must have rows with a time in {requests.time}")
    first, last = (day_of(context.deployment, moment) for moment in span)
    is_over = window_of(context.deployment, last).end <= dt.datetime.now(dt.UTC)
    last = last if is_over and last == first else day_after(context.deployment, last, -1)
    return first, max(first, last)


def _arrival(days: Sequence[PreviewedDay]) -> LabelArrival:
    delays = np.concatenate([day.delays for day in days])
    late = delays[delays >= 0]
    return LabelArrival(
        requests=sum(day.requests.num_rows for day in days),
        labelled=sum(int(day.has_label.sum()) for day in days),
        invalid=sum(day.invalid for day in days),
        early=int((delays < 0).sum()),
        median_days=float(np.median(late)) if len(late) else None,
        most_days=float(np.quantile(late, 0.99)) if len(late) else None,
    )


def _rows(deployment: Deployment, day: PreviewedDay, answers: Sequence[ModelAnswers]) -> list[ScoredRow]:
    champion, ids = numbers(day.requests["champion"]), day.requests["request_id"]
    rows = []
    for number in range(min(SHOWN, day.requests.num_rows)):
        scored = {each.name: each.tables[0].slice(number, 1).to_pylist()[0] for each in answers if each.tables}
        label, logged = (_shown(deployment, float(each[number])) for each in (day.labels, champion))
        values = {name: _shown(deployment, each["value"]) for name, each in scored.items()}
        errors = {name: each["error"] for name, each in scored.items() if each["error"] is not None}
        rows.append(ScoredRow(str(ids[number]), label, logged, values, errors))
    return rows


def _shown(deployment: Deployment, value: float | None) -> float | str | None:
    """Return a number, or the class that it stands for."""
    if value is None or not np.isfinite(value):
        return None
    return deployment.classes[int(value)] if deployment.classes else value


def _problems(answers: Sequence[ModelAnswers]) -> dict[str, str]:
    """Return what is wrong with each challenger: it cannot be loaded, or fails on rows."""
    problems = {}
    for each in answers:
        if each.problem is not None:
            problems[each.name] = each.problem
        elif each.errors:
            text, count = max(each.errors.items(), key=lambda item: item[1])
            others = f" and {len(each.errors) - 1} other errors" if len(each.errors) > 1 else ""
            problems[each.name] = f"{count} of {each.rows} rows fail: {text}{others}"
    return problems


def _days_there(deployment: Deployment, first: dt.date, last: dt.date) -> int:
    """Return how many past days can be run at once: with labels, and where days count, begun after the training.

    Of the first days after it a challenger may have learned from labels: those of so many days as labels take.
    """
    begin, maturity = max(first, deployment.start), deployment.labels.maturity_days * _DAY
    ends = [each.trained_until for each in deployment.promotable if each.trained_until]
    if deployment.policy.replay == "count" and ends:
        begin = max(begin, max(ends) + max(maturity, _DAY))
    there = days_between(deployment, first_day_on(deployment, begin), last - maturity)
    return len(list(there)) * deployment.policy.days_per_period


def _cost(deployment: Deployment, day: PreviewedDay, answers: Sequence[ModelAnswers], sampled: int) -> DailyCost:
    calls: dict[str, int] = {}
    for challenger, model in zip(deployment.challengers, answers, strict=True):
        rows = (challenger.limits and challenger.limits.rows) or _CALL_ROWS
        calls |= {model.name: -(-sampled // rows)} if model.is_remote else {}
    buffer = io.BytesIO()
    pq.write_table(day.requests, buffer)
    return DailyCost(
        reading_seconds=day.seconds,
        scoring_seconds={each.name: each.milliseconds * sampled / 1000 for each in answers if each.milliseconds},
        calls=calls,
        snapshot_bytes=round(buffer.tell() * sampled / day.requests.num_rows),
        ledger_rows=sampled * (2 + len(answers)),
    )


def _access(context: DeploymentContext, day: PreviewedDay) -> dict[str, Access]:
    """Return how a run would find the requests of a day, and their labels."""
    requests = looked_up(context, day.requests)
    labels = context.label_source.access(requests, day.window.start, known_until(context, day.window))
    return {"requests": context.request_source.access(day.window), "labels": labels}
