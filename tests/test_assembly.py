"""The Trainer of a recipe: what it is made of, and what is found out before anything is deleted."""

import dataclasses
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from transformers import EarlyStoppingCallback, Trainer
from transformers.models.timm_wrapper.modeling_timm_wrapper import TimmWrapperPreTrainedModel

from hf_tune.adapter.attach import attach_adapter
from hf_tune.assembly import _check_device, build_trainer, find_start, hold_run
from hf_tune.data.splits import Splits, load_splits
from hf_tune.input_error import InputError
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.recipe.stored import save_recipe
from hf_tune.run import finetune
from hf_tune.tasks import get_task
from hf_tune.training.checkpoints import UNFINISHED, close_checkpoint
from hf_tune.training.folder_lock import LOCK, hold_folder
from hf_tune.training.row_loss import ClassLoss
from hf_tune.training.run_folder import FolderMode
from hf_tune.training.trainer import FineTuneTrainer


Spoil = Callable[[Splits], Splits]
LOADED: Any = SimpleNamespace(revision=None, quantization=None)


@pytest.fixture
def build(write_recipe: Callable[..., Path]) -> Callable[..., FineTuneTrainer]:
    """Return a function that builds the Trainer of the tiny recipe."""

    def build_tiny(overrides: tuple[str, ...] = (), checkpoint: Path | None = None, spoil: Spoil = lambda s: s) -> Any:
        recipe = load_recipe(write_recipe(), overrides)
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task)
        loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
        return build_trainer(recipe, task, loaded, model, spoil(splits), checkpoint)

    return build_tiny


def break_picture(splits: Splits) -> Splits:
    """Return the splits with a train picture that cannot be read."""
    rows = splits.train.rows.to_list()
    rows[5]["image"]["bytes"] = b"no picture"
    table = datasets.Dataset.from_list(rows, features=splits.train.rows.features)
    return dataclasses.replace(splits, train=dataclasses.replace(splits.train, rows=table))


def test_the_trainer_has_the_recipes_splits_and_arguments_and_has_written_no_file(
    build: Callable[..., FineTuneTrainer], tmp_path: Path
) -> None:
    trainer = build()
    assert [len(each) for each in (trainer.data.train, trainer.data.validation, trainer.data.test)] == [24, 9, 11]
    assert trainer.train_dataset is trainer.data.train and trainer.eval_dataset is trainer.data.validation
    assert trainer.args.learning_rate == 1e-2 and trainer.args.per_device_train_batch_size == 8
    assert not any(isinstance(each, EarlyStoppingCallback) for each in trainer.callback_handler.callbacks)
    assert not any(tmp_path.glob("run/*"))


def test_encoded_rows_carry_pixels_label_and_number(build: Callable[..., FineTuneTrainer]) -> None:
    row = build().data.train[24 + 7]  # the second epoch's row 7
    assert row["pixel_values"].shape == (3, 32, 32)
    assert (int(row["labels"]), int(row["row"]), int(row["epoch"])) == (1, 7, 1)


def test_data_without_a_test_split_is_trained_without_one(build: Callable[..., FineTuneTrainer]) -> None:
    trainer = build(spoil=lambda splits: dataclasses.replace(splits, test=None))
    assert trainer.data.test is None and len(trainer.data.validation) == 9


def test_early_stopping_stops_the_trainer(build: Callable[..., FineTuneTrainer]) -> None:
    trainer = build(("early_stopping.patience=4",))
    stops = [each for each in trainer.callback_handler.callbacks if isinstance(each, EarlyStoppingCallback)]
    assert [stop.early_stopping_patience for stop in stops] == [4]
    assert trainer.args.load_best_model_at_end


