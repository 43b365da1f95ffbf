"""The length of a run, known before it starts."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import DataLoader
from transformers import Trainer

from hf_tune.input_error import InputError
from hf_tune.training.arguments import build_arguments
from hf_tune.training.step_plan import (
    StepPlan,
    check_evaluation,
    check_unfinished,
    count_steps,
    has_all_steps,
    plan_steps,
)


def build(folder: Path, **training: Any) -> Any:
    return build_arguments({"output_dir": str(folder), "use_cpu": True, "eval_strategy": "epoch", **training})


def save_checkpoint(folder: Path, step: int, max_steps: int, stops: bool = True) -> Path:
    """Return a checkpoint as far as it is read here."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    control = {"args": {"should_training_stop": stops}}
    state = {"global_step": step, "max_steps": max_steps, "stateful_callbacks": {"TrainerControl": control}}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    return checkpoint


@pytest.mark.parametrize(
    "training",
    [
        {"num_train_epochs": 3},
        {"num_train_epochs": 1.5, "gradient_accumulation_steps": 2},
        {"max_steps": 7},
        {"num_train_epochs": 0.1, "per_device_train_batch_size": 64},
    ],
)
def test_the_plan_is_that_of_the_trainer(training: dict[str, Any], tmp_path: Path) -> None:
    arguments = build(tmp_path, **{"per_device_train_batch_size": 4, **training})
    rows = DataLoader(list(range(26)), batch_size=arguments.train_batch_size)  # type: ignore[arg-type]
    own = SimpleNamespace(
        get_total_train_batch_size=lambda args: 1,
        get_sp_size=lambda: 1,
        num_examples=lambda loader: 26,
        args=arguments,
    )
    values = Trainer.set_initial_training_values(own, arguments, rows)
    assert plan_steps(arguments, 26) == StepPlan(steps=values[-1], steps_per_epoch=values[1])


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"eval_delay": 4}, "nothing is evaluated before epoch 4, and the run ends at 3"),
        ({"eval_strategy": "steps", "save_strategy": "steps", "eval_delay": 31}, "before step 31, .* ends at 30"),
    ],
)
def test_a_best_checkpoint_without_an_evaluation_is_told(training: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Found: with `eval_delay: 100` there was no best checkpoint, and the last step was saved without a word."""
    settings = {"save_strategy": "epoch", "save_steps": 500, **training}
    plan = StepPlan(steps=30, steps_per_epoch=10)
    check_evaluation(build(tmp_path, **settings), plan)
    with pytest.raises(InputError, match=words) as caught:
        check_evaluation(build(tmp_path, load_best_model_at_end=True, **settings), plan)
    assert caught.value.at == ("eval_delay",)
    settings["eval_delay"] -= 1
    check_evaluation(build(tmp_path, load_best_model_at_end=True, **settings), plan)


def test_a_run_that_has_all_its_steps_and_results_is_finished(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, step=4, max_steps=6)
    plan = StepPlan(steps=6, steps_per_epoch=2)
    check_unfinished(checkpoint, plan, scored=0)  # killed on the way
    with pytest.raises(InputError, match="has taken 6 steps, and this recipe has 6; raise `max_steps`"):
        check_unfinished(checkpoint, plan, scored=6)  # of a run that stopped early the best checkpoint alone remains
    check_unfinished(checkpoint, StepPlan(steps=8, steps_per_epoch=2), scored=6)


def test_steps_are_rounded_up_as_the_trainer_does() -> None:
    """`check` rounded to the nearest: 1 where the run took 2."""
    assert count_steps(batches=3, accumulation=1, epochs=0.4, max_steps=-1) == StepPlan(steps=2, steps_per_epoch=3)
    assert count_steps(batches=5, accumulation=2, epochs=1, max_steps=-1) == StepPlan(steps=3, steps_per_epoch=3)
    assert count_steps(batches=5, accumulation=2, epochs=1, max_steps=7).steps == 7


def test_a_run_that_has_more_steps_than_are_asked_for_is_finished(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, step=4, max_steps=6)
    with pytest.raises(InputError, match="has taken 4 steps, and this recipe has 3"):
        check_unfinished(checkpoint, StepPlan(steps=3, steps_per_epoch=2), scored=0)


@pytest.mark.parametrize(
    ("step", "max_steps", "stops", "steps", "has_all"),
    [
        (6, 6, True, 6, True),  # killed while it was scored
        (6, 6, True, 8, False),  # made longer
        (4, 6, True, 6, True),  # stopped early
        (4, 6, False, 6, False),
    ],
)
def test_a_checkpoint_has_all_steps_at_the_end_of_the_plan_or_of_patience(
    step: int, max_steps: int, stops: bool, steps: int, has_all: bool, tmp_path: Path
) -> None:
    checkpoint = save_checkpoint(tmp_path, step, max_steps, stops)
    assert has_all_steps(checkpoint, StepPlan(steps=steps, steps_per_epoch=2)) is has_all


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, 4, 6)
    (checkpoint / "trainer_state.json").write_text('{"global_step": ')
    with pytest.raises(InputError, match=r"trainer_state\.json' is damaged"):
        check_unfinished(checkpoint, StepPlan(steps=6, steps_per_epoch=2), scored=0)


def test_a_stream_is_one_epoch_of_its_steps(tmp_path: Path) -> None:
    assert plan_steps(build(tmp_path, max_steps=7), None) == StepPlan(steps=7, steps_per_epoch=7)
