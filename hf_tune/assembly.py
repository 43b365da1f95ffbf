"""Put the checked parts of a recipe together: the Trainer of a run, ready to start."""

import logging
from typing import Any

from hf_tune.adapter.attach import count_parameters
from hf_tune.data.draws import Draws
from hf_tune.data.encoded import encode_split
from hf_tune.data.splits import Splits
from hf_tune.input_error import InputError
from hf_tune.recipe.schema import Recipe
from hf_tune.task import LoadedModel, Task
from hf_tune.training.arguments import build_arguments
from hf_tune.training.run_folder import check_disk, clear_folder, estimate_disk_bytes
from hf_tune.training.trainer import FineTuneTrainer, TrainingData


logger = logging.getLogger(__name__)


def build_trainer(
    recipe: Recipe, task: Task, loaded: LoadedModel, model: Any, splits: Splits, overwrite: bool
) -> FineTuneTrainer:
    """Return the Trainer of a run; every row was read, and only then an old run was deleted where `overwrite` says so.

    Raises `RecipeError` for rows that cannot be read, arguments that do not fit this machine, and a disk that is full.
    """
    present = [split for split in (splits.train, splits.validation, splits.test) if split is not None]
    with recipe.blame("data"):
        encoded = {split.name: encode_split(split, task, loaded.processor) for split in present}
        notes = [note for each in encoded.values() for note in task.describe_encoded(each, model)]
    for note in notes:
        logger.warning(note)
    _check_metric(recipe, task, splits)
    trainable, total = count_parameters(model)
    with recipe.blame("training"):
        limit = recipe.training.get("save_total_limit") or 1
        check_disk(recipe.output_dir, estimate_disk_bytes(trainable, total, recipe.peft in ("full", "probe"), limit))
        arguments = build_arguments(recipe.training)
    if overwrite:
        clear_folder(recipe.output_dir)
    trainer = FineTuneTrainer(
        task,
        model,
        loaded.processor,
        arguments,
        TrainingData(
            train=encoded["train"],
            validation=encoded["validation"],
            test=encoded.get("test"),
            preprocess=recipe.preprocess,
            make_draws=Draws,
            label_names=splits.label_names,
            new_layers=loaded.new_layers,
            objective=recipe.objective,
            problem_type=splits.problem_type,
            notes=(*splits.notes, *notes),
        ),
        recipe.early_stopping.callbacks() if recipe.early_stopping else (),
    )
    return trainer


def _check_metric(recipe: Recipe, task: Task, splits: Splits) -> None:
    """Raise where the best checkpoint is chosen by a metric that this kind of label does not have."""
    known = ("loss", *task.metric_names[splits.problem_type])
    metric = str(recipe.training.get("metric_for_best_model") or "loss").removeprefix("eval_")
    if metric not in known:
        block, key = ("early_stopping", "metric") if recipe.early_stopping else ("training", "metric_for_best_model")
        problem = f"the labels are of the kind {splits.problem_type}, which has no metric {metric!r}"
        with recipe.blame(block):
            raise InputError(problem, f"it has: {', '.join(known)}", at=(key,))
