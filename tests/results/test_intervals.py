"""Intervals against formulas worked out by hand and quantiles of scipy."""

import numpy as np
import pytest
from scipy.stats import binom

from hf_tune.results.intervals import score_auroc, score_confusion, score_mean, score_proportion, score_share


def share_of_hits(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return hits.sum(1) / true.sum(1)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (8, 10, 0.490162, 0.943318),  # (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.959964
        (0, 5, 0.0, 0.434482),  # z² / (n + z²)
        (5, 5, 0.565518, 1.0),
    ],
)
def test_a_share_has_its_wilson_interval(hits: int, count: int, low: float, high: float) -> None:
    score = score_proportion(hits, count)
    assert score.value == hits / count
    assert (score.low, score.high) == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))


def test_a_share_that_is_not_of_whole_rows_has_wilsons_interval_too() -> None:
    whole, share = score_proportion(8, 10), score_share(0.8, 10)
    assert (share.low, share.high) == (pytest.approx(whole.low, abs=1e-6), pytest.approx(whole.high, abs=1e-6))
    assert np.isnan(score_share(0.5, 0).value) and score_share(1.0, 5).low == pytest.approx(0.565518, abs=1e-5)


@pytest.mark.parametrize(("value", "positive", "negative"), [(0.8, 20, 30), (0.3, 7, 4), (0.95, 100, 80)])
def test_an_area_has_newcombes_interval(value: float, positive: int, negative: int) -> None:
    """At its ends (A - value)² is z² times the variance of Hanley and McNeil with (m + n) / 2 - 1 for both counts."""
    score = score_auroc(value, positive, negative)
    for end in (score.low, score.high):
        assert end is not None
        rest = (positive + negative) / 2 - 1
        spread = end * (1 - end) * (1 + rest * (1 - end) / (2 - end) + rest * end / (1 + end)) / positive / negative
        assert (end - value) ** 2 == pytest.approx(1.959964**2 * spread, rel=1e-6)
    assert score.low is not None and score.high is not None and 0 < score.low < value < score.high < 1


def test_a_perfect_ranking_of_few_rows_is_not_sure() -> None:
    """Of 5 and 5 rows: 1 - A = z² A (1 + 4 (1 - A) / (2 - A) + 4 A / (1 + A)) / 25."""
    score = score_auroc(1.0, 5, 5)
    assert score.high == 1.0 and score.low is not None
    low = score.low
    assert 1 - low == pytest.approx(1.959964**2 * low * (1 + 4 * (1 - low) / (2 - low) + 4 * low / (1 + low)) / 25)
    assert low < 0.75 and score_auroc(0.0, 5, 5).low == 0.0
    assert score_auroc(0.0, 5, 5).high == pytest.approx(1 - low) and np.isnan(score_auroc(0.5, 0, 5).value)


def test_a_mean_of_many_rows_has_its_normal_interval() -> None:
    values = np.random.default_rng(5).normal(2.0, 1.0, 4000)
    score = score_mean(values)
    half = 1.96 * values.std(ddof=1) / 4000**0.5
    assert score.value == pytest.approx(values.mean())
    assert score.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert score.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_interval_of_a_skewed_loss_does_not_reach_below_zero() -> None:
    score = score_mean(np.array([0.0] * 39 + [4.0]))  # normal: 0.1 - 0.196
    assert score.low is not None and 0 <= score.low < 0.1 < (score.high or 0)


def test_the_mean_of_one_row_has_no_interval() -> None:
    score = score_mean(np.array([0.7]))
    assert (score.value, score.low, score.high) == (0.7, None, None)


def test_the_bootstrap_of_a_share_gives_the_binomials_quantiles() -> None:
    score = score_confusion(np.array([[150, 40], [60, 150]]), share_of_hits)
    low, high = binom.ppf([0.025, 0.975], 400, 0.75) / 400
    assert score.value == 0.75
    assert (score.low, score.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_a_perfect_confusion_has_no_width() -> None:
    score = score_confusion(np.diag([3, 4, 5]), share_of_hits)
    assert (score.value, score.low, score.high) == (1.0, 1.0, 1.0)


def test_the_bootstrap_is_the_same_each_time_and_leaves_the_global_generator_alone() -> None:
    before = np.random.get_state()[1].copy()
    confusion = np.array([[5, 2], [1, 9]])
    assert score_confusion(confusion, share_of_hits) == score_confusion(confusion, share_of_hits)
    assert (np.random.get_state()[1] == before).all()
