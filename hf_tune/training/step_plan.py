"""How many steps a run takes, known before it starts: whether it ever evaluates, and what a checkpoint lacks."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_tune.input_error import InputError
from hf_tune.training.checkpoints import read_state


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """The length of a run."""

    steps: int
    """Optimiser steps of the whole run."""
    steps_per_epoch: int


def plan_steps(arguments: Any, num_rows: int | None) -> StepPlan:
    """Return the steps that the Trainer will take over this many training rows; `arguments` are TrainingArguments.

    A stream, whose rows nobody counted (None), is one epoch of `max_steps`.
    """
    if num_rows is None:
        return StepPlan(steps=arguments.max_steps, steps_per_epoch=arguments.max_steps)
    batches = math.ceil(num_rows / (arguments.train_batch_size * arguments.world_size))
    return count_steps(batches, arguments.gradient_accumulation_steps, arguments.num_train_epochs, arguments.max_steps)


def count_steps(batches: int, accumulation: int, epochs: float, max_steps: int) -> StepPlan:
    """Return the steps over so many batches an epoch, rounded up as the Trainer does; `max_steps` -1 is no limit."""
    steps_per_epoch = math.ceil(batches / accumulation)
    steps = max_steps if max_steps > 0 else math.ceil(epochs * steps_per_epoch)
    return StepPlan(steps=steps, steps_per_epoch=steps_per_epoch)


def check_evaluation(arguments: Any, plan: StepPlan) -> None:
    """Raise where the best checkpoint is to be loaded and the run ends before its first evaluation."""
    if not arguments.load_best_model_at_end:
        return
    is_counted_in_steps = str(arguments.eval_strategy.value) == "steps"
    end = plan.steps if is_counted_in_steps else plan.steps / plan.steps_per_epoch
    if arguments.eval_delay > end:
        unit = "step" if is_counted_in_steps else "epoch"
        problem = f"nothing is evaluated before {unit} {arguments.eval_delay}, and the run ends at {round(end, 2)}"
        raise InputError(problem, "without an evaluation there is no best checkpoint; lower it", at=("eval_delay",))


def check_unfinished(checkpoint: Path, plan: StepPlan, scored: int) -> None:
    """Raise where the run of a checkpoint has taken all its steps and is scored, or has taken more of them.

    `scored` is the number of steps that its results.json speaks of, 0 where there is none.
    """
    state = read_state(checkpoint)
    if scored >= plan.steps or state["global_step"] > plan.steps:
        done = max(scored, state["global_step"])
        problem = f"the run is finished: it has taken {done} steps, and this recipe has {plan.steps}"
        raise InputError(problem, "raise `max_steps` or `num_train_epochs`", at=("max_steps",))


def has_all_steps(checkpoint: Path, plan: StepPlan) -> bool:
    """Return whether a checkpoint needs no further step: it has all of them, or the run had stopped early."""
    state = read_state(checkpoint)
    control = state["stateful_callbacks"]["TrainerControl"]["args"]
    has_stopped_early = control["should_training_stop"] and state["global_step"] < state["max_steps"]
    return has_stopped_early or state["global_step"] >= plan.steps
