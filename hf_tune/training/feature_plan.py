"""Whether what frozen layers make of a row is kept, said before the first step, and why not where it is not."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hf_tune import array_files
from hf_tune.input_error import InputError
from hf_tune.task import Batch, Task
from hf_tune.training.frozen_body import FrozenBody, choose_body, is_still, list_bodies
from hf_tune.training.partners import PartneredRows
from hf_tune.training.sharding import is_sharded
from hf_tune.training.step_plan import plan_steps
from hf_tune.training.training_data import count_rows, read_rows


logger = logging.getLogger(__name__)
_TRIED_ROWS = 8
MIXED = "rows are mixed with others in every epoch"
AUGMENTED = "rows are augmented anew in every epoch; `speed.feature_cache: augmented(8)` keeps 8 views of each"


@dataclass(frozen=True)
class FeaturePlan:
    """Whether features are kept, and of what."""

    body: FrozenBody | None = None
    """The layers that pass every row once; None where they pass it in every epoch."""
    size: int = 0
    """Numbers in the vector of a row."""
    num_views: int = 0
    """Augmented views of each training row; 0 for rows as they are."""
    reason: str = ""
    """Why features are not kept, where a reader may want to know."""


def plan_features(trainer: Any) -> FeaturePlan:
    """Return whether the rows' features are kept: a few rows are passed through the network and through its parts.

    Raises `InputError` where `feature_cache: augmented(n)` asks for what cannot be done.
    """
    speed = trainer.data.speed
    bodies = [] if speed.feature_cache == "off" else list_bodies(trainer.model)
    plan = FeaturePlan()
    if bodies and _repeats_rows(trainer):
        reason = _find_obstacle(trainer)
        plan = FeaturePlan(reason=reason) if reason else _try_bodies(trainer, bodies, speed.num_views)
    if speed.num_views and plan.body is None:
        problem = f"features cannot be kept: {plan.reason or 'what comes below the head is trained, or passed once'}"
        raise InputError(problem, "leave it out", at=("speed", "feature_cache"))
    if plan.reason:
        logger.warning("features are not kept, and every epoch passes the frozen layers: %s", plan.reason)
    return plan


def _repeats_rows(trainer: Any) -> bool:
    """Return whether the run passes its rows more than once."""
    num_rows = count_rows(trainer.data.train)
    if num_rows is None:
        return False
    plan = plan_steps(trainer.args, num_rows)
    return plan.steps > plan.steps_per_epoch


def _find_obstacle(trainer: Any) -> str:
    """Return what keeps features from being kept, whatever the network does; nothing where nothing does."""
    if isinstance(trainer.data.train, PartneredRows):
        return MIXED
    if is_sharded(trainer) or trainer.args.torch_compile:
        return "the network is sharded or compiled"
    if getattr(trainer.data.train, "fingerprint", None) is None:
        return "nothing says when rows have changed: the task's processor has no `fingerprint()`"
    return ""


def _try_bodies(trainer: Any, bodies: list[FrozenBody], num_views: int) -> FeaturePlan:
    rows, model, task = trainer.data.train, trainer.model, trainer.task
    batch = read_rows(rows, range(min(_TRIED_ROWS, len(rows))), trainer.data_collator)
    batch = trainer._prepare_inputs(batch)
    draw = functools.partial(trainer.data.make_draws, trainer.args.seed)
    if not num_views and is_augmented(task, trainer.data.preprocess, draw, batch):
        return FeaturePlan(reason=AUGMENTED)

    inputs = task.build_inputs(batch, trainer.encoder, model)
    with torch.no_grad(), trainer.accelerator.autocast():
        body = choose_body(model, bodies, inputs, batch)
        if body is None:
            return FeaturePlan(reason="the head reads more of the layers below it than one vector of each row")
        if not is_still(model, body, inputs, batch):
            return FeaturePlan(reason="below the head dropout or moving statistics make others in every epoch")
        with body.reading() as read:
            model(**inputs)
            size = read(batch).shape[1]
    num_bytes = max(num_views, 1) * len(rows) * size * 4
    if (refusal := array_files.find_refusal(num_bytes)) is not None:
        return FeaturePlan(reason=refusal)
    return FeaturePlan(body, size, num_views)


def is_augmented(task: Task, preprocess: Any, draw: Callable[[int, np.ndarray], Any], batch: Batch) -> bool:
    """Return whether a task changes training rows by their draws; `draw` is (epoch, rows) → draws."""
    rows = batch["row"].numpy()
    views = [task.augment(batch, preprocess, draw(epoch, rows)) for epoch in (0, 1)]
    return any(not torch.equal(view[name], batch[name]) for view in views for name in batch)


def outline_features(task: Task, model: Any, processor: Any, batch: Batch) -> int | None:
    """Return the numbers in the vector of a row, from a network on the meta device; None where none may be kept.

    What a few rows in the real network would show is not known here: `plan_features` tries them before training.
    """
    for body in list_bodies(model):
        try:
            with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), body.reading() as read:
                weights = {
                    name: torch.empty_like(value, device="cpu")
                    for name, value in (*model.named_parameters(), *model.named_buffers())
                }
                rows = {name: torch.empty_like(value) for name, value in batch.items()}
                torch.func.functional_call(model.eval(), weights, (), task.build_inputs(rows, processor, model))
                return read(rows).shape[1]
        except (AttributeError, IndexError, LookupError, RuntimeError, TypeError, ValueError):
            continue  # this network's body has another form, or looks at the values of its inputs
    return None
