"""The tables of a page whose rows are chosen or computed: rules, disagreements and drift."""

from collections.abc import Callable, Sequence
from typing import Final

from shadow_deployment.base.numbers import NOTHING, count, number, percent, plural
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.decision.words.wording import in_slice, role_note
from shadow_deployment.report.analyses.decisions import who_was_right
from shadow_deployment.report.analyses.drift import DriftView
from shadow_deployment.report.charts.chart import ChartTable
from shadow_deployment.report.html.markup import badge, missing
from shadow_deployment.report.views import QuadrantsView, RuleView
from shadow_deployment.report.wording import capitalised, typeset

MOST_SLICES: Final = 20
MOST_DRIFTING: Final = 30
_RIGHT: Final = {"binary": "right at the threshold", "classes": "right", "value": "nearer to the label"}
_URGENCY: Final = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}


def rules(every: Sequence[RuleView], written: Callable[[str], str] = str, period: str = "day") -> ChartTable:
    """Return what each rule says: on all requests in the order of the policy, then in slices where it does not pass.

    `written` is how a reason is written, `period` what evidence has one entry of.
    """
    in_slices = [rule for rule in every if not rule.is_overall and rule.finding.outcome != "PASS"]
    ordered = sorted(in_slices, key=lambda rule: _URGENCY[rule.finding.outcome])[:MOST_SLICES]
    rows = [_rule(rule, written) for rule in (*(rule for rule in every if rule.is_overall), *ordered)]
    headings = ("rule", "outcome", "since the evidence of", f"{period}s", "requests", "why")
    return ChartTable(headings, rows, left=3, tail=1)


def _rule(rule: RuleView, written: Callable[[str], str]) -> tuple[str, ...]:
    finding = rule.finding
    return (
        f"{capitalised(rule.text)}{in_slice(finding.slice)}{role_note(finding.role)}",
        badge(finding.outcome),
        str(finding.decided_on or NOTHING),
        count(finding.observations),
        count(finding.requests),
        written(finding.reason),
    )


def disagreements(
    requests: Sequence[DisagreeingRequest], classes: Sequence[str], threshold: float | None = None, period: str = "day"
) -> ChartTable:
    """Return the requests on which the two differ most, by how much, and which of the two was right.

    `classes` are the names of several classes, `threshold` is that of a binary task.
    """

    def words(value: float) -> str:
        return classes[int(value)] if classes else typeset(f"{value:.4g}")

    rows = [
        (
            request.request_id or NOTHING,
            str(request.day),
            words(request.champion),
            words(request.challenger),
            *(() if classes else (number(request.challenger - request.champion, signed=True),)),
            missing("its label is not known") if request.label is None else words(request.label),
            who_was_right(request, threshold, is_class=bool(classes)) or missing("its label is not known"),
            ", ".join(f"{name}={value}" for name, value in request.slices.items()),
        )
        for request in requests
    ]
    difference = () if classes else ("difference",)
    headings = ("request", period, "champion", "challenger", *difference, "label", _RIGHT[_kind_of(threshold, classes)])
    return ChartTable((*headings, "slices"), rows, left=2, tail=1)


def _kind_of(threshold: float | None, classes: Sequence[str]) -> str:
    return "classes" if classes else "value" if threshold is None else "binary"


def disagreements_in_words(view: QuadrantsView) -> str:
    """Return how often which of the two was right, on the labelled requests on which they say yes and no."""
    differing = [row for row in view.rows if row.champion_yes != row.challenger_yes]
    labelled, right = sum(row.labelled for row in differing), sum(row.challenger_right for row in differing)
    at = f"at the threshold of {view.threshold:g}"
    if not labelled:
        return f"No labelled request has another decision of the two {at}."
    return (
        f"Of {plural(labelled, 'labelled request')} on which they disagree {at}, the challenger was right on "
        f"{count(right)} ({percent(right / labelled)}), the champion on {count(labelled - right)} "
        f"({percent(1 - right / labelled)})."
    )


def drift(view: DriftView) -> ChartTable:
    """Return the drift of each feature and of both models' predictions, those first that drift most."""
    rows = [
        (
            each.name,
            each.strength,
            number(each.lately, 3),
            number(next((value for value in reversed(each.values) if value is not None), None), 3),
            number(each.chance, 3),
            percent(each.reference_missing),
            percent(next((share for share in reversed(each.missing) if share is not None), None)),
            plural(sum(value is not None for value in each.values), view.period),
        )
        for each in view.series[:MOST_DRIFTING]
    ]
    headings = (
        "feature or predictions", "drift", "PSI lately", f"PSI, newest {view.period}", "PSI by chance, about",
        f"missing, first {view.period}s", f"missing, newest {view.period}", "kept",
    )  # fmt: skip
    return ChartTable(headings, rows, left=2)
