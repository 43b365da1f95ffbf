"""Scores of six rows worked out by hand, and of many random ones against scikit-learn."""

import math
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics

from hf_tune.results.classification_metrics import (
    METRIC_NAMES,
    format_classes,
    score_classes,
    score_each_class,
    score_majority,
)


LABELS = [0, 0, 0, 1, 1, 2]
PREDICTED = [0, 0, 1, 1, 1, 0]  # confusion: 2 1 0 / 0 2 0 / 1 0 0
NAMES = ("red", "green", "blue")


def keep(labels: list[int] | np.ndarray, predicted: list[int] | np.ndarray, classes: int = 3) -> dict[str, np.ndarray]:
    """Return kept rows whose predicted class has probability one half, the others sharing the rest."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    probability = np.where(labels == predicted, 0.5, 0.5 / (classes - 1))
    return {"labels": labels, "top_labels": predicted[:, None], "label_log_probability": np.log(probability)}


def test_scores_of_six_rows_are_those_worked_out_by_hand() -> None:
    scores = score_classes(keep(LABELS, PREDICTED), NAMES)
    expected = {
        "accuracy": 4 / 6,
        "precision_macro": (2 / 3 + 2 / 3 + 0) / 3,
        "recall_macro": (2 / 3 + 1 + 0) / 3,
        "f1_macro": (2 / 3 + 4 / 5 + 0) / 3,
        "f1_weighted": (3 * 2 / 3 + 2 * 4 / 5) / 6,
        "log_loss": (4 * math.log(2) + 2 * math.log(4)) / 6,
    }
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)


@pytest.mark.parametrize("present", [5, 4])
def test_scores_are_scikit_learns_also_where_a_class_has_no_row(present: int) -> None:
    random = np.random.default_rng(present)
    labels, predicted = random.integers(0, present, 300), random.integers(0, present, 300)
    scores = score_classes(keep(labels, predicted, 5), list("abcde"))
    expected = {"accuracy": metrics.accuracy_score(labels, predicted)}
    for name, function in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
        expected[f"{name}_macro"] = function(labels, predicted, average="macro", zero_division=0)
    for average in ("macro", "weighted"):
        expected[f"f1_{average}"] = metrics.f1_score(labels, predicted, average=average, zero_division=0)
    assert {name: scores[name].value for name in expected} == pytest.approx(expected)


def test_every_name_is_reported_with_an_interval_around_its_value() -> None:
    scores = score_classes(keep(LABELS * 20, PREDICTED * 20), NAMES)
    assert tuple(scores) == METRIC_NAMES[:6]  # without all probabilities nothing is ranked
    for name, score in scores.items():
        assert score.low is not None and score.high is not None
        assert score.low < score.value < score.high, name


def test_each_class_has_its_own_scores() -> None:
    rows = score_each_class(keep(LABELS, PREDICTED), NAMES)
    assert [row["label"] for row in rows] == list(NAMES)
    columns = {name: [row[name] for row in rows] for name in ("precision", "recall", "f1", "rows")}
    assert columns["precision"] == pytest.approx([2 / 3, 2 / 3, 0])
    assert columns["recall"] == pytest.approx([2 / 3, 1, 0])
    assert columns["f1"] == pytest.approx([2 / 3, 4 / 5, 0])
    assert columns["rows"] == [3, 2, 1]


def test_rows_are_counted_in_whole_numbers_where_no_row_is_right() -> None:
    """scikit-learn 1.9 gives the support as float then, and the card said 4.0 rows."""
    rows = score_each_class(keep([0, 0, 0, 0, 1], [1, 1, 1, 1, 0]), NAMES)
    assert [repr(row["rows"]) for row in rows] == ["4", "1", "0"]
    assert "| red | 0.000 | 0.000 | 0.000 | 4 |" in format_classes(rows)


def test_the_majority_is_that_of_train_and_its_accuracy_that_of_the_split() -> None:
    train = {"labels": np.array([1, 1, 0, 2])}
    baseline = score_majority(train, keep(LABELS, PREDICTED), NAMES)
    assert baseline == {"name": "majority class (green)", "metric": "accuracy", "value": pytest.approx(2 / 6)}


def test_scores_wait_neither_for_evaluate_nor_for_scikit_learn() -> None:
    """evaluate 0.4.6 imports all its evaluators and SciPy's statistics with itself."""
    code = "import sys, hf_tune.results.classification_metrics; print({'evaluate', 'sklearn'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
