"""What two models decide of yes and no: confusion matrices, what other thresholds would decide, and who was right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.ledger.page import QuadrantRow
from shadow_deployment.report.views import PredictionBin

Model = Literal["champion", "challenger"]
Right = Literal["champion", "challenger", "both", "neither"]


@dataclass(frozen=True)
class Decisions:
    """Labelled requests by what was predicted and what came true: their number, or their weight."""

    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def precision(self) -> float | None:
        """The share of predicted positives that are positive; None without one."""
        return _share(self.true_positive, self.false_positive)

    @property
    def recall(self) -> float | None:
        """The share of positives that are predicted; None without one."""
        return _share(self.true_positive, self.false_negative)

    @property
    def accuracy(self) -> float | None:
        """The share that is predicted rightly; None without a request."""
        return _share(self.true_positive + self.true_negative, self.false_positive + self.false_negative)


def confusion(rows: Sequence[QuadrantRow], model: Model, *, weighted: bool) -> Decisions:
    """Return a model's decisions at the threshold of the quadrants, in numbers of requests or in weight."""
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for row in rows:
        labelled, positive = (
            (row.labelled_weight, row.positive_weight) if weighted else (float(row.labelled), float(row.positive))
        )
        decided = sums[row.champion_yes if model == "champion" else row.challenger_yes]
        decided[0] += positive
        decided[1] += labelled - positive
    return Decisions(*sums[True], *sums[False])


def sweep(bins: Sequence[PredictionBin]) -> list[Decisions]:
    """Return the decisions, in weight, at the lower edge of each bin: a prediction of at least that is a yes."""
    positive = [each.labelled_weight * (each.mean_label or 0.0) for each in bins]
    negative = [each.labelled_weight - weight for each, weight in zip(bins, positive, strict=True)]
    return [
        Decisions(sum(positive[edge:]), sum(negative[edge:]), sum(positive[:edge]), sum(negative[:edge]))
        for edge in range(len(bins))
    ]


def who_was_right(request: DisagreeingRequest, threshold: float | None, *, is_class: bool) -> Right | None:
    """Return which of the two was right; None without a label.

    With a threshold: on the label's side of it. A class: the label's. Else: nearer to the label.
    """
    label, answers = request.label, (request.champion, request.challenger)
    if label is None:
        return None
    if threshold is not None:
        champion, challenger = ((answer >= threshold) == (label == 1) for answer in answers)
    elif is_class:
        champion, challenger = (answer == label for answer in answers)
    else:
        nearest = min(abs(answer - label) for answer in answers)
        champion, challenger = (abs(answer - label) == nearest for answer in answers)
    if champion == challenger:
        return "both" if champion else "neither"
    return "champion" if champion else "challenger"


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0 else None
