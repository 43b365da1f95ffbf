"""Train and validation at the step that is saved, from the Trainer's log events."""

from typing import Any

from hf_tune.results.train_gap import describe_fit


def build_event(step: int, loss: float) -> dict[str, Any]:
    scores = {
        "train_mean_loss": loss,
        "train_accuracy": 1 - loss,
        "eval_loss": 2 * loss,
        "eval_accuracy": 1 - 2 * loss,
    }
    return {**scores, "eval_runtime": 1.0, "epoch": step / 10, "step": step}


HISTORY = [{"loss": 1.0, "step": 5}, build_event(10, 0.25), build_event(20, 0.125), {"train_runtime": 3.0, "step": 20}]


def test_the_saved_step_counts_else_the_last_one() -> None:
    assert describe_fit(HISTORY, 10) == {
        "step": 10,
        "lowest": {"step": 10, "loss": 0.5},
        "train": {"loss": 0.25, "accuracy": 0.75},
        "validation": {"loss": 0.5, "accuracy": 0.5},
    }
    assert (describe_fit(HISTORY, None) or {})["step"] == 20


def test_the_lowest_validation_loss_up_to_the_saved_step_is_kept_with_its_step() -> None:
    history = [build_event(10, 0.25), build_event(20, 0.125), build_event(30, 0.2), build_event(40, 0.1)]
    assert (describe_fit(history, 30) or {})["lowest"] == {"step": 20, "loss": 0.25}


def test_what_was_not_logged_is_not_known() -> None:
    assert describe_fit(HISTORY, 15) is None and describe_fit([{"eval_loss": 1.0, "step": 1}], None) is None
