"""The scorecard: the rules and the other kept metrics as rows, all challengers that were judged as columns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Rule
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.metrics.catalog import METRICS, Metric
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.queries.rules import rule_view
from shadow_deployment.report.queries.scorecard.evidence import JudgedEvidence
from shadow_deployment.report.scorecard import Group, ModelScore, Scorecard, ScoreRow
from shadow_deployment.report.views import ChallengerLine, Role
from shadow_deployment.report.wording import LATENCY_NOTE, capitalised

MOST_SLICES: Final = 60
_ORDER: Final[tuple[Role, ...]] = ("promotable", "watched", "a_a_check")

FindingsByRule = Mapping[tuple[str, str], tuple[Rule, Finding]]  # by the spelling of a rule and its slice


@dataclass(frozen=True)
class _Column:
    """One challenger: its evidence, and its findings by rule and slice."""

    judged: JudgedEvidence
    findings: FindingsByRule

    def series(self, metric: str, name: str = ALL) -> Series | None:
        series = self.judged.evidence.get((metric, name))
        return series.weighed(self.judged.policy) if series is not None and series.days else None


def scorecard(deployment: Deployment, every: Sequence[JudgedEvidence], shown: ChallengerLine) -> Scorecard:
    """Return the scorecard of all challengers that were judged; the champion's values are on the days of `shown`."""
    ordered = sorted(every, key=lambda judged: _ORDER.index(judged.line.role))
    columns = [_Column(judged, _by_rule(judged.findings)) for judged in ordered]
    own = next(column for column in columns if column.judged.line == shown)
    rules = {rule.spelling: rule for column in [own, *columns] for rule in column.judged.policy.rules}
    rows = [_of_rule(rule, columns, own) for rule in rules.values()]
    named = {rule.metric for rule in rules.values()}
    rows += [_of_metric(deployment.catalog[name], columns, own) for name in deployment.tracked if name not in named]
    days = own.judged.compared.days
    return Scorecard(
        columns=tuple(column.judged.line for column in columns),
        rows=tuple(row for row in rows if any(row.scores)),
        first=days[0].day if days else None,
        last=days[-1].day if days else None,
        other_days=tuple(column.judged.line.name for column in columns if _days(column) != _days(own)),
    )


def _days(column: _Column) -> list[object]:
    return [snapshot.day for snapshot in column.judged.compared.days]


def _by_rule(findings: Iterable[tuple[Rule, Finding]]) -> dict[tuple[str, str], tuple[Rule, Finding]]:
    return {(rule.spelling, finding.slice): (rule, finding) for rule, finding in findings}


def _of_rule(rule: Rule, columns: Sequence[_Column], own: _Column) -> ScoreRow:
    """Return the row of a rule with those of its slices below it."""
    names = dict.fromkeys(
        name for column in [own, *columns] for spelt, name in column.findings if spelt == rule.spelling
    )
    slices = [_rule_in_slice(rule, name, columns, own) for name in names if name != ALL][:MOST_SLICES]
    return replace(_rule_in_slice(rule, ALL, columns, own), slices=tuple(slices))


def _rule_in_slice(rule: Rule, name: str, columns: Sequence[_Column], own: _Column) -> ScoreRow:
    scores = [_judged_score(rule, name, column) for column in columns]
    finding = next((score.finding for score in scores if score and score.finding), None)
    row = _row(rule.definition, rule.role, scores, columns, own)
    if finding is None:
        return row
    series = own.series(rule.metric, name)
    what = f"on {series.days[-1]}" if rule.is_daily and series else row.what
    view = rule_view(rule, finding)
    return replace(row, title=capitalised(view.text), slice=name, rule=view, what=what)


def _judged_score(rule: Rule, name: str, column: _Column) -> ModelScore | None:
    """Return the score of a rule in a slice: of a daily one that of the newest day, else the mean over all days."""
    _, finding = column.findings.get((rule.spelling, name), (None, None))
    score = _score(rule.definition, column, name, is_daily=rule.is_daily)
    return ModelScore(None, None, finding) if score is None and finding else score and replace(score, finding=finding)


def _of_metric(metric: Metric, columns: Sequence[_Column], own: _Column) -> ScoreRow:
    """Return the row of a metric that no rule names."""
    return _row(metric, "other", [_score(metric, column, ALL) for column in columns], columns, own)


def _score(metric: Metric, column: _Column, name: str, *, is_daily: bool = False) -> ModelScore | None:
    """Return both models' values; the A/A check repeats the log, so that it takes no time of its own."""
    series, is_latency = column.series(metric.name, name), metric.name.startswith("latency_")
    if series is None or (is_latency and column.judged.line.role == "a_a_check"):
        return None
    champion, challenger = (float(series.champion[-1]), float(series.challenger[-1])) if is_daily else series.means
    own = _finite(champion) if metric.compares else None
    return ModelScore(_finite(challenger), own, compares=not is_latency)


def _row(
    metric: Metric, group: Group, scores: Sequence[ModelScore | None], columns: Sequence[_Column], own: _Column
) -> ScoreRow:
    mine = scores[columns.index(own)] or next(filter(None, scores), None)
    return ScoreRow(
        metric=metric.name,
        title=capitalised(metric.title.removesuffix(", ms")),
        group=group,
        scores=tuple(scores),
        champion=mine.champion if mine else None,
        what="" if metric.is_sum or metric.name not in METRICS else f"mean of the {own.judged.line.period}s' values",
        note=LATENCY_NOTE if metric.name.startswith("latency_") else "",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
