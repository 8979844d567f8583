"""Confusion matrices and sweeps beside scikit-learn, and who was right about one request."""

import datetime as dt

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_score, recall_score

from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.ledger.page import QuadrantRow
from shadow_deployment.report.analyses.decisions import Decisions, confusion, sweep, who_was_right
from shadow_deployment.report.html.tables import disagreements, disagreements_in_words
from shadow_deployment.report.views import PredictionBin, QuadrantsView
from tests.unit.report import figures

RANDOM = np.random.default_rng(3)
N = 600
LABEL = (RANDOM.random(N) < 0.4).astype(int)
WEIGHT = RANDOM.uniform(1, 8, N)
CHAMPION, CHALLENGER = (np.clip(0.3 * LABEL + RANDOM.random(N) * 0.7, 0, 0.999) for _ in range(2))


def a_quadrant(champion: bool, challenger: bool) -> QuadrantRow:
    inside = ((CHAMPION >= 0.5) == champion) & ((CHALLENGER >= 0.5) == challenger)
    weight, positive = float(WEIGHT[inside].sum()), inside & (LABEL == 1)
    day = dt.date(2024, 1, 1)
    return QuadrantRow(
        champion, challenger, int(inside.sum()), weight, int(inside.sum()), int(positive.sum()), weight,
        float(WEIGHT[positive].sum()), 1, day, day,
    )  # fmt: skip


QUADRANTS = [a_quadrant(champion, challenger) for champion in (True, False) for challenger in (True, False)]


@pytest.mark.parametrize("weighted", [True, False])
def test_a_confusion_matrix_is_that_of_scikit_learn(weighted: bool) -> None:
    weight = WEIGHT if weighted else None
    for model, predictions in (("champion", CHAMPION), ("challenger", CHALLENGER)):
        found = confusion(QUADRANTS, model, weighted=weighted)  # type: ignore[arg-type]
        expected = confusion_matrix(LABEL, predictions >= 0.5, sample_weight=weight).ravel()
        got = [found.true_negative, found.false_positive, found.false_negative, found.true_positive]
        assert got == pytest.approx(expected.tolist())
        assert found.precision == pytest.approx(precision_score(LABEL, predictions >= 0.5, sample_weight=weight))


def test_a_sweep_is_exact_at_the_lower_edge_of_every_bin() -> None:
    place = np.floor(CHALLENGER * 20).astype(int)
    bins = []
    for at in range(20):
        inside = place == at
        weight = float(WEIGHT[inside].sum())
        mean = float((WEIGHT * LABEL)[inside].sum() / weight) if weight else None
        bins.append(PredictionBin(labelled=int(inside.sum()), mean_label=mean, labelled_weight=weight))
    for at, found in enumerate(sweep(bins)):
        said = place >= at
        if said.any():
            assert found.precision == pytest.approx(precision_score(LABEL, said, sample_weight=WEIGHT))
        assert found.recall == pytest.approx(recall_score(LABEL, said, sample_weight=WEIGHT))
        assert found.accuracy == pytest.approx(accuracy_score(LABEL, said, sample_weight=WEIGHT))


def test_without_a_prediction_or_a_label_there_is_no_share() -> None:
    nothing = Decisions(0, 0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.accuracy) == (None, None, None)


def a_request(champion: float, challenger: float, label: float | None) -> DisagreeingRequest:
    return DisagreeingRequest(dt.date(2024, 1, 1), "r1", champion, challenger, label, {})


@pytest.mark.parametrize(
    ("champion", "challenger", "label", "threshold", "is_class", "right"),
    [
        (0.2, 0.5, 1.0, 0.5, False, "challenger"),
        (0.2, 0.5, 0.0, 0.5, False, "champion"),
        (0.6, 0.9, 1.0, 0.5, False, "both"),
        (0.6, 0.9, 0.0, 0.5, False, "neither"),
        (2.0, 1.0, 1.0, None, True, "challenger"),
        (2.0, 1.0, 0.0, None, True, "neither"),
        (10.0, 14.0, 11.0, None, False, "champion"),
        (10.0, 14.0, 12.0, None, False, "both"),
        (10.0, 14.0, None, None, False, None),
    ],
)
def test_who_was_right(
    champion: float, challenger: float, label: float | None, threshold: float | None, is_class: bool, right: str | None
) -> None:
    assert who_was_right(a_request(champion, challenger, label), threshold, is_class=is_class) == right


def test_the_table_of_disagreements_has_the_difference_and_who_was_right() -> None:
    table = disagreements([a_request(0.9, 0.25, 0.0), a_request(0.1, 0.7, None)], (), 0.5)
    assert list(table.headings)[2:7] == ["champion", "challenger", "difference", "label", "right at the threshold"]
    assert table.rows[0][2:7] == ("0.9", "0.25", "\N{MINUS SIGN}0.650", "0", "challenger")
    assert table.rows[1][4] == "+0.600"
    assert "its label is not known" in table.rows[1][6]
    of_classes = disagreements([a_request(0, 1, 1)], ("cat", "dog"))
    assert "difference" not in of_classes.headings
    assert of_classes.rows[0][2:6] == ("cat", "dog", "dog", "challenger")
    assert disagreements([a_request(10, 14, 11)], ()).headings[6] == "nearer to the label"


def test_the_totals_of_disagreements_are_those_of_the_labelled_requests() -> None:
    apart = (CHAMPION >= 0.5) != (CHALLENGER >= 0.5)
    right = int((apart & ((CHALLENGER >= 0.5) == (LABEL == 1))).sum())
    words = disagreements_in_words(QuadrantsView(0.5, tuple(QUADRANTS)))
    assert f"Of {apart.sum()}\xa0labelled requests on which they disagree at the threshold of 0.5" in words
    assert f"the challenger was right on {right} (" in words
    assert f"the champion on {apart.sum() - right} (" in words
    assert "No labelled request" in disagreements_in_words(QuadrantsView(0.5, figures.quadrants().rows[:1]))
