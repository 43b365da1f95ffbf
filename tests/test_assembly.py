"""The Trainer of a recipe: what it is made of, and what is found out before anything is deleted."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
from transformers import EarlyStoppingCallback

from hf_tune.adapter.attach import attach_adapter
from hf_tune.assembly import build_trainer
from hf_tune.data.splits import Splits, load_splits
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task
from hf_tune.training.trainer import FineTuneTrainer


Spoil = Callable[[Splits], Splits]


@pytest.fixture
def build(write_recipe: Callable[..., Path]) -> Callable[..., FineTuneTrainer]:
    """Return a function that builds the Trainer of the tiny recipe."""

    def build_tiny(overrides: tuple[str, ...] = (), overwrite: bool = False, spoil: Spoil = lambda s: s) -> Any:
        recipe = load_recipe(write_recipe(), overrides)
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task)
        loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
        return build_trainer(recipe, task, loaded, model, spoil(splits), overwrite)

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


def test_an_old_run_is_deleted_only_where_overwrite_says_so(
    build: Callable[..., FineTuneTrainer], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").touch()
    build()
    assert (tmp_path / "run" / "results.json").exists()
    build(overwrite=True)
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_row_that_cannot_be_read_is_named_and_the_old_run_stays(
    build: Callable[..., FineTuneTrainer], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").touch()
    with pytest.raises(RecipeError, match=r"recipe\.yaml:\d+: data\.\S+: row 5 of split 'train': "):
        build(overwrite=True, spoil=break_picture)
    assert (tmp_path / "run" / "results.json").exists()


def test_a_full_disk_is_told_at_the_output_folder(
    build: Callable[..., FineTuneTrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    with pytest.raises(
        RecipeError, match=r"recipe\.yaml:18: training\.output_dir: the run writes about .* 1 MiB left"
    ):
        build()
