"""Scores on the training batches, and the watch on their losses."""

from types import SimpleNamespace

import pytest
import torch

from hf_tune.training.train_scores import LossWatch, TrainScores


ALONE = SimpleNamespace(gather=lambda values: values)


def add(scores: TrainScores, *correct: float) -> None:
    scores.add({"accuracy": torch.tensor(correct)}, len(correct))


def test_a_score_is_the_mean_over_rows_and_not_over_batches() -> None:
    scores = TrainScores()
    add(scores, 1.0, 1.0, 1.0)
    add(scores, 0.0)
    assert scores.take(ALONE) == {"train_accuracy": 0.75}


def test_rows_that_do_not_count_move_nothing() -> None:
    scores = TrainScores()
    add(scores, 1.0, 0.0)
    scores.add({"accuracy": torch.zeros(1)}, 0)
    assert scores.take(ALONE) == {"train_accuracy": 0.5}


def test_each_evaluation_takes_the_rows_since_the_last_one() -> None:
    scores = TrainScores()
    assert scores.take(ALONE) == {}
    add(scores, 1.0)
    assert scores.take(ALONE) == {"train_accuracy": 1.0}
    assert scores.take(ALONE) == {}
    add(scores, 0.0, 0.0, 1.0, 0.0)
    assert scores.take(ALONE) == {"train_accuracy": 0.25}


def test_the_rows_of_all_processes_count() -> None:
    """The other process has 4 rows, 3 of them right: (1 + 3) / (2 + 4)."""
    scores = TrainScores()
    add(scores, 1.0, 0.0)
    both = SimpleNamespace(gather=lambda mine: torch.cat([mine, torch.tensor([[3.0, 4.0]])]))
    assert scores.take(both) == {"train_accuracy": pytest.approx(4 / 6)}


def test_sums_lose_no_row_of_many() -> None:
    """In float32 2**24 + 1 is 2**24: an epoch of small batches would stop to count."""
    scores = TrainScores()
    scores.add({"mean_loss": torch.tensor([2.0**24])}, 1)
    for _ in range(8):
        add_one = {"mean_loss": torch.tensor([1.0])}
        scores.add(add_one, 1)
    assert scores.sums is not None and float(scores.sums[0]) == 2**24 + 8


def test_scores_hold_no_graph() -> None:
    scores = TrainScores()
    scores.add({"mean_loss": torch.ones(2, requires_grad=True) * 3}, 2)
    assert scores.sums is not None and not scores.sums.requires_grad
    assert scores.take(ALONE) == {"train_mean_loss": 3.0}


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_the_first_step_whose_loss_is_not_finite_is_remembered(broken: float) -> None:
    watch = LossWatch()
    watch.note(torch.tensor(1e30), 1)
    assert watch.read() is None
    for step, loss in ((2, 0.5), (3, broken), (4, 0.5), (5, broken)):
        watch.note(torch.tensor(loss), step)
    assert watch.read() == 3


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_device_is_not_waited_for_and_holds_no_graph(broken: float) -> None:
    watch = LossWatch()
    for step, loss in ((1, 0.5), (2, broken), (3, broken)):
        watch._note_on_device(torch.tensor(loss, requires_grad=True) * 2, step)
    assert isinstance(watch.first, torch.Tensor) and not watch.first.requires_grad
    assert watch.read() == 2
