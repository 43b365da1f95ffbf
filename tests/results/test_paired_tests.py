"""Differences of runs on the same rows: by hand, against scipy, and how often the interval holds."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn import metrics

from hf_tune.results.classification_metrics import CLASS_STATISTICS, score_classes
from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.label_metrics import NUMBER_STATISTICS, score_label_sets, score_numbers
from hf_tune.results.paired_tests import compare_hits, compare_statistic, tabulate_rows


def draw_hits(rows: int, random: np.random.Generator, won: float = 0.1, lost: float = 0.05) -> list[np.ndarray]:
    """Return which rows two runs hit; they differ on shares `won` and `lost` of them."""
    kind = random.choice(4, rows, p=[0.6, won, lost, 0.4 - won - lost])
    return [np.isin(kind, (0, 2)), np.isin(kind, (0, 1))]


def test_the_p_value_of_hits_is_that_of_the_rows_on_which_the_runs_differ() -> None:
    reference = np.asarray([True] * 10 + [False] * 8 + [True] * 2)
    other = np.asarray([True] * 10 + [True] * 8 + [False] * 2)
    found = compare_hits(reference, other)
    assert found.value == pytest.approx(6 / 20)
    assert found.p_value == pytest.approx(2 * sum(scipy.special.comb(10, k) for k in (0, 1, 2)) / 2**10)
    assert found.low < found.value < found.high


def test_runs_that_agree_on_few_rows_may_differ_and_on_many_do_not() -> None:
    few, many = (compare_hits(hits, hits) for hits in (np.ones(10, dtype=bool), np.ones(3000, dtype=bool)))
    assert few.p_value == many.p_value == 1.0
    assert few.low < -0.1 and -0.002 < many.low < 0 < many.high < 0.002


@pytest.mark.parametrize(("rows", "most"), [(20, 1.0), (400, 0.97)])
def test_the_interval_of_hits_holds_in_95_of_100_cases_and_in_more_with_few_rows(rows: int, most: float) -> None:
    random = np.random.default_rng(1)
    found = [compare_hits(*draw_hits(rows, random)) for _ in range(600)]
    assert 0.93 <= np.mean([each.low <= 0.05 <= each.high for each in found]) <= most


def draw_classes(rows: int, random: np.random.Generator, skill: float) -> dict[str, np.ndarray]:
    labels = np.arange(rows) % 3
    logits = random.normal(size=(rows, 3)) + skill * np.eye(3)[labels]
    kept = keep_classes(torch.tensor(logits), torch.tensor(labels))
    return {"labels": labels, **{name: value.numpy() for name, value in kept.items()}}


def test_the_statistics_of_rows_are_the_scores_of_each_kind() -> None:
    random = np.random.default_rng(0)
    classes = draw_classes(90, random, 1.0)
    true = (random.random((50, 4)) < 0.4).astype(np.float32)
    sets = {"labels": true, "log_odds": random.normal(size=(50, 4)) + true}
    numbers = {"labels": random.normal(size=50), "values": random.normal(size=50)}
    for kept, scores in (
        (classes, score_classes(classes, ("a", "b", "c"))),
        (sets, score_label_sets(sets)),
        (numbers, score_numbers(numbers)),
    ):
        table, statistics = tabulate_rows(kept)
        values = {name: statistic(table) for name, statistic in statistics.items()}
        assert values == pytest.approx({name: scores[name].value for name in statistics})
        assert len(statistics) >= 5


def test_a_class_that_no_resample_holds_does_not_count() -> None:
    table = np.asarray([[0.0, 0.0, 0.1], [2.0, 2.0, 0.1], [2.0, 0.0, 1.0]])
    assert CLASS_STATISTICS["f1_macro"](table) == pytest.approx(
        metrics.f1_score([0, 2, 2], [0, 2, 0], average="macro")
    )


@pytest.mark.parametrize("name", ["mae", "spearman"])
def test_a_better_run_is_told_from_an_equal_one(name: str) -> None:
    random = np.random.default_rng(2)
    labels = random.normal(size=120)
    tables = [np.stack([labels, labels + random.normal(size=120) * noise], axis=1) for noise in (1.0, 1.0, 0.3)]
    statistic: Callable[[np.ndarray], float] = NUMBER_STATISTICS[name]
    equal, better = (compare_statistic(tables[0], other, statistic) for other in tables[1:])
    assert better.p_value == pytest.approx(1 / 2001) and (better.low > 0) == (name == "spearman")
    assert better.low * better.high > 0 > equal.low * equal.high and equal.p_value > 0.05
    assert better.value == pytest.approx(statistic(tables[2]) - statistic(tables[0]))


def test_for_a_mean_it_is_the_sign_flip_test_of_scipy() -> None:
    random = np.random.default_rng(5)
    one, other = random.normal(size=(40, 1)), random.normal(0.3, 1, size=(40, 1))
    found = compare_statistic(one, other, lambda rows: float(rows.mean()))
    test = scipy.stats.permutation_test(
        (one[:, 0], other[:, 0]), lambda a, b: (b - a).mean(), permutation_type="samples", n_resamples=20000, rng=1
    )
    assert found.p_value == pytest.approx(test.pvalue, abs=0.03)
    bootstrap = scipy.stats.bootstrap(((other - one)[:, 0],), np.mean, method="percentile", rng=1)
    assert (found.low, found.high) == pytest.approx(bootstrap.confidence_interval, abs=0.05)


def test_equal_tables_do_not_differ() -> None:
    table = np.random.default_rng(0).normal(size=(30, 2))
    found = compare_statistic(table, table, NUMBER_STATISTICS["pearson"])
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)
