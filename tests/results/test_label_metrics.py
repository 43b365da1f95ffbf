"""Scores of sets of labels and of numbers: by hand, by scikit-learn and by scipy."""

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics

from hf_tune.results.label_metrics import (
    MULTI_LABEL_NAMES,
    REGRESSION_NAMES,
    guess_label_sets,
    guess_mean,
    score_each_label,
    score_label_sets,
    score_numbers,
)


NAMES = ("red", "green", "blue")
TRUE = np.asarray([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]], dtype=np.float32)
LOG_ODDS = np.asarray([[2, -1, -3], [1, -2, 0.5], [-1, -1, -1], [3, 1, -2]], dtype=np.float32)
# Predicted, at or above one half: 1 0 0 / 1 0 1 / 0 0 0 / 1 1 0.
SETS = {"labels": TRUE, "log_odds": LOG_ODDS}


def draw_sets(rows: int = 200, labels: int = 5, unused: bool = False) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    true = (random.random((rows, labels)) < 0.3).astype(np.float32)
    true[:, 0] = 0 if unused else true[:, 0]
    log_odds = (random.normal(size=(rows, labels)) + true).astype(np.float32)
    log_odds[:, 0] = -9 if unused else log_odds[:, 0]
    return {"labels": true, "log_odds": log_odds}


def draw_numbers(rows: int = 200, ties: bool = False) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    labels = random.normal(2, 1, rows)
    labels = np.round(labels) if ties else labels
    return {
        "labels": labels.astype(np.float32),
        "values": (labels + random.normal(size=rows)).astype(np.float32),
    }


def test_scores_of_four_sets_are_those_worked_out_by_hand() -> None:
    scores = score_label_sets(SETS)
    # Over all cells 3 hits, 5 predicted, 4 true; red 2, 3, 2; green 1, 1, 2; blue 0, 1, 0.
    expected = {
        "f1_micro": 2 * 3 / (5 + 4),
        "f1_macro": (2 * 2 / 5 + 2 * 1 / 3 + 0) / 3,
        "precision_micro": 3 / 5,
        "recall_micro": 3 / 4,
        "subset_accuracy": 2 / 4,
        # Red: order 3 (wrong), 2, 1 → (1/2 + 2/3) / 2. Green: 1, then -1 twice wrong, then -2 → (1 + 2/4) / 2.
        "average_precision_macro": ((1 / 2 + 2 / 3) / 2 + (1 + 2 / 4) / 2) / 2,
    }
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)


def test_half_a_probability_is_a_label() -> None:
    kept = {"labels": np.ones((2, 1), np.float32), "log_odds": np.asarray([[0.0], [-1e-6]], np.float32)}
    assert score_label_sets(kept)["recall_micro"].value == 0.5


@pytest.mark.parametrize("unused", [False, True], ids=["all labels", "one without rows"])
def test_scores_of_sets_are_scikit_learns(unused: bool) -> None:
    kept = draw_sets(unused=unused)
    true, predicted = kept["labels"], kept["log_odds"] >= 0
    present = true.any(0)
    expected = {
        "f1_micro": metrics.f1_score(true, predicted, average="micro", zero_division=0),
        "f1_macro": metrics.f1_score(true, predicted, average="macro", zero_division=0),
        "precision_micro": metrics.precision_score(true, predicted, average="micro"),
        "recall_micro": metrics.recall_score(true, predicted, average="micro"),
        "subset_accuracy": metrics.accuracy_score(true, predicted),
        "average_precision_macro": np.mean(
            [
                metrics.average_precision_score(true[:, each], kept["log_odds"][:, each])
                for each in np.flatnonzero(present)
            ]
        ),
    }
    scores = score_label_sets(kept)
    assert tuple(scores) == MULTI_LABEL_NAMES
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)


def test_each_label_has_its_own_scores() -> None:
    rows = score_each_label(SETS, NAMES)
    assert [row["label"] for row in rows] == list(NAMES)
    columns = {name: [row[name] for row in rows] for name in ("precision", "recall", "f1", "rows")}
    assert columns["precision"] == pytest.approx([2 / 3, 1, 0])
    assert columns["recall"] == pytest.approx([1, 1 / 2, 0])
    assert columns["f1"] == pytest.approx([4 / 5, 2 / 3, 0])
    assert columns["rows"] == [2, 2, 0]


def test_the_scores_of_each_label_are_scikit_learns() -> None:
    kept = draw_sets(unused=True)
    rows = score_each_label(kept, list("abcde"))
    expected = metrics.precision_recall_fscore_support(kept["labels"], kept["log_odds"] >= 0, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "rows"), expected, strict=True):
        assert [row[name] for row in rows] == pytest.approx(column.tolist()), name


