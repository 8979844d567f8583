"""The words of the scorecard's cells, and sentences of verdicts in the page's own writing of numbers."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from markupsafe import Markup

from shadow_deployment.base.numbers import percent, plural, significant
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.report.html.markup import badge, state
from shadow_deployment.report.scorecard import ModelScore, ScoreRow
from shadow_deployment.report.status import ChallengerStatus
from shadow_deployment.report.views import ChallengerLine, DeploymentView, Unit
from shadow_deployment.report.wording import measure_of, typeset

_QUANTITIES: Final[Mapping[Unit, str]] = {
    "difference": "interval of the champion's loss minus the challenger's",
    "change": "interval of challenger minus champion",
    "share": "interval as a share of the champion's value",
    "value": "interval of the challenger's value",
}
_NUMBER: Final = re.compile(r"(?<![\w.\-])-?\d+\.\d+(?:e-?\d+)?(?![\w%]|\.\d)")


def value(row: ScoreRow, number: float) -> str:
    """Return a value; beside a mean squared error its root, which has the label's unit."""
    root = f" (RMSE {significant(math.sqrt(number))})" if row.metric == "squared_error" and number >= 0 else ""
    return row.measure.say(number, row.places) + root


def change(score: ModelScore) -> str:
    """Return a change as a share of the champion's value, with its sign."""
    return measure_of("", "share").say(score.change, 1, signed=True)


def interval(row: ScoreRow, finding: Finding) -> str:
    """Return an interval, all of a row with as many decimals."""
    return row.interval_measure.interval(finding.lower, finding.upper, row.interval_places)


def level(score: ModelScore) -> str:
    """Return the level at which the interval of a score holds."""
    return percent(score.level)


def outcome(line: ChallengerLine, score: ModelScore) -> Markup:
    """Return what a rule says of a challenger; of the A/A check, which shall not differ, that it does not."""
    verdict = score.finding.outcome if score.finding else None
    if line.role == "a_a_check" and verdict == "INCONCLUSIVE" and not score.shown:
        return state(ChallengerStatus("as_expected", "", ""), short=True)
    return badge(verdict)


def quantity(row: ScoreRow) -> str:
    """Return what a row's interval is of; nothing where it has a daily value or no rule."""
    return "" if row.rule is None or row.rule.is_daily else _QUANTITIES[row.unit]


def bound(row: ScoreRow) -> str:
    """Return the bounds of a row's rule, nothing without one."""
    if row.rule is None:
        return ""
    bounds = row.rule.finding.bounds
    shown = " and ".join(map(row.interval_measure.exact, bounds))
    return f"bound{'s' if len(bounds) > 1 else ''}\N{NO-BREAK SPACE}{shown}"


def no_interval(finding: Finding) -> str:
    """Return why there is no interval, in a few words."""
    return "no difference on any day" if finding.estimate == 0 else "no interval yet"


def slices(row: ScoreRow, column: int) -> str:
    """Return how many slices a rule has, and how many of them do not pass for the challenger of a column."""
    scores = [part.scores[column] for part in row.slices]
    outcomes = [score.finding.outcome for score in scores if score and score.finding]
    not_passing = sum(outcome != "PASS" for outcome in outcomes)
    return f"{plural(len(row.slices), 'slice')}, {f'{not_passing} not passing' if not_passing else 'all pass'}"


def writer(view: DeploymentView) -> Callable[[str], str]:
    """Return how a verdict's sentence is written on the page: its numbers as the scorecard writes them.

    A finding's reason has that finding's numbers alone: another rule may write the same number in another unit.
    """
    every: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    card = view.scorecard
    if card is not None and view.challenger in card.columns:
        column = card.columns.index(view.challenger)
        for row in (each for top in card.rows for each in (top, *top.slices)):
            score = row.scores[column]
            if score and score.finding:
                own[score.finding.reason] = _written(row, score.finding)
                every |= own[score.finding.reason]

    def written(text: str) -> str:
        known = own.get(text, every)
        return typeset(_NUMBER.sub(lambda match: known.get(match[0], match[0]), text))

    return written


def _written(row: ScoreRow, finding: Finding) -> dict[str, str]:
    """Return how the numbers of a finding's reason are written: an interval, or a daily value and its bound."""
    measure = row.interval_measure
    if finding.has_interval:
        sides = (finding.lower, finding.estimate, finding.upper)
        return {significant(side): measure.say(side, row.interval_places) for side in sides if side is not None}
    if measure.factor == 1 or row.rule is None or not row.rule.is_daily or finding.estimate is None:
        return {}
    return {
        significant(finding.bound): measure.exact(finding.bound),
        significant(finding.estimate): measure.say(finding.estimate, row.places),
    }
