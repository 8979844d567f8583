"""What a verdict consists of: an outcome, its reasons, and a finding for each rule and slice."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.metrics.slices import ALL

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Lately:
    """The mean differences since the `first` day and over the newest `days`, in the rule's unit.

    `held` and `holds` say on which side of the rule's bound they lie.
    """

    first: dt.date
    days: int
    since_first: float
    newest: float
    held: bool
    holds: bool


@dataclass(frozen=True)
class MissingLabels:
    """What requests without a label can do to a finding that passes.

    Attributes:
        share: of the requests, weighted by the inverse of their inclusion probability.
        at_most: what each of them loses at most, on average, in the metric's unit.
        holds: whether the finding passes whatever their labels are.
        tipping_point: the average loss of each up to which it passes; negative where each must gain that much; None
            where it `holds`, in slices, and where no loss is what tips it: days that differ more prove less.
    """

    share: float
    at_most: float
    holds: bool
    tipping_point: float | None = None


@dataclass(frozen=True)
class Finding:
    """The result of one rule on one slice.

    `champion` and `challenger` are the means of both over the days that count; None where there is none.
    `estimate` and the interval `lower` to `upper` are in the rule's unit: of the difference (champion minus challenger
    as losses) for rules that compare, of the challenger's value or its change for at_most and
    at_least, as shares of the champion's value where the rule is relative; None where nothing can be said yet.
    `alpha_pass` and `alpha_fail` are the error probabilities of the bounds toward passing and toward failing, None for
    a rule judged on daily values. `decided_on` is the first day on which the sequence had cleared the bound;
    `more_days` is the forecast of how many days it takes to decide an effect like the one seen so far. `unanswered` and
    `champion_missing` count the requests without a usable prediction of the challenger, and of the champion.
    `is_futile`: even the best that the interval allows would not pass within the horizon.
    `missing_labels` is None where every request has a label, and where nothing bounds what one without can change.
    """

    metric: str
    slice: str
    is_: str
    role: str
    outcome: Outcome
    bound: float
    reason: str
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    observations: int = 0
    requests: int = 0
    unanswered: int = 0
    champion_missing: int = 0
    alpha_pass: float | None = None
    alpha_fail: float | None = None
    decided_on: dt.date | None = None
    more_days: int | None = None
    missing_labels: MissingLabels | None = None
    is_futile: bool = False
    champion: float | None = None
    challenger: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the ledger stores it and `verdict --json` prints it."""
        plain = vars(self) | {
            "is": self.is_,
            "alpha": self.alpha_pass,
            "decided_on": str(self.decided_on) if self.decided_on else None,
            "missing_labels": asdict(self.missing_labels) if self.missing_labels else None,
        }
        del plain["is_"]
        return plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Finding":
        """Return the finding that `to_json` made; keys of another version are ignored."""
        keys = {field.name: field.name.removesuffix("_") for field in fields(cls)}
        known = {name: stored[key] for name, key in keys.items() if key in stored}
        day, missing = known.get("decided_on"), known.get("missing_labels")
        read = {"decided_on": dt.date.fromisoformat(day) if day else None}
        return cls(**known | read | {"missing_labels": MissingLabels(**missing) if missing else None})

    @property
    def has_interval(self) -> bool:
        """Whether it rests on a sequence that is past its burn-in."""
        return self.lower is not None or self.upper is not None

    @property
    def bounds(self) -> tuple[float, ...]:
        """What the interval is compared with, in order: one bound, or the two that `equivalent` lies between."""
        return (self.bound, -self.bound) if self.is_ == "equivalent" else (self.bound,)

    @property
    def is_blocking(self) -> bool:
        """Whether it decides, and is not just shown."""
        return self.role == "blocking"


@dataclass(frozen=True)
class Verdict:
    """One challenger on one day: the outcome, why it is not PASS where that is so, and a finding for each rule."""

    outcome: Outcome
    reasons: Sequence[str]
    findings: Sequence[Finding]


def findings_of(stored: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return stored findings as they were judged, in the order of the policy's rules."""
    return [Finding.from_json(row) for row in stored]


def with_rules(findings: Sequence[Finding], policy: Policy) -> Iterator[tuple[Rule, Finding]]:
    """Yield each finding with its rule: a rule's first finding is of all requests, those of its slices follow.

    What fits no rule of the policy, since it was judged by another, is left out.
    """
    number = -1
    for finding in findings:
        number += finding.slice == ALL
        rule = policy.rules[number] if 0 <= number < len(policy.rules) else None
        if rule is not None and (rule.metric, rule.is_, rule.role) == (finding.metric, finding.is_, finding.role):
            yield rule, finding