@pytest.mark.parametrize("mode", ["resume", "overwrite"])
def test_an_old_run_is_deleted_only_where_overwrite_says_so(
    mode: FolderMode, build: Callable[..., FineTuneTrainer], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    for name in ("results.json", "log.jsonl"):
        (tmp_path / "run" / name).touch()
    trainer, recipe = build(), load_recipe(tmp_path / "recipe.yaml")
    assert (tmp_path / "run" / "results.json").exists()
    with hold_run(trainer, recipe, LOADED, mode, None) as start:
        assert start is None
    left = {path.name for path in (tmp_path / "run").glob("*")} - {"tiny_pictures.py"}
    assert left == {"recipe.yaml", LOCK, *({"log.jsonl"} if mode == "resume" else set())}


def test_of_two_runs_that_start_at_once_one_is_refused(build: Callable[..., FineTuneTrainer], tmp_path: Path) -> None:
    """TRAPS A2: two runs that were meant as one write one folder, and each takes itself for the first process."""
    trainer, recipe = build(), load_recipe(tmp_path / "recipe.yaml")
    with (
        hold_folder(tmp_path / "run"),
        pytest.raises(RecipeError, match=r"output_dir: another run writes '.*run' now"),
    ):
        hold_run(trainer, recipe, LOADED, "new", None).__enter__()
    with hold_run(trainer, recipe, LOADED, "new", None):
        pass
    with pytest.raises(RecipeError, match="holds another run"):  # which came and went since the folder was looked at
        hold_run(trainer, recipe, LOADED, "new", None).__enter__()


def test_a_row_that_cannot_be_read_is_named(build: Callable[..., FineTuneTrainer]) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml:\d+: data\.\S+: row 5 of split 'train': "):
        build(spoil=break_picture)


def test_what_the_trainer_cannot_do_is_told_with_nothing_written(
    build: Callable[..., FineTuneTrainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: a traceback from the Trainer's constructor, after an old run was deleted."""
    with pytest.raises(RecipeError, match=r"training\.eval_delay: nothing is evaluated before"):
        build(("early_stopping.metric=loss", "training.eval_delay=9"))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ValueError("`torch_compile` does not go with this")

    monkeypatch.setattr(Trainer, "__init__", refuse)
    with pytest.raises(RecipeError, match=r"training\.torch_compile: the Trainer refuses it: `torch_compile` does"):
        build(("training.torch_compile=true",))
    assert not (tmp_path / "run").exists()


def test_a_network_without_activation_checkpointing_is_told_with_nothing_written(
    build: Callable[..., FineTuneTrainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found: a traceback, after the folder was written."""
    name = "_timm_model_supports_gradient_checkpointing"
    monkeypatch.setattr(TimmWrapperPreTrainedModel, name, lambda self: False)
    with pytest.raises(
        RecipeError, match=r"TimmWrapperFor\w+ does not support activation checkpointing; leave it out"
    ):
        build(("training.activation_checkpointing=true",))
    assert not (tmp_path / "run").exists()


def test_a_network_with_activation_checkpointing_may_use_it(build: Callable[..., FineTuneTrainer]) -> None:
    assert build(("training.activation_checkpointing=true", "batch_norm=frozen")).args.activation_checkpointing


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ((), r"activation_checkpointing: BatchNorm's statistics would move twice a step: .* `batch_norm: frozen`"),
        (
            ("batch_norm=frozen", "training.activation_checkpointing_kwargs={every_n_layers: 2}"),
            "activation_checkpointing_kwargs: timm's networks take no options of activation checkpointing",
        ),
    ],
)
def test_checkpointing_that_changes_the_run_or_ignores_its_options_is_told(
    overrides: tuple[str, ...], words: str, build: Callable[..., FineTuneTrainer], tmp_path: Path
) -> None:
    """Found: a ResNet was saved with other statistics than without checkpointing, and its options were not read."""
    with pytest.raises(RecipeError, match=rf"training\.{words}"):
        build(("training.activation_checkpointing=true", *overrides))
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_beyond_the_steps_of_the_recipe_is_told(
    build: Callable[..., FineTuneTrainer], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "run" / "checkpoint-9"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text('{"global_step": 9}')
    with pytest.raises(RecipeError, match=r"training\.max_steps: the run is finished: it has taken 9 steps"):
        build(checkpoint=checkpoint)


def test_a_run_starts_anew_or_from_its_newest_checkpoint(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe())
    assert find_start(recipe, "new") is find_start(recipe, "overwrite") is None
    save_recipe(recipe, tmp_path / "run")
    assert find_start(recipe, "resume") is None
    aside = tmp_path / "run" / UNFINISHED / "checkpoint-3"
    aside.mkdir(parents=True)
    (aside / "trainer_state.json").write_text("{}")
    close_checkpoint(aside, {})
    assert find_start(recipe, "resume") == tmp_path / "run" / "checkpoint-3"
    with pytest.raises(RecipeError, match=r"peft: the run in .* has 'full'"):
        find_start(load_recipe(write_recipe(), ["peft=lora", "model.pretrained=true"]), "resume")


def test_overwriting_the_checkpoint_that_the_run_starts_from_is_refused(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Found: it was deleted after it was read, and could not be read again."""
    recipe = load_recipe(write_recipe(model=str(tmp_path / "run" / "checkpoint-3")))
    save_recipe(recipe, tmp_path / "run")
    (tmp_path / "run" / "checkpoint-3").mkdir()
    with pytest.raises(RecipeError, match=r"--overwrite would delete '.*run', and the run reads '.*checkpoint-3'"):
        find_start(recipe, "overwrite")


def test_a_full_disk_is_told_at_the_output_folder(
    build: Callable[..., FineTuneTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    with pytest.raises(
        RecipeError, match=r"recipe\.yaml:18: training\.output_dir: the run writes about .* 1 MiB left"
    ):
        build()


def test_a_network_that_cannot_take_the_rows_is_told_before_anything_is_written(
    write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoHa on strided convolutions (PEFT 0.21) was noticed only in the first step, after the folder was written."""
    from transformers import ResNetForImageClassification

    def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the size of tensor a (32) must match that of tensor b (31)")

    monkeypatch.setattr(ResNetForImageClassification, "forward", fail)
    monkeypatch.setattr("hf_tune.model.picture_checkpoint._check_forward", lambda model, processor: None)
    recipe = load_recipe(write_recipe(tiny_checkpoints["resnet"]))
    with pytest.raises(RecipeError, match="the network cannot take the rows: RuntimeError: the size of tensor a"):
        finetune(recipe)
    assert not (recipe.output_dir / "recipe.yaml").exists()


def test_numbers_start_at_their_mean_and_a_wide_spread_is_told(
    write_text_recipe: Callable[..., Path], tiny_text_checkpoints: dict[str, str]
) -> None:
    for method in ("full", "lora"):
        overrides = ["data.load.kind=number", "model.problem_type=regression", f"peft={method}"]
        recipe = load_recipe(write_text_recipe(), overrides)
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
        wide = dataclasses.replace(splits, train=dataclasses.replace(splits.train, labels=splits.train.labels * 100))
        source = dataclasses.replace(recipe.model, problem_type=splits.problem_type)
        loaded = task.load_model(source, recipe.preprocess, splits.label_names)
        model = attach_adapter(loaded, recipe.peft, None, task.peft_task_type)
        trainer = build_trainer(recipe, task, loaded, model, wide)
        outputs = trainer.keep_rows(trainer.data.validation)["values"]
        assert np.allclose(outputs, wide.train.labels.mean(), atol=0.5)
        assert any("standard deviation of" in note for note in trainer.data.notes)


def test_a_base_that_was_quantised_elsewhere_than_the_training_is_told() -> None:
    """With a GPU in sight the base is quantised there, whatever `use_cpu` says."""
    model = torch.nn.Linear(2, 2, device="meta")
    model.is_quantized = True  # type: ignore[assignment]
    arguments = SimpleNamespace(device=torch.device("cpu"))
    with pytest.raises(InputError, match="quantised on meta, and training is on cpu") as caught:
        _check_device(arguments, model)
    assert caught.value.at == ("use_cpu",)
    _check_device(SimpleNamespace(device=torch.device("meta")), model)


def test_evaluation_sees_no_mixed_row_and_training_sees_only_such(build: Callable[..., FineTuneTrainer]) -> None:
    kept, rows = [], []
    for mixup in ("null", "{alpha: 1.0}"):
        torch.manual_seed(0)
        trainer = build((f"preprocess.mixup={mixup}", "training.save_strategy=no"))
        kept.append(trainer.keep_rows(trainer.data.validation))
        rows.append(next(iter(trainer.get_train_dataloader())))
    assert all(np.array_equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert "partner_labels" not in rows[0] and torch.equal(rows[0]["pixel_values"], rows[1]["pixel_values"])
    assert rows[1]["partner_pixel_values"].shape == rows[1]["pixel_values"].shape
    assert (rows[1]["partner_row"] != rows[1]["row"]).all()


def test_what_is_odd_in_the_data_is_logged_with_rows_and_noted_without(
    write_text_recipe: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["rose brick", "leaf moss", "sky sea"] * 8
    lines = [f"{text} {number % 12};{'ab'[number % 3 == 0]}" for number, text in enumerate(words)]
    (tmp_path / "rows.csv").write_text("\n".join(["text;label", *lines, "rose brick 0;a"]) + "\n")
    recipe = load_recipe(
        write_text_recipe(), ["data.load={path: csv, data_files: " + str(tmp_path / "rows.csv") + "}"]
    )
    task = get_task(recipe.task)
    splits = load_splits(recipe.data, task)
    loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
    model = attach_adapter(loaded, recipe.peft, None, task.peft_task_type)
    trainer = build_trainer(recipe, task, loaded, model, splits)
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "separated by a semicolon" in told and "1 input stands in the data with different labels (3 rows)" in told
    assert "row 0 of split 'train' has 'b'; row 12 of split 'train'" in told and "'rose brick 0'" in told
    notes = "\n".join(trainer.data.notes)
    assert "separated by a semicolon" in notes and "with different labels (3 rows)" in notes and "rose" not in notes


def test_what_the_objective_changes_reaches_the_trainer(build: Callable[..., FineTuneTrainer]) -> None:
    trainer = build(("objective.class_weights.red=3", "objective.ema_decay=0.9"))
    loss = trainer.data.row_loss
    assert isinstance(loss, ClassLoss) and loss.weights is not None
    assert loss.weights.tolist() == pytest.approx([1.8, 0.6, 0.6])  # 8 rows of each: the mean of 3, 1 and 1 is 5 / 3
    assert trainer.average is not None and trainer.average.decay == 0.9
    note = (
        "Trained with class weights (red 1.8, green 0.6, blue 0.6); the loss of validation and test is the plain one."
    )
    assert note in trainer.data.notes


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("objective.class_weights.purple=2", "no label 'purple'; its labels are red, green, blue"),
        ("objective.costs=[[0,1],[1,0]]", "the matrix does not fit 3 labels"),
        ("objective.loss=tiny_losses:nothing", "no function 'nothing'; known: of_the_batch"),
        ("objective.loss=tiny_losses:of_the_batch", r"tiny_losses:of_the_batch returns the shape \(\) for 2 rows"),
    ],
)
def test_a_loss_that_cannot_be_is_told_with_nothing_written(
    override: str, words: str, build: Callable[..., FineTuneTrainer], tmp_path: Path
) -> None:
    text = "import torch.nn.functional\n\n\ndef of_the_batch(logits, labels):\n"
    (tmp_path / "tiny_losses.py").write_text(f"{text}    return torch.nn.functional.cross_entropy(logits, labels)\n")
    sys.modules.pop("tiny_losses", None)
    with pytest.raises(RecipeError, match=f"command line: {re.escape(override)}: objective.*{words}"):
        build((override,))
    assert not (tmp_path / "run").exists()
