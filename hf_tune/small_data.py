"""What is done where rows are few: logistic regression on the checkpoint's frozen features runs beside.

The features are read before the first step, when the network still is the checkpoint.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hf_tune.input_error import InputError
from hf_tune.recipe.schema import Recipe
from hf_tune.results.linear_baseline import LinearBaseline, compare_with_linear, fit_linear_baseline
from hf_tune.results.record import as_json
from hf_tune.results.reference import read_features
from hf_tune.task import SINGLE_LABEL, Kept, Task
from hf_tune.training.partners import leave_partners
from hf_tune.training.sharding import is_sharded
from hf_tune.training.step_plan import plan_steps
from hf_tune.training.training_data import count_rows, read_rows


logger = logging.getLogger(__name__)
FEW_ROWS = 1_000
FEW_ROWS_PER_CLASS = 50
MOST_WORK = 2e8
"""Rows x features x classes of a regression that takes seconds."""


def check_beside(recipe: Recipe, trainer: Any) -> None:
    """Raise `InputError` where `linear_baseline: true` asks for what cannot be had."""
    obstacle = _find_obstacle(recipe, trainer)
    if recipe.linear_baseline and obstacle:
        raise InputError(f"logistic regression cannot run beside: {obstacle}", "leave it out", at=("linear_baseline",))


def fit_beside(recipe: Recipe, trainer: Any) -> LinearBaseline | None:
    """Return the regression that is scored beside a run; None where rows are many, or it would not be worth its time.

    To be called before the first step; nothing that training draws or moves is touched.
    """
    wanted = recipe.linear_baseline
    if wanted is False or _find_obstacle(recipe, trainer) or not trainer.is_world_process_zero():
        return None
    if not (wanted or _is_small(trainer)):
        return None
    started = time.monotonic()
    data = trainer.data
    splits = {"train": leave_partners(data.train), "validation": data.validation, "test": data.test}
    splits = {name: rows for name, rows in splits.items() if rows is not None}
    with _base_of(trainer.model) as base:
        features = {name: _read_features(trainer, base, rows) for name, rows in splits.items()}
    labels = {name: np.asarray(rows.split.get_labels()["labels"]) for name, rows in splits.items()}
    work = features["train"].size * len(data.label_names)
    if not wanted and work > MOST_WORK:
        logger.info("logistic regression does not run beside: it would take minutes")
        return None
    fitted = fit_linear_baseline(features, labels, len(data.label_names))
    return replace(fitted, seconds=time.monotonic() - started)


def describe_linear(
    baseline: LinearBaseline | None, kept: Mapping[str, Kept], split: str, task: Task, label_names: Any
) -> dict[str, Any] | None:
    """Return what results.json says of the regression, and how the run compares with it on the reported split."""
    if baseline is None:
        return None
    scores = {name: as_json(task.metrics(rows, label_names)) for name, rows in baseline.kept.items()}
    return {
        "name": "logistic regression on frozen features",
        "strength": baseline.strength,
        "features": baseline.num_features,
        "rows": baseline.num_rows,
        "seconds": baseline.seconds,
        "splits": scores,
        "difference": compare_with_linear(kept[split], baseline.kept[split]),
    }


def _find_obstacle(recipe: Recipe, trainer: Any) -> str:
    """Return why there is nothing that the regression could read; nothing where it can."""
    data = trainer.data
    if data.problem_type != SINGLE_LABEL or "accuracy" not in trainer.task.metric_names[SINGLE_LABEL]:
        return "the labels are no classes, one to a row"
    if count_rows(data.train) is None:
        return "the training rows are a stream"
    if not recipe.model.pretrained:
        return "with `pretrained: false` the features are random"
    if is_sharded(trainer):
        return "the network is sharded"
    return ""


def _is_small(trainer: Any) -> bool:
    """Return whether train has few rows, and the run passes so many that one more pass over all is a small part."""
    data = trainer.data
    rows = len(data.train)
    is_few = rows < FEW_ROWS or rows < FEW_ROWS_PER_CLASS * len(data.label_names)
    plan = plan_steps(trainer.args, rows)
    others = len(data.validation) + (len(data.test) if data.test is not None else 0)
    return is_few and plan.steps / plan.steps_per_epoch * rows >= rows + others


def _read_features(trainer: Any, model: Any, rows: Any) -> np.ndarray:
    """Return what the head of a network reads of each row of a split, float32, shape (rows, features)."""
    task, size = trainer.task, trainer.args.eval_batch_size
    cut = task.feature_cut(model, len(trainer.data.label_names))
    cut = cut.partition(".modules_to_save.")[0]  # PEFT 0.21 passes the copy by while its adapter is off
    numbers = [range(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
    batches = (read_rows(rows, each, trainer.data_collator) for each in numbers)
    return read_features(model, cut, batches, lambda batch: task.build_inputs(batch, trainer.encoder, model))


@contextlib.contextmanager
def _base_of(model: Any) -> Iterator[Any]:
    """Yield the network to run for what the base alone makes of a row, without its adapter if it has one."""
    if not hasattr(model, "peft_config"):
        yield model
    elif model.active_peft_config.is_prompt_learning:  # which PEFT 0.21 switches off in generating models alone
        yield model.get_base_model()
    else:
        trained = {name for name, value in model.named_parameters() if value.requires_grad}
        with model.disable_adapter():
            yield model
        for name, value in model.named_parameters():  # PEFT may let more train than before when it switches on again
            value.requires_grad_(name in trained)
