"""Scores of two classes on rows worked out by hand, and on random ones against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from hf_tune.results.classification_metrics import METRIC_NAMES, find_missing_metrics, score_classes, tabulate_classes
from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.record import as_json
from hf_tune.results.two_classes import ROW_STATISTICS, measure_auroc, name_positive, read_log_odds, score_two_classes
from hf_tune.task import Kept


def keep(logits: np.ndarray, labels: list[int] | np.ndarray) -> Kept:
    """Return what an evaluation keeps of logits."""
    true = torch.as_tensor(np.asarray(labels))
    kept = keep_classes(torch.as_tensor(np.asarray(logits), dtype=torch.float32), true)
    return {**{name: value.numpy() for name, value in kept.items()}, "labels": true.numpy()}


def keep_two(log_odds: list[float], labels: list[int]) -> Kept:
    """Return kept rows of two classes whose second has these log-odds."""
    return keep(np.stack([np.zeros(len(log_odds)), log_odds], axis=1), labels)


def test_five_rows_are_scored_as_by_hand() -> None:
    kept = keep_two([2.0, 1.0, -1.0, 0.5, -2.0], [1, 1, 1, 0, 0])
    scores = {name: score.value for name, score in score_two_classes(kept).items()}
    # Of six pairs of a positive and a negative row five are in order: -1 is below 0.5. Precision where the positive
    # rows are found, in the order 2, 1, 0.5, -1, -2: 1/1, 2/2, 3/4.
    expected = {"sensitivity": 2 / 3, "specificity": 1 / 2, "auroc": 5 / 6, "average_precision": (1 + 1 + 3 / 4) / 3}
    assert scores == pytest.approx(expected)


def test_random_rows_are_scored_as_by_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    log_odds = np.round(random.normal(labels, 1.5, 200), 1)  # with ties
    kept = keep_two(log_odds.tolist(), labels.tolist())
    scores = score_classes(kept, ("no", "yes"))
    order = read_log_odds(kept)
    assert order == pytest.approx(log_odds, abs=1e-5)
    answered = kept["top_labels"][:, 0]
    assert measure_auroc(log_odds, labels == 1) == pytest.approx(metrics.roc_auc_score(labels, log_odds))
    expected = {
        "sensitivity": metrics.recall_score(labels, answered),
        "specificity": metrics.recall_score(labels, answered, pos_label=0),
        "auroc": metrics.roc_auc_score(labels, order),
        "average_precision": metrics.average_precision_score(labels, order),
    }
    assert {name: scores[name].value for name in expected} == pytest.approx(expected)
    table = tabulate_classes(kept)
    assert {name: read(table) for name, read in ROW_STATISTICS.items()} == {
        name: scores[name].value for name in ROW_STATISTICS
    }
    for name in expected:
        assert (scores[name].low or 0) < scores[name].value < (scores[name].high or 1)


def test_a_sure_network_still_ranks_its_rows() -> None:
    """Of log-odds of 20 and 25 both probabilities are 1.0 in float32."""
    kept = keep_two([25.0, 20.0, 30.0], [1, 0, 1])
    assert np.exp(kept["top_log_probabilities"][:, 0]).tolist() == [1.0, 1.0, 1.0]
    assert score_two_classes(kept)["auroc"].value == 1.0


def test_a_split_of_one_class_has_no_auroc_and_says_none() -> None:
    scores = as_json(score_classes(keep_two([1.0, -1.0], [1, 1]), ("no", "yes")))
    assert scores["sensitivity"]["value"] == 0.5 and scores["average_precision"]["value"] == 1.0
    assert not {"auroc", "specificity"} & set(scores)


def test_macro_auroc_is_scikit_learns_and_its_interval_holds_what_bootstrap_finds() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 300)
    logits = random.normal(size=(300, 4)) + 1.2 * np.eye(4)[labels]
    kept = keep(logits, labels)
    score = score_classes(kept, "abcd")["auroc_macro"]
    probabilities = np.exp(np.take_along_axis(kept["top_log_probabilities"], kept["top_labels"].argsort(1), 1))

    def measure(rows: np.ndarray) -> float:
        each = [metrics.roc_auc_score(labels[rows] == number, probabilities[rows, number]) for number in range(4)]
        return float(np.mean(each))

    assert score.value == pytest.approx(measure(np.arange(300)), abs=1e-6)
    low, high = np.percentile([measure(random.integers(0, 300, 300)) for _ in range(100)], [2.5, 97.5])
    assert (score.low, score.high) == (pytest.approx(low, abs=0.012), pytest.approx(high, abs=0.012))


def test_macro_auroc_leaves_out_a_class_without_a_row() -> None:
    logits = np.asarray([[2.0, 0, 0], [1, 3, 0], [0, 2, 1], [3, 1, 0]])
    score = score_classes(keep(logits, [0, 1, 1, 0]), "abc")["auroc_macro"]
    assert score.value == 1.0  # both are ranked rightly; the third would be no number
    assert score.low is not None and score.low < 0.9 and score.high == 1.0


def test_top5_counts_the_five_most_probable() -> None:
    logits = np.arange(12.0)[None].repeat(4, 0)  # class 11 first, then 10 …
    scores = score_classes(keep(logits, [11, 7, 6, 0]), [str(each) for each in range(12)])
    assert scores["top5_accuracy"].value == 0.5 and scores["accuracy"].value == 0.25


@pytest.mark.parametrize(("classes", "extra"), [(2, 4), (3, 1), (10, 1), (11, 1)])
def test_the_names_that_are_missing_are_those_that_are_not_reported(classes: int, extra: int) -> None:
    labels = np.arange(40) % classes
    kept = keep(np.random.default_rng(0).normal(size=(40, classes)), labels)
    scores = score_classes(kept, [str(each) for each in range(classes)])
    missing = find_missing_metrics(classes)
    assert tuple(scores) == tuple(name for name in METRIC_NAMES if name not in missing) and len(scores) == 6 + extra


def test_the_second_of_two_classes_is_positive() -> None:
    assert name_positive(("ants", "bees"), {"accuracy": 1, "sensitivity": 1}) == "bees"
    assert name_positive(("ants", "bees"), {"accuracy": 1}) is None
    assert name_positive(("ants", "bees", "wasps"), {"sensitivity": 1}) is None


def test_rows_without_their_probabilities_have_no_log_odds() -> None:
    with pytest.raises(ValueError, match="two classes"):
        read_log_odds({"top_labels": np.asarray([[0]]), "labels": np.asarray([0])})
    scores = score_two_classes({"top_labels": np.asarray([[1], [0]]), "labels": np.asarray([1, 0])})
    assert {name: score.value for name, score in scores.items()} == {"sensitivity": 1.0, "specificity": 1.0}
