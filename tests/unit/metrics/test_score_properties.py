"""What holds of the scores of any day: order, scale, repeated rows, ranges."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from shadow_deployment.metrics.scores import SCORES, Pairs, compute_scores
from tests.unit.metrics.days import BINARY, DISTANCES, NAN, THRESHOLD, columns

ROW = st.tuples(
    st.floats(0.01, 100),
    *[st.one_of(st.just(NAN), st.integers(0, 16).map(lambda k: k / 16), st.integers(0, 16).map(lambda k: k / 16))] * 2,
    st.sampled_from([NAN, 0.0, 1.0, 0.0, 1.0]),
    *[st.one_of(st.just(NAN), st.integers(1, 30).map(float))] * 2,
)
DAYS = st.lists(ROW, min_size=1, max_size=30).map(lambda rows: Pairs(*np.array(rows).T))
whatever_the_day = settings(max_examples=60)


def assert_same(left: Pairs, right: Pairs, *, same_pairs: bool = True) -> None:
    first, second = (compute_scores(day, SCORES, threshold=THRESHOLD) for day in (left, right))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert_allclose(second[name][:2], value[:2], rtol=1e-12, atol=1e-12, err_msg=name)
        assert not same_pairs or second[name][2] == value[2]


@given(DAYS, st.randoms(use_true_random=False))
@whatever_the_day
def test_the_order_of_rows_changes_nothing(day: Pairs, random) -> None:
    order = list(range(day.weight.size))
    random.shuffle(order)
    assert_same(day, Pairs(**{name: column[order] for name, column in columns(day).items()}))


@given(DAYS, st.floats(1e-3, 1e6))
@whatever_the_day
def test_the_scale_of_the_weights_changes_nothing(day: Pairs, scale: float) -> None:
    assert_same(day, Pairs(**{**columns(day), "weight": day.weight * scale}))


@given(DAYS, st.data())
@whatever_the_day
def test_a_row_twice_counts_as_a_row_of_twice_the_weight(day: Pairs, data) -> None:
    row = data.draw(st.integers(0, day.weight.size - 1))
    twice = Pairs(**{name: np.append(column, column[row]) for name, column in columns(day).items()})
    weight = day.weight.copy()
    weight[row] *= 2
    assert_same(twice, Pairs(**{**columns(day), "weight": weight}), same_pairs=False)


@given(DAYS)
@whatever_the_day
def test_turning_the_scores_round_turns_the_roc_auc_round(day: Pairs) -> None:
    turned = Pairs(**{**columns(day), "champion": 1 - day.champion, "challenger": 1 - day.challenger})
    value, other = SCORES["roc_auc"](day), SCORES["roc_auc"](turned)
    assert (value is None) == (other is None)
    if value is not None:
        assert_allclose(np.add(value[:2], other[:2]), 1, rtol=1e-12)


@given(DAYS)
@whatever_the_day
def test_identical_models_have_identical_values_and_no_distance(day: Pairs) -> None:
    same = {**columns(day), "challenger": day.champion, "latency_ms": day.champion_latency_ms}
    for name, (champion, challenger, _) in compute_scores(Pairs(**same), SCORES, threshold=THRESHOLD).items():
        assert champion == challenger, name
        if name in DISTANCES:
            assert challenger == 0


@given(DAYS)
@whatever_the_day
def test_every_value_is_in_its_range(day: Pairs) -> None:
    for name, (champion, challenger, count) in compute_scores(day, SCORES, threshold=THRESHOLD).items():
        assert 1 <= count <= day.weight.size
        assert math.isfinite(champion)
        assert math.isfinite(challenger)
        if name in (*BINARY, "kolmogorov_smirnov"):
            assert min(champion, challenger) >= 0
            assert max(champion, challenger) <= 1 + 1e-12
        if name == "population_stability_index":
            assert challenger >= 0