def test_a_single_label_has_scores_too() -> None:
    kept = {name: values[:, :1] for name, values in SETS.items()}
    assert [row["f1"] for row in score_each_label(kept, NAMES[:1])] == pytest.approx([4 / 5])
    scores = score_label_sets(kept)
    assert scores["f1_macro"].value == scores["f1_micro"].value == pytest.approx(4 / 5)
    assert scores["average_precision_macro"].value == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_rows_without_any_label_or_guess_have_scores() -> None:
    kept = {"labels": np.zeros((3, 2), np.float32), "log_odds": np.full((3, 2), -5, np.float32)}
    values = {name: score.value for name, score in score_label_sets(kept).items()}
    assert values == {**dict.fromkeys(MULTI_LABEL_NAMES, 0.0), "subset_accuracy": 1.0}
    assert score_each_label(kept, ("a", "b"))[1] == {"label": "b", "precision": 0, "recall": 0, "f1": 0, "rows": 0}


def test_scores_of_four_numbers_are_those_worked_out_by_hand() -> None:
    kept = {"labels": np.asarray([1, 2, 3, 4], np.float32), "values": np.asarray([1, 3, 2, 6], np.float32)}
    values = {name: score.value for name, score in score_numbers(kept).items()}
    # Errors 0, 1, -1, 2, their squares 6 in all. Ranks 1 3 2 4: 1 - 6 (0 + 1 + 1 + 0) / (4 · 15). About the means
    # 2.5 and 3: products 3 + 0 - 0.5 + 4.5 = 7, squares 5 and 14.
    expected = {
        "spearman": 1 - 6 * 2 / 60,
        "pearson": 7 / (5 * 14) ** 0.5,
        "rmse": (6 / 4) ** 0.5,
        "mae": 1.0,
        "r2": 1 - 6 / 5,
    }
    assert values == pytest.approx(expected)


@pytest.mark.parametrize("ties", [False, True])
def test_scores_of_numbers_are_scipys_and_scikit_learns(ties: bool) -> None:
    kept = draw_numbers(ties=ties)
    labels, values = kept["labels"].astype(np.float64), kept["values"].astype(np.float64)
    expected = {
        "spearman": scipy.stats.spearmanr(labels, values).statistic,
        "pearson": scipy.stats.pearsonr(labels, values).statistic,
        "rmse": metrics.root_mean_squared_error(labels, values),
        "mae": metrics.mean_absolute_error(labels, values),
        "r2": metrics.r2_score(labels, values),
    }
    scores = score_numbers(kept)
    assert tuple(scores) == REGRESSION_NAMES
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)


@pytest.mark.parametrize("constant", ["labels", "values"])
def test_a_side_that_does_not_vary_correlates_with_nothing(constant: str) -> None:
    kept = {**draw_numbers(50), constant: np.full(50, 0.1, np.float32)}
    scores = score_numbers(kept)
    assert scores["pearson"].value == pytest.approx(0, abs=1e-6) and scores["spearman"].value == 0
    assert all(np.isfinite([score.value, score.low, score.high]).all() for score in scores.values())


@pytest.mark.parametrize("kind", ["sets", "numbers"])
def test_intervals_surround_the_score(kind: str) -> None:
    scores = score_label_sets(draw_sets()) if kind == "sets" else score_numbers(draw_numbers())
    for name, score in scores.items():
        if name != "average_precision_macro":  # a number alone: slow to resample
            assert score.low is not None and score.high is not None
            assert score.low < score.value < score.high, name


def test_the_interval_of_a_mean_is_the_one_that_scipy_draws() -> None:
    sets, numbers = draw_sets(), draw_numbers()
    right = (sets["labels"] == (sets["log_odds"] >= 0)).all(1).astype(np.float64)
    errors = np.abs(numbers["labels"] - numbers["values"]).astype(np.float64)
    pairs = ((right, score_label_sets(sets)["subset_accuracy"]), (errors, score_numbers(numbers)["mae"]))
    for rows, score in pairs:
        drawn = scipy.stats.bootstrap((rows,), np.mean, n_resamples=2000, method="percentile", rng=1)
        low, high = drawn.confidence_interval
        assert score.low == pytest.approx(low, abs=0.15 * (high - low))
        assert score.high == pytest.approx(high, abs=0.15 * (high - low))


def test_guessing_answers_the_labels_of_most_train_rows() -> None:
    train = {"labels": np.asarray([[1, 1, 0], [1, 0, 0], [1, 1, 0]], np.float32)}
    guess = guess_label_sets(train, SETS, NAMES)
    # Red and green in all four rows: 8 guessed, 4 of them true, 4 true in all.
    assert guess == {"name": "commonest labels (red, green)", "metric": "f1_micro", "value": pytest.approx(8 / 12)}


def test_guessing_answers_the_commonest_label_where_none_is_in_most_rows() -> None:
    train = {"labels": np.asarray([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], np.float32)}
    guess = guess_label_sets(train, SETS, NAMES)
    assert guess == {"name": "commonest labels (green)", "metric": "f1_micro", "value": pytest.approx(2 * 2 / (4 + 4))}


def test_guessing_a_number_answers_the_mean_of_train() -> None:
    kept = {"labels": np.asarray([1, 3], np.float32), "values": np.zeros(2, np.float32)}
    guess = guess_mean({"labels": np.asarray([1, 2, 3, 6], np.float32)}, kept)
    assert guess == {"name": "mean label (3.000)", "metric": "rmse", "value": pytest.approx(2**0.5)}
