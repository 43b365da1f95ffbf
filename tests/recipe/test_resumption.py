"""What a resumed run may change, and what it may not."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.recipe.resumption import check_resumable, check_revision
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.stored import save_recipe


@pytest.fixture
def stored(write_recipe: Callable[..., Path], tmp_path: Path) -> Path:
    """Return the file of a recipe whose run stands in its output folder."""
    file = write_recipe()
    save_recipe(load_recipe(file), tmp_path / "run")
    return file


def add_to_stored(folder: Path, block: str) -> None:
    """Add lines below `model:` to the recipe of the run, as its saving does."""
    file = folder / "run" / "recipe.yaml"
    file.write_text(file.read_text().replace("model:\n", f"model:\n{block}"))


def test_the_same_recipe_may_be_resumed_from_its_own_file_too(stored: Path, tmp_path: Path) -> None:
    check_resumable(load_recipe(stored))
    check_resumable(load_recipe(tmp_path / "run" / "recipe.yaml"))


@pytest.mark.parametrize(
    "override",
    [
        "training.max_steps=9",
        "training.num_train_epochs=2",
        "training.logging_steps=1",
        "training.save_total_limit=2",
        "training.save_steps=5",
        "training.report_to=none",
        "training.per_device_eval_batch_size=4",
        "training.dataloader_num_workers=2",
        "card.license=mit",
    ],
)
def test_length_logs_saving_and_loading_of_rows_may_differ(override: str, stored: Path) -> None:
    check_resumable(load_recipe(stored, [override]))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("peft=probe", "peft: the run in {run} has 'full', this recipe 'probe'"),
        ("training.learning_rate=1", "training.learning_rate: the run in {run} has 0.01, this recipe 1"),
        ("data.load.rows=30", "data.load.rows: the run in {run} has nothing here, this recipe 30"),
        ("early_stopping.patience=3", "early_stopping.patience: the run in {run} has nothing here, this recipe 3"),
        ("preprocess.image_size=64", "preprocess.image_size: the run in {run} has 32, this recipe 64"),
    ],
)
def test_whatever_else_differs_is_named_with_both_values(
    override: str, told: str, stored: Path, tmp_path: Path
) -> None:
    """Found: another model, method or data set was taken for the run's, after its recipe.yaml was replaced."""
    overrides = [override, *(["model.pretrained=true"] if override.startswith("peft") else [])]
    with pytest.raises(RecipeError) as caught:
        check_resumable(load_recipe(stored, overrides))
    expected = told.format(run=repr(str(tmp_path / "run"))) + "; give a new `output_dir`"
    assert expected in str(caught.value)
    assert len(caught.value.problems) == len(overrides)


def test_every_key_that_differs_is_told(stored: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        check_resumable(load_recipe(stored, ["training.seed=5", "model.pretrained=true", "training.max_steps=9"]))
    assert [each.key for each in caught.value.problems] == ["model.pretrained", "training.seed"]


def test_what_saving_adds_is_no_difference(stored: Path, tmp_path: Path) -> None:
    add_to_stored(tmp_path, "  revision: abc\n")
    recipe = load_recipe(stored)
    check_resumable(recipe)
    check_revision(recipe, "abc")
    with pytest.raises(RecipeError, match=r"model\.revision: the run in .* has 'abc', this recipe 'd{40}'"):
        check_resumable(load_recipe(stored, [f"model.revision='{'d' * 40}'"]))


def test_a_branch_that_is_saved_as_its_commit_is_no_difference(stored: Path, tmp_path: Path) -> None:
    """An unchanged recipe with `revision: main` was refused: the run had a commit, and this recipe `main`."""
    add_to_stored(tmp_path, f"  revision: {'a' * 40}\n")
    recipe = load_recipe(stored, ["model.revision=main"])
    check_resumable(recipe)
    check_revision(recipe, "a" * 40)
    with pytest.raises(RecipeError, match="began from commit"):
        check_revision(recipe, "b" * 40)


def test_a_checkpoint_that_has_moved_on_is_told(stored: Path, tmp_path: Path) -> None:
    add_to_stored(tmp_path, "  revision: abc\n")
    with pytest.raises(RecipeError, match=r"began from commit 'abc' .* now has 'def'; write `revision: abc`"):
        check_revision(load_recipe(stored), "def")


def test_layers_that_quantisation_left_out_are_no_difference(stored: Path, tmp_path: Path) -> None:
    block = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    inline = "quant_method: bitsandbytes, load_in_8bit: true, llm_int8_skip_modules: [fc, pooler]"
    add_to_stored(tmp_path, f"  quantization_config: {{{inline}}}\n")
    check_resumable(quantise(load_recipe(stored), block))
    check_resumable(quantise(load_recipe(stored), {**block, "llm_int8_skip_modules": ["fc"]}))
    for changed in ({"llm_int8_threshold": 3.0}, {"llm_int8_skip_modules": ["conv1"]}):
        with pytest.raises(RecipeError, match=rf"quantization_config\.{next(iter(changed))}"):
            check_resumable(quantise(load_recipe(stored), {**block, **changed}))


def quantise(recipe: Recipe, block: dict[str, Any]) -> Recipe:
    """Return the recipe with a block that it need not be able to run with."""
    model = {**recipe.values["model"], "quantization_config": block}
    return dataclasses.replace(recipe, values={**recipe.values, "model": model})


def test_a_finished_run_is_resumed_only_to_be_made_longer(stored: Path, tmp_path: Path) -> None:
    """Found: a finished run was trained by one step more."""
    (tmp_path / "run" / "results.json").write_text("{}")
    with pytest.raises(RecipeError, match="is finished; raise `max_steps` or `num_train_epochs`"):
        check_resumable(load_recipe(stored, ["training.logging_steps=1"]))
    check_resumable(load_recipe(stored, ["training.num_train_epochs=2"]))


def test_a_folder_without_a_recipe_is_no_run_to_resume(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match=r"holds no recipe\.yaml"):
        check_resumable(load_recipe(stored))
