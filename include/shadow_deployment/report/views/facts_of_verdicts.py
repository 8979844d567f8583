"""What a page shows of verdicts: who stands how, rules, sequences and slices. See also `facts`."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Role = Literal["promotable", "a_a_check", "watched"]
Unit = Literal["difference", "value", "change", "share"]


@dataclass(frozen=True)
class ChampionFacts:
    """Who is champion: by a promotion, `number` and `since` and `approved_by` then known, or as the log says.

    `version` is "none" where no request was logged yet. `words` is all of it in one phrase.
    """

    name: str
    version: str
    by_promotion: bool
    words: str
    number: int | None = None
    since: dt.datetime | None = None
    approved_by: str | None = None


@dataclass(frozen=True)
class ChallengerLine:
    """How one challenger stands, in one line.

    `role`: "promotable", "a_a_check" (the champion against itself) or "watched" (a former champion, judged against the
    new one). `outcome`, `day` and `sentence` are of its newest verdict; `outcome` is None where it was never judged in
    this version and sampling design, and `sentence` says so. `decided_on` is the first day of the same outcome on the
    same terms, None while open. `days` of evidence and `requests` are those of the gate over days that has the most.
    `more_days` is in how many days the last open gate would be decided if days stay as they are; None where nothing is
    open (`waiting` is None too) or where waiting does not decide, and `waiting` then says why.
    """

    name: str
    version: str
    role: Role
    outcome: Outcome | None
    sentence: str
    day: dt.date | None
    decided_on: dt.date | None
    days: int
    requests: int
    more_days: int | None
    waiting: str | None


@dataclass(frozen=True)
class VerdictFacts:
    """The verdict shown: `sentence` in one sentence, `explanation` of many lines of plain text."""

    outcome: Outcome
    sentence: str
    day: dt.date
    decided_on: dt.date | None
    champion_version: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    explanation: str
    revision: int
    judged_at: dt.datetime


@dataclass(frozen=True)
class Scaled:
    """A finding on the scale that all rules share: 0 is the bound, above 0 the rule holds, and all lies in -1 to 1.

    `lower` and `upper` are ordered on this scale, so for at_most they are the other way round; None where the side is
    open. `estimate` is None where there is none yet.
    """

    lower: float | None
    estimate: float | None
    upper: float | None


@dataclass(frozen=True)
class RuleFacts:
    """One finding of the verdict: a rule in one slice.

    `text` is the rule in words. `unit` says what estimate, interval and bound are: "difference" (the champion's loss
    minus the challenger's, positive favours the challenger), "value" (the challenger's own), "change" (challenger minus
    champion), "share" (of the champion's value: of a difference or of a change); `unit_words` is that in words.
    `holds_above`: whether the rule holds above its bound (else below). An interval is None before the burn-in, and for
    a rule that is judged on daily values (`is_daily`). `observations` are days, weeks where the policy counts weeks.
    """

    text: str
    metric: str
    title: str
    slice: str
    is_: str
    role: Literal["blocking", "advisory"]
    outcome: Outcome
    reason: str
    bound: float
    estimate: float | None
    lower: float | None
    upper: float | None
    unit: Unit
    unit_words: str
    holds_above: bool
    is_daily: bool
    observations: int
    requests: int
    minimum_requests: int
    alpha_pass: float | None
    alpha_fail: float | None
    decided_on: dt.date | None
    more_days: int | None
    scaled: Scaled


@dataclass(frozen=True)
class SequenceFacts:
    """The confidence sequence of one gate in one slice, an entry an observation, in order; all of one length.

    `days` are days, or the last days of weeks where `per` is "week". `observed` is what each day alone says (the naive
    estimate), `mean` the running mean, `lower` and `upper` the interval that holds at all looks, None where none is
    given (before observation number `burn_in`, or while all days are alike). All in the rule's unit, as `bound`.
    `burn_in_end` is the day of the first bound that may be given, None before it. `decided_on` is as in the finding.
    `agrees`: whether the last point is the stored finding; False where evidence has changed since the verdict.
    """

    text: str
    metric: str
    title: str
    slice: str
    is_: str
    outcome: Outcome
    per: Literal["day", "week"]
    days: tuple[dt.date, ...]
    observed: tuple[float, ...]
    mean: tuple[float, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    bound: float
    unit: Unit
    unit_words: str
    holds_above: bool
    burn_in: int
    burn_in_end: dt.date | None
    decided_on: dt.date | None
    alpha_pass: float
    alpha_fail: float
    agrees: bool


@dataclass(frozen=True)
class SliceFacts:
    """One slice: mean daily difference of losses (positive favours the challenger) with its interval at all looks.

    `days` of evidence, `requests` are pairs. `worse`: the interval lies below 0; `better`: above.
    """

    name: str
    column: str
    value: str
    estimate: float
    lower: float | None
    upper: float | None
    days: int
    requests: int
    worse: bool
    better: bool


@dataclass(frozen=True)
class SlicesFacts:
    """Slices on one metric, worst estimate first; `overall` is all requests. `left_out` slices are not among them.

    The intervals have the error rates of the overall rule, one slice at a time: `alpha_lower` and `alpha_upper`.
    """

    metric: str
    title: str
    unit_words: str
    overall: SliceFacts | None
    slices: tuple[SliceFacts, ...]
    left_out: int
    alpha_lower: float
    alpha_upper: float
