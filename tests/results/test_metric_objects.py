"""The metrics as objects of `evaluate`, of six rows worked out by hand."""

import math

import evaluate
import pytest

from hf_tune.results.metric_objects import F1, Accuracy, ConfusionMatrix, LogLoss, Precision, Recall


LABELS = [0, 0, 0, 1, 1, 2]
PREDICTED = [0, 0, 1, 1, 1, 0]  # confusion: 2 1 0 / 0 2 0 / 1 0 0


def test_the_metrics_compute_without_network() -> None:
    given = {"predictions": PREDICTED, "references": LABELS}
    assert Accuracy().compute(**given)["accuracy"] == pytest.approx(4 / 6)
    assert Precision().compute(**given)["precision"] == pytest.approx(4 / 9)
    assert Recall().compute(**given)["recall"] == pytest.approx(5 / 9)
    assert F1().compute(**given, average=None)["f1"] == pytest.approx([2 / 3, 4 / 5, 0])
    assert ConfusionMatrix().compute(**given, num_classes=4)["confusion_matrix"] == [
        [2, 1, 0, 0],
        [0, 2, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_log_loss_is_the_mean_surprise_of_the_true_class() -> None:
    given = {"predictions": [[0.5, 0.5], [0.25, 0.75]], "references": [0, 1]}
    assert LogLoss().compute(**given)["log_loss"] == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_batches_add_up_and_metrics_combine_as_evaluates_own_do() -> None:
    both = evaluate.combine([Accuracy(), F1()])
    for start in (0, 4):
        both.add_batch(predictions=PREDICTED[start : start + 4], references=LABELS[start : start + 4])
    assert both.compute() == {"accuracy": pytest.approx(4 / 6), "f1": pytest.approx(22 / 45)}
