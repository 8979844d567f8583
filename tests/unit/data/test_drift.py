"""How far a day's features are from the first days': by hand, and beside the index that is kept of predictions."""

import math

import numpy as np
import pytest

from shadow_deployment.data.quality.drift import FeatureValues, drift_from, first_days, reference_of
from shadow_deployment.metrics.scores import Pairs, compute_scores


def numbers(*values: float, weight: float = 1.0, missing: float = 0.0) -> FeatureValues:
    return FeatureValues(np.array(values, float), np.full(len(values), weight), missing, len(values))


def texts(*values: str) -> FeatureValues:
    return FeatureValues(np.array(values, object), np.ones(len(values)), 0.0, len(values))


@pytest.mark.parametrize(("earlier", "days"), [(0, 0), (1, 1), (2, 1), (3, 2), (26, 13), (27, 14), (28, 14), (400, 14)])
def test_the_reference_is_the_first_fourteen_days_or_half_of_those_so_far(earlier: int, days: int) -> None:
    assert first_days(range(earlier)) == range(days)


def test_numbers_are_compared_in_bins_of_equal_weight() -> None:
    reference = reference_of("age", numbers(*range(100)))
    assert reference.ends == [9, 19, 29, 39, 49, 59, 69, 79, 89]
    assert reference.expected == pytest.approx([0.1] * 10)
    same = drift_from(reference, "age", numbers(*range(100), weight=7.0))
    assert same.psi == pytest.approx(0.0, abs=1e-12)
    lower_half = drift_from(reference, "age", numbers(*range(50)))
    assert lower_half.psi == pytest.approx(5 * 0.1 * math.log(2) + 5 * (0.1 - 1e-4) * math.log(0.1 / 1e-4))


def test_it_is_the_index_that_is_kept_of_predictions() -> None:
    random = np.random.default_rng(5)
    before, after, weight = random.random(400), random.beta(2, 3, 400), random.uniform(1, 9, 400)
    nothing = np.full(400, np.nan)
    pairs = Pairs(weight, before, after, nothing, nothing, nothing)
    kept = compute_scores(pairs, ["population_stability_index"], threshold=0.5)
    reference = reference_of("p", FeatureValues(before, weight, 0.0, 400))
    psi = drift_from(reference, "p", FeatureValues(after, weight, 0.0, 400)).psi
    assert psi == pytest.approx(kept["population_stability_index"][1])


def test_a_text_that_is_new_moves_the_index() -> None:
    reference = reference_of("plan", texts("a", "a", "a", "b"))
    assert reference.categories == ["a", "b"]
    assert reference.expected == [0.75, 0.25, 0.0]
    assert drift_from(reference, "plan", texts("a", "b", "a", "a")).psi == 0.0
    new = drift_from(reference, "plan", texts("a", "c", "a", "b"))
    assert new.psi == pytest.approx(0.25 * math.log(0.75 / 0.5) + (0.25 - 1e-4) * math.log(0.25 / 1e-4))


def test_of_very_many_texts_the_rare_ones_are_one_category() -> None:
    often = [f"often {number:03d}" for number in range(100)] * 9
    rare = [f"rare {number}" for number in range(100)]
    reference = reference_of("id", texts(*often, *rare))
    assert len(reference.categories or ()) == 100
    assert reference.expected[-1] == pytest.approx(0.1)
    assert drift_from(reference, "id", texts(*often, *(["never seen"] * 100))).psi == pytest.approx(0, abs=1e-9)


def test_without_values_or_of_another_type_there_is_no_index() -> None:
    reference = reference_of("age", numbers(1, 2, 3))
    assert drift_from(None, "age", numbers(1)).psi is None
    gone = drift_from(reference, "age", numbers(missing=1.0))
    assert (gone.psi, gone.missing) == (None, 1.0)
    assert drift_from(reference, "age", texts("one")).psi is None
    assert drift_from(reference_of("age", numbers(missing=1.0)), "age", numbers(1)).psi is None
