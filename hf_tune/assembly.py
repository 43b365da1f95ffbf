"""Put the checked parts of a recipe together: the Trainer of a run, ready to start."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hf_tune.adapter.attach import count_parameters
from hf_tune.adapter.batch_norm import has_moving_statistics, synchronise_batch_norms
from hf_tune.data.draws import Draws
from hf_tune.data.encoded import encode_split
from hf_tune.data.repeats import find_repeats
from hf_tune.data.splits import Splits
from hf_tune.input_error import InputError, find_key
from hf_tune.label_checks import check_scores, find_row_loss
from hf_tune.model.new_layers import centre_head
from hf_tune.model.quantised_base import is_quantised
from hf_tune.publication import build_background_push, check_push
from hf_tune.recipe.leaves import list_local_paths
from hf_tune.recipe.resumption import check_resumable, check_revision
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.stored import save_recipe
from hf_tune.results.record import read_results
from hf_tune.small_data import check_beside, fit_beside
from hf_tune.task import REGRESSION, LoadedModel, Task
from hf_tune.training.arguments import build_arguments
from hf_tune.training.batch_sampler import share_rows
from hf_tune.training.checkpoints import check_total_batch, find_checkpoint, settle_checkpoints
from hf_tune.training.failures import explained
from hf_tune.training.feature_plan import plan_features
from hf_tune.training.folder_lock import hold_folder
from hf_tune.training.loader_workers import choose_workers
from hf_tune.training.objective import check_blocks
from hf_tune.training.partners import PartneredRows
from hf_tune.training.processes import all_or_none, check_launch, check_sharding
from hf_tune.training.row_loss import check_own_loss, describe_objective
from hf_tune.training.run_folder import (
    FolderMode,
    check_content,
    check_disk,
    check_folder,
    clear_folder,
    estimate_disk_bytes,
    say_disk,
)
from hf_tune.training.sharding import is_sharded
from hf_tune.training.step_plan import check_evaluation, check_unfinished, plan_steps
from hf_tune.training.trainer import FineTuneTrainer
from hf_tune.training.training_data import TrainingData, count_rows
from hf_tune.training.weight_average import check_average


logger = logging.getLogger(__name__)


def find_start(recipe: Recipe, mode: FolderMode) -> Path | None:
    """Return the checkpoint that a run goes on from; None where it begins anew. Nothing was loaded yet.

    Raises `RecipeError` where the run may not write its folder, would delete what it reads, or may not be resumed.
    A run that was stopped before its first checkpoint is resumed at its first step.
    """
    with recipe.blame("training"):
        check_launch()
        needed = [Path(recipe.source.file), *list_local_paths(recipe.values)] if mode == "overwrite" else []
        check_folder(recipe.output_dir, mode, needed)
    if mode != "resume":
        return None
    if (recipe.output_dir / "recipe.yaml").exists():
        check_resumable(recipe)
    checkpoint = find_checkpoint(recipe.output_dir)
    if checkpoint is None:
        logger.warning("%s holds no checkpoint yet: the run starts at its first step", recipe.output_dir)
    return checkpoint


def build_trainer(
    recipe: Recipe, task: Task, loaded: LoadedModel, model: Any, splits: Splits, checkpoint: Path | None = None
) -> FineTuneTrainer:
    """Return the Trainer of a run, which goes on from `checkpoint` if there is one; every row was read by then.

    Raises `RecipeError` for rows that cannot be read, arguments that do not fit this machine or this network, a run
    that is finished already, and a disk that is full. Of an old run nothing was touched.
    """
    with recipe.blame("data"):
        encoded = _encode(recipe, task, loaded.processor, splits)
        notes = _tell_data(task, model, splits, encoded)
    check_scores(recipe, task, splits)
    with recipe.blame("objective"):
        row_loss = find_row_loss(recipe, splits)
    with recipe.blame("training"):
        check_disk(recipe.output_dir, _estimate_disk(recipe, model))
        check_network(recipe, loaded.model)
        arguments = _build_arguments(recipe, encoded["train"], checkpoint)
        _check_device(arguments, model)
    if checkpoint is not None:
        check_revision(recipe, loaded.revision)
    if recipe.batch_norm == "synced":
        with recipe.blame("training"):
            model = synchronise_batch_norms(model, arguments.device.type)
    if recipe.speed.channels_last:
        model = model.to(memory_format=torch.channels_last)
    notes += _describe_statistics(recipe, model, arguments)
    data = TrainingData(
        train=_add_partners(recipe, task, loaded.processor, encoded["train"], arguments.seed),
        validation=encoded["validation"],
        test=encoded.get("test"),
        preprocess=recipe.preprocess,
        make_draws=Draws,
        label_names=splits.label_names,
        new_layers=loaded.new_layers,
        objective=recipe.objective,
        row_loss=row_loss,
        problem_type=splits.problem_type,
        speed=recipe.speed,
        notes=(*splits.notes, *notes, *describe_objective(recipe.objective, row_loss, splits.label_names)),
    )
    callbacks = recipe.early_stopping.callbacks() if recipe.early_stopping else []
    callbacks += build_background_push(recipe, model, loaded)
    is_made = recipe.output_dir.exists()
    with recipe.blame("training"):
        try:
            trainer = FineTuneTrainer(task, model, loaded.processor, arguments, data, callbacks)
        except (ValueError, ImportError) as error:  # such as sharding in one process alone
            raise InputError(f"the Trainer refuses it: {error}", at=find_key(str(error), recipe.training)) from None
        if trainer.is_world_process_zero() and not is_made:  # the Trainer has made it, and the checks go on
            with contextlib.suppress(OSError):
                recipe.output_dir.rmdir()
        check_sharding(trainer.accelerator)
    check_push(recipe, splits.label_names, is_sharded(trainer))
    _try_out(recipe, trainer)
    return trainer


@contextlib.contextmanager
def hold_run(
    trainer: FineTuneTrainer, recipe: Recipe, loaded: LoadedModel, mode: FolderMode, checkpoint: Path | None
) -> Iterator[str | None]:
    """Hold the run's folder, with its recipe.yaml, while the context lasts; yield the checkpoint to go on from.

    Of an old run what the new start makes untrue is deleted, after the checks of all processes and before any goes on.
    Raises `RecipeError` where another run has come first.
    """
    folder, is_first = recipe.output_dir, trainer.is_world_process_zero()
    with contextlib.ExitStack() as stack:
        with recipe.blame("training"), all_or_none(trainer.cpu_group):
            check_beside(recipe, trainer)
            if is_first:
                stack.enter_context(hold_folder(folder))
                check_content(folder, mode)  # another run may have come and gone since it was looked at
                clear_folder(folder, mode)
                if checkpoint is not None:
                    settle_checkpoints(folder, checkpoint, trainer.args.save_total_limit)
                save_recipe(recipe, folder, loaded)
                say_disk(folder, _estimate_disk(recipe, trainer.model))
        with explained(trainer):
            trainer.data = replace(trainer.data, linear_baseline=fit_beside(recipe, trainer))
            yield None if checkpoint is None else str(folder / checkpoint.name)


def _build_arguments(recipe: Recipe, rows: Any, checkpoint: Path | None) -> Any:
    """Return `TrainingArguments` for encoded training rows; raises where a run with them would not end well."""
    arguments = build_arguments({"dataloader_num_workers": choose_workers(rows), **recipe.training})
    plan = plan_steps(arguments, count_rows(rows))
    check_evaluation(arguments, plan)
    if checkpoint is not None:
        is_scored = (recipe.output_dir / "results.json").exists()
        check_unfinished(checkpoint, plan, read_results(recipe.output_dir)["steps"] if is_scored else 0)
        check_total_batch(checkpoint, share_rows(arguments).rows_per_step, arguments.world_size)
    return arguments


def _encode(recipe: Recipe, task: Task, processor: Any, splits: Splits) -> dict[str, Any]:
    """Return the splits that are there as model inputs, by their names."""
    present = [split for split in (splits.train, splits.validation, splits.test) if split is not None]
    seed, cached = _find_seed(recipe), recipe.speed.decoded_cache
    return {split.name: encode_split(split, task, processor, seed, cached) for split in present}


def _add_partners(recipe: Recipe, task: Task, processor: Any, rows: Any, seed: int) -> Any:
    """Return the training rows, with a partner each where the recipe mixes them."""
    mixing = task.mixing(recipe.preprocess)
    return rows if mixing is None else PartneredRows(rows, mixing, seed, task, processor)


def _tell_data(task: Task, model: Any, splits: Splits, encoded: Mapping[str, Any]) -> list[str]:
    """Log what to know of the data, with rows that show it; return it without them."""
    findings = [*splits.findings, *find_repeats(splits)]
    counted = [each for each in encoded.values() if count_rows(each) is not None]
    notes = [note for each in counted for note in task.describe_encoded(each, model)]
    notes += _centre_labels(model, splits) if splits.problem_type == REGRESSION else []
    for note in (*findings, *notes):
        logger.warning(note)
    return [*(each.note for each in findings), *notes]


def _find_seed(recipe: Recipe) -> int:
    """Return the seed of the order of the training rows."""
    seed = recipe.training.get("data_seed")
    return int(recipe.training.get("seed", 42) if seed is None else seed)


def _estimate_disk(recipe: Recipe, model: Any) -> int:
    limit = recipe.training.get("save_total_limit") or 1
    trainable, total = count_parameters(model)
    kept = trainable if recipe.objective.ema_decay else 0  # a checkpoint holds the averages and the weights themselves
    return estimate_disk_bytes(trainable, total, recipe.peft in ("full", "probe"), limit, kept)


def check_network(recipe: Recipe, model: Any) -> None:
    """Raise where the network cannot do what a recipe asks; the Trainer notices it after the folder was written.

    `model` is the network inside an adapter, after the adapter was attached.
    """
    training = recipe.training
    check_blocks(recipe.objective, (name for name, _ in model.named_parameters()))
    if not training.get("activation_checkpointing"):
        return
    if not model.supports_gradient_checkpointing:
        problem = f"{type(model).__name__} does not support activation checkpointing"
        hint = "leave it out; a smaller per_device_train_batch_size with gradient_accumulation_steps saves memory too"
        raise InputError(problem, hint, at=("activation_checkpointing",))
    if has_moving_statistics(model):
        problem = "BatchNorm's statistics would move twice a step: once more when activations are computed again"
        raise InputError(problem, "write `batch_norm: frozen`, or leave it out", at=("activation_checkpointing",))
    if training.get("activation_checkpointing_kwargs") and model.config.model_type == "timm_wrapper":
        at = ("activation_checkpointing_kwargs",)
        raise InputError("timm's networks take no options of activation checkpointing", "leave it out", at=at)


def _try_out(recipe: Recipe, trainer: FineTuneTrainer) -> None:
    """Raise where the first step would fail, and find out what of the network need be computed once."""
    with recipe.blame("objective"):
        check_average(trainer)
    with recipe.blame("model" if recipe.peft in ("full", "probe") else "peft"):
        _check_forward(trainer)
    with recipe.blame("objective"):
        check_own_loss(trainer.data, trainer.data_collator)
    with recipe.blame("speed"):
        trainer.feature_plan = plan_features(trainer)


def _check_forward(trainer: FineTuneTrainer) -> None:
    """Raise where the network, with its adapter, cannot take a row; else it would be noticed in the first step."""
    data, network = trainer.data, trainer.model.eval()
    examples = [data.train[row] for row in (0, (count_rows(data.train) or 2) - 1)]
    try:
        batch = trainer.data_collator(examples)
        with trainer.accelerator.autocast():  # which the Trainer puts around forward only when it starts
            trainer.prediction_step(network, batch, prediction_loss_only=False)
        trainer.task.feature_cut(network, len(data.label_names))
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        problem = f"the network cannot take the rows: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise InputError(problem, "choose another method or checkpoint") from error


def _centre_labels(model: Any, splits: Splits) -> list[str]:
    """Let a head of numbers start at their mean; return what to know of numbers that are far from about 1."""
    labels = splits.train.get_labels()["labels"]
    centre_head(model, float(labels.mean()))
    spread = float(labels.std())
    if 0.01 <= spread <= 10:
        return []
    return [f"The labels have a standard deviation of {spread:.3g}: learning rates fit labels scaled to about 1."]


def _check_device(arguments: Any, model: Any) -> None:
    """Raise where a quantised base was put on a device that the training is not on."""
    place = next(model.parameters()).device.type
    if is_quantised(model) and place != arguments.device.type:
        problem = f"the base was quantised on {place}, and training is on {arguments.device.type}"
        raise InputError(problem, "leave `use_cpu` out, or hide the GPU: CUDA_VISIBLE_DEVICES=", at=("use_cpu",))


def _describe_statistics(recipe: Recipe, model: Any, arguments: Any) -> list[str]:
    """Return what to know of BatchNorm on several processes, each of which sees its own rows."""
    if arguments.world_size == 1 or recipe.batch_norm == "synced" or not has_moving_statistics(model):
        return []
    rows = f"{arguments.train_batch_size} rows of each of {arguments.world_size} processes"
    note = f"BatchNorm normalised by the {rows} by themselves; its running statistics are the means over them."
    logger.warning(note)
    return [note]
