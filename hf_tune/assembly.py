"""Put the checked parts of a recipe together: the Trainer of a run, ready to start."""

from typing import Any

from hf_tune.adapter.attach import count_parameters
from hf_tune.data.draws import Draws
from hf_tune.data.encoded import EncodedSplit
from hf_tune.data.splits import Splits
from hf_tune.recipe.schema import Recipe
from hf_tune.task import LoadedModel, Task
from hf_tune.training.arguments import build_arguments
from hf_tune.training.run_folder import check_disk, clear_folder, estimate_disk_bytes
from hf_tune.training.trainer import FineTuneTrainer, TrainingData


def build_trainer(
    recipe: Recipe, task: Task, loaded: LoadedModel, model: Any, splits: Splits, overwrite: bool
) -> FineTuneTrainer:
    """Return the Trainer of a run; every row was read, and only then an old run was deleted where `overwrite` says so.

    Raises `RecipeError` for rows that cannot be read, arguments that do not fit this machine, and a disk that is full.
    """

    def encode(example: Any) -> Any:
        return task.encode(example, loaded.processor)

    with recipe.blame("data"):
        encoded = {
            split.name: EncodedSplit(split, encode, task.check_example)
            for split in (splits.train, splits.validation, splits.test)
            if split is not None
        }
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
        ),
        recipe.early_stopping.callbacks() if recipe.early_stopping else (),
    )
    return trainer
