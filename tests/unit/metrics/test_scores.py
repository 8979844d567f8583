"""The scores against scikit-learn, scipy and numpy, and what is undefined."""

import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.metrics.scores import SCORES, Pairs, compute_scores
from tests.unit.metrics.days import (
    BINARY,
    DISTANCES,
    EXACT,
    LATENCIES,
    NAN,
    RATIOS,
    THRESHOLD,
    a_day,
    answers,
    columns,
    pairs,
)


@pytest.fixture(params=["continuous", "tied", "zeros and ones", "constant"])
def kind(request) -> str:
    return request.param


@pytest.fixture(params=["none", "whole", "random"])
def weights(request) -> str:
    return request.param


def sklearn_binary(name: str, label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    from sklearn import metrics

    if name in ("precision", "recall", "f1"):
        return getattr(metrics, f"{name}_score")(label, score >= THRESHOLD, sample_weight=weight)
    return getattr(metrics, f"{name}_score")(label, score, sample_weight=weight)


@pytest.mark.parametrize("name", [name for name in BINARY if name != "calibration_error"])
def test_binary_scores_agree_with_scikit_learn(name: str, kind: str, weights: str) -> None:
    day = a_day(kind, weights)
    both = pairs(day, label=True)
    value = SCORES[name](day, threshold=THRESHOLD if kind != "constant" else 0.2)
    if kind == "constant":
        expected = [sklearn_binary(name, both["label"], np.full_like(both["label"], 0.4), both["weight"])] * 2
    else:
        expected = [sklearn_binary(name, both["label"], both[m], both["weight"]) for m in ("champion", "challenger")]
    assert_allclose(value, [*expected, both["label"].size], **EXACT)


def test_r2_agrees_with_scikit_learn(weights: str) -> None:
    from sklearn.metrics import r2_score

    day = a_day("continuous", weights)
    label = day.label + 100 * np.nan_to_num(day.champion) + np.random.default_rng(1).standard_normal(day.label.size)
    day = Pairs(**{**columns(day), "label": label, "champion": 90 * day.champion, "challenger": 80 * day.challenger})
    both = pairs(day, label=True)
    expected = [r2_score(both["label"], both[m], sample_weight=both["weight"]) for m in ("champion", "challenger")]
    assert_allclose(SCORES["r2"](day), [*expected, both["label"].size], **EXACT)


def reference_calibration_error(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    error = 0.0
    for low in range(10):
        inside = (score >= low / 10) & ((score < (low + 1) / 10) | (low == 9))
        if inside.any():
            gap = np.average(label[inside], weights=weight[inside]) - np.average(score[inside], weights=weight[inside])
            error += weight[inside].sum() / weight.sum() * abs(gap)
    return error


def test_calibration_error_agrees_with_its_definition(kind: str, weights: str) -> None:
    day = a_day(kind, weights)
    both = pairs(day, label=True)
    expected = [reference_calibration_error(both["label"], both[m], both["weight"]) for m in ("champion", "challenger")]
    assert_allclose(SCORES["calibration_error"](day), [*expected, both["label"].size], **EXACT)


def test_calibration_error_agrees_with_the_calibration_curve_of_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    rng = np.random.default_rng(2)
    score = rng.beta(2, 3, 3000)
    label = (rng.random(3000) < score**1.5).astype(float)
    observed, predicted = calibration_curve(label, score, n_bins=10)
    sizes = np.histogram(score, bins=10, range=(0, 1))[0]
    expected = np.abs(observed - predicted) @ sizes[sizes > 0] / 3000
    assert_allclose(SCORES["calibration_error"](answers(score, score, label=label))[0], expected, **EXACT)


def test_a_calibration_bin_holds_its_lower_edge_and_the_last_both() -> None:
    edges = [0.0, 0.1, 0.3, 0.6, 0.7, 0.9, 1.0]
    inside = [0.05, 0.15, 0.35, 0.65, 0.75, 0.95, 0.95]
    label = [1, 0, 1, 0, 1, 0, 1]
    together = answers(edges + inside, edges + inside, label=label + label)
    both = pairs(together)
    expected = reference_calibration_error(both["label"], both["champion"], both["weight"])
    assert_allclose(SCORES["calibration_error"](together)[0], expected, **EXACT)
    just_below = answers([0.3, np.nextafter(0.3, 0)], [0.3, 0.3], label=[1, 0])
    assert_allclose(SCORES["calibration_error"](just_below)[:2], [0.5, 0.2], **EXACT)


@pytest.mark.parametrize("share", [50, 95, 99])
def test_latencies_and_their_ratio_agree_with_numpy(share: int, weights: str) -> None:
    day = a_day("tied", weights)
    both = pairs(day, latency=True)
    weight = None if weights == "none" else both["weight"]
    champion, challenger = (
        np.quantile(both[column], share / 100, method="inverted_cdf", weights=weight)
        for column in ("champion_latency_ms", "latency_ms")
    )
    n = both["weight"].size
    assert_allclose(SCORES[f"latency_p{share}"](day), [champion, challenger, n], **EXACT)
    assert_allclose(SCORES[f"latency_ratio_p{share}"](day), [1, challenger / champion, n], **EXACT)


@pytest.mark.parametrize("weight", [1.0, 0.1, 1 / 3])
def test_a_quantile_is_reached_although_the_summed_weights_carry_rounding(weight: float) -> None:
    latency = np.arange(1.0, 101.0)
    day = answers(latency, latency, weight=np.full(100, weight), champion_latency=latency, latency=latency[::-1])
    for share in (50, 95, 99):
        assert SCORES[f"latency_p{share}"](day) == (share, share, 100)


def test_kolmogorov_smirnov_agrees_with_scipy_on_as_many_equal_rows(kind: str) -> None:
    from scipy.stats import ks_2samp

    for weights in ("none", "whole"):
        day = a_day(kind, weights)
        both = pairs(day)
        times = both["weight"].astype(int)
        expected = ks_2samp(np.repeat(both["champion"], times), np.repeat(both["challenger"], times)).statistic
        assert_allclose(SCORES["kolmogorov_smirnov"](day), [0, expected, times.size], **EXACT)


def test_kolmogorov_smirnov_agrees_with_weighted_distribution_functions(kind: str) -> None:
    day = a_day(kind, "random")
    both = pairs(day)
    points = np.concatenate((both["champion"], both["challenger"]))
    share = {
        m: (both[m][None, :] <= points[:, None]) @ both["weight"] / both["weight"].sum()
        for m in ("champion", "challenger")
    }
    expected = np.abs(share["champion"] - share["challenger"]).max()
    assert_allclose(SCORES["kolmogorov_smirnov"](day)[1], expected, **EXACT)


def test_stability_index_agrees_with_numpy_bins_where_no_decile_is_tied(weights: str) -> None:
    day = a_day("continuous", weights)
    both = pairs(day)
    weight = both["weight"]
    deciles = np.quantile(both["champion"], np.arange(1, 10) / 10, method="inverted_cdf", weights=weight)
    shares = []
    for model in ("champion", "challenger"):
        bins = (both[model][:, None] > deciles).sum(axis=1)
        shares.append([max(weight[bins == b].sum() / weight.sum(), 1e-4) for b in range(10)])
    expected = sum((q - p) * math.log(q / p) for p, q in zip(*shares, strict=True))
    assert_allclose(SCORES["population_stability_index"](day), [0, expected, weight.size], **EXACT)


def stability(p: list[float], q: list[float]) -> float:
    return sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize(
    ("champion", "challenger", "p", "q"),
    [
        pytest.param([1, 2, 3, 4], [1, 1, 1, 4], [0.25] * 4, [0.75, 1e-4, 1e-4, 0.25], id="an emptied bin is floored"),
        pytest.param([5] * 4, [5, 5, 5, 9], [1, 1e-4], [0.75, 0.25], id="constant, moved up"),
        pytest.param([5] * 4, [5, 5, 5, 1], [1, 1e-4], [0.75, 0.25], id="constant, moved down"),
        pytest.param([0] * 6 + [1] * 4, [0] * 4 + [1] * 6, [0.6, 0.4], [0.4, 0.6], id="two values"),
        pytest.param([0] * 6 + [1] * 4, [0] * 4 + [0.5] * 2 + [1] * 4, [0.6, 1e-4], [0.4, 0.2], id="new in between"),
    ],
)
def test_stability_index_with_ties_by_hand(champion, challenger, p, q) -> None:
    value = SCORES["population_stability_index"](answers(champion, challenger))
    assert_allclose(value, [0, stability(p, q), len(champion)], **EXACT)


def test_more_bins_than_ten_can_be_asked_for() -> None:
    day = a_day("continuous")
    for name in ("calibration_error", "population_stability_index"):
        assert SCORES[name](day, bins=20)[1] > SCORES[name](day, bins=2)[1]


@pytest.mark.parametrize("name", list(SCORES))
def test_only_requests_that_count_for_both_models_are_measured(name: str) -> None:
    day = a_day()
    clean = Pairs(**pairs(day, label=name in (*BINARY, "r2"), latency=name in (*LATENCIES, *RATIOS)))
    assert clean.weight.size < day.weight.size
    assert SCORES[name](day) == SCORES[name](clean)
    assert SCORES[name](day)[2] == clean.weight.size


P = [0.2, 0.7, 0.9, 0.1]


@pytest.mark.parametrize(
    ("names", "day"),
    [
        pytest.param(SCORES, answers([], []), id="no requests"),
        pytest.param(SCORES, answers([0.2, NAN], [NAN, 0.3], label=[1, 0], latency=[1, 1]), id="no pairs"),
        pytest.param((*BINARY, "r2"), answers(P, P), id="no labels"),
        pytest.param(("roc_auc", "average_precision"), answers(P, P, label=[1] * 4), id="positives only"),
        pytest.param(("roc_auc", "average_precision", "recall"), answers(P, P, label=[0] * 4), id="negatives only"),
        pytest.param(("precision",), answers(P, [0.1] * 4, label=[0, 1, 1, 0]), id="challenger predicts no positive"),
        pytest.param(("precision",), answers([0.1] * 4, P, label=[0, 1, 1, 0]), id="champion predicts no positive"),
        pytest.param(
            ("f1",), answers([0.1] * 4, [0.2] * 4, label=[0] * 4), id="positives neither labelled nor predicted"
        ),
        pytest.param(BINARY, answers(P, P, label=[0, 1, 2, 0]), id="a label that is no class"),
        pytest.param(("calibration_error",), answers(P, [0.2, 0.7, 1.1, 0], label=[0, 1, 1, 0]), id="no probability"),
        pytest.param(
            ("r2",), answers([0, 0, 1], [1, 0, 1], label=[0.7] * 3, weight=[0.1, 0.2, 0.3]), id="constant label"
        ),
        pytest.param(("r2",), answers([1e200, 0], [1e200, 0], label=[1e200, 0]), id="squares that overflow"),
        pytest.param(("r2",), answers(P, [1, 2, 3, math.inf], label=P), id="an infinite answer"),
        pytest.param(
            (*LATENCIES, *RATIOS), answers(P, P, label=P, latency=[5] * 4), id="champion's latency not logged"
        ),
        pytest.param(RATIOS, answers(P, P, latency=[5] * 4, champion_latency=[0] * 4), id="champion's latency is 0"),
    ],
)
def test_what_is_undefined_is_none_and_left_out(names, day: Pairs) -> None:
    for name in names:
        assert SCORES[name](day) is None
    assert compute_scores(day, names, threshold=0.5) == {}


def test_zero_is_reported_where_it_is_the_value() -> None:
    day = answers([0.9, 0.1], [0.1, 0.9], label=[1, 0])
    assert SCORES["recall"](day) == (1, 0, 2)
    assert SCORES["precision"](day) == (1, 0, 2)
    assert SCORES["f1"](day) == (1, 0, 2)
    assert SCORES["roc_auc"](day) == (1, 0, 2)


def test_a_score_at_the_threshold_is_a_predicted_positive() -> None:
    day = answers([0.3, 0.3], [np.nextafter(0.3, 0), 0.3], label=[1, 1])
    assert SCORES["recall"](day, threshold=0.3) == (1, 0.5, 2)


def test_a_perfect_ranking_is_never_above_one() -> None:
    rng = np.random.default_rng(8)
    for n in range(2, 200):
        label = np.arange(n) >= n // 2
        day = answers(np.arange(n), np.arange(n), label=label, weight=rng.random(n) + 0.01)
        assert max(*SCORES["roc_auc"](day)[:2], *SCORES["average_precision"](day)[:2]) <= 1


def test_score_all_returns_what_each_score_returns_and_sorts_each_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    day = a_day()
    expected = {name: score(day, threshold=THRESHOLD) for name, score in SCORES.items()}
    sort, sorted_sizes = np.argsort, []
    monkeypatch.setattr(np, "argsort", lambda array: sorted_sizes.append(array.size) or sort(array))
    assert compute_scores(day, SCORES, threshold=THRESHOLD) == expected
    assert len(sorted_sizes) == 6  # both models' answers, their labelled answers and their latencies
    sorted_sizes.clear()
    compute_scores(Pairs(**pairs(day, label=True)), (*BINARY, *DISTANCES), threshold=THRESHOLD)
    assert len(sorted_sizes) == 2


def test_tasks() -> None:
    assert {name for name, score in SCORES.items() if score.tasks == {"binary"}} == set(BINARY)
    assert {name for name, score in SCORES.items() if score.tasks == {"regression"}} == {"r2"}
    both = {name for name, score in SCORES.items() if score.tasks == {"binary", "regression"}}
    assert both == {*DISTANCES, *LATENCIES, *RATIOS}


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match=r"^weight\[1\] == 0.0, must be finite and positive$"):
        answers([1, 2], [1, 2], weight=[1, 0])
    with pytest.raises(ValueError, match=r"^label.shape == \(1,\), must be one axis as long as weight$"):
        answers([1, 2], [1, 2], label=[1])
    with pytest.raises(ValueError, match=r"^score == 'auc', must be one of precision, .*roc_auc"):
        compute_scores(answers([1], [1]), ["auc"], threshold=0.5)
    with pytest.raises(ValueError, match=r"^threshold == nan, must be a number$"):
        compute_scores(answers([1], [1]), [], threshold=NAN)
    with pytest.raises(ValueError, match=r"^bins == 1, must be at least 2$"):
        compute_scores(answers([1], [1]), [], threshold=0.5, bins=1)


def test_integers_and_single_precision_are_computed_in_double() -> None:
    day = a_day(weights="whole")
    narrow = {name: column.astype(np.float32) for name, column in columns(day).items()}
    wide = Pairs(**{name: column.astype(np.float64) for name, column in narrow.items()})
    assert compute_scores(Pairs(**narrow), SCORES, threshold=0.5) == compute_scores(wide, SCORES, threshold=0.5)


def test_importing_the_scores_imports_neither_scipy_nor_scikit_learn() -> None:
    code = "import sys, shadow_deployment.metrics.scores; sys.exit(any(m in sys.modules for m in ('scipy', 'sklearn')))"
    subprocess.run([sys.executable, "-c", code], check=True)
