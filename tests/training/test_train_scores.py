"""Scores on the training batches, and the watch on their losses."""

from types import SimpleNamespace

import pytest
import torch

from hf_tune.training.train_scores import LossWatch, TrainScores, count_broken


ALONE = SimpleNamespace(gather=lambda values: values)


def rows(*correct: float, counted: tuple[float, ...] | None = None) -> dict[str, torch.Tensor]:
    weights = torch.tensor(counted or (1.0,) * len(correct))
    return {"accuracy": torch.tensor(correct) * weights, "rows": weights}


def test_a_score_is_the_mean_over_rows_and_not_over_batches() -> None:
    scores = TrainScores()
    scores.add(rows(1.0, 1.0, 1.0))
    scores.add(rows(0.0))
    assert scores.take(ALONE) == {"train_accuracy": 0.75}


def test_a_row_that_does_not_count_moves_nothing() -> None:
    scores = TrainScores()
    scores.add(rows(1.0, 0.0))
    scores.add(rows(1.0, counted=(0.0,)))
    assert scores.take(ALONE) == {"train_accuracy": 0.5}


def test_each_evaluation_takes_the_rows_since_the_last_one() -> None:
    scores = TrainScores()
    assert scores.take(ALONE) == {}
    scores.add(rows(1.0))
    assert scores.take(ALONE) == {"train_accuracy": 1.0}
    assert scores.take(ALONE) == {}
    scores.add(rows(0.0, 0.0, 1.0, 0.0))
    assert scores.take(ALONE) == {"train_accuracy": 0.25}


def test_the_rows_of_all_processes_count() -> None:
    """The other process has 4 rows, 3 of them right: (1 + 3) / (2 + 4)."""
    scores = TrainScores()
    scores.add(rows(1.0, 0.0))
    both = SimpleNamespace(gather=lambda mine: torch.cat([mine, torch.tensor([[3.0, 4.0]])]))
    assert scores.take(both) == {"train_accuracy": pytest.approx(4 / 6)}


def test_sums_lose_no_row_of_many() -> None:
    """In float32 2**24 + 1 is 2**24: an epoch of small batches would stop to count."""
    scores = TrainScores()
    scores.add({"rows": torch.tensor([2.0**24])})
    for _ in range(8):
        scores.add({"rows": torch.tensor([1.0])})
    assert float(scores.sums["rows"]) == 2**24 + 8


def test_scores_hold_no_graph() -> None:
    scores = TrainScores()
    scores.add({"mean_loss": torch.ones(2, requires_grad=True) * 3, "rows": torch.ones(2)})
    assert not scores.sums["mean_loss"].requires_grad and scores.take(ALONE) == {"train_mean_loss": 3.0}


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_the_first_step_whose_loss_is_not_finite_is_remembered(broken: float) -> None:
    watch = LossWatch()
    watch.note(torch.tensor(1e30), 1)
    assert watch.read() is None
    for step, loss in ((2, 0.5), (3, broken), (4, 0.5), (5, broken)):
        watch.note(torch.tensor(loss), step)
    assert watch.read() == 3


def test_a_watch_holds_no_graph() -> None:
    watch = LossWatch()
    watch.note(torch.tensor(1.0, requires_grad=True) * 2, 1)
    assert not watch.first.requires_grad


def test_trained_tensors_that_hold_a_value_that_is_not_finite_are_counted() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    assert count_broken(model) == 0
    with torch.no_grad():
        model[0].weight[1, 0] = float("nan")
        model[1].bias.fill_(float("inf"))
        model[2].weight.fill_(float("nan"))
    model[2].weight.requires_grad_(False)  # frozen: no step has done it
    assert count_broken(model) == 2


def test_of_a_sharded_tensor_the_own_part_is_looked_at() -> None:
    whole = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    whole.to_local = lambda: torch.tensor([float("nan")])  # type: ignore[attr-defined]
    assert count_broken(SimpleNamespace(parameters=lambda: [whole])) == 1  # type: ignore[arg-type]
