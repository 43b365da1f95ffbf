"""recipe.yaml of a run: whole, with what was asked for, and runnable again."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_tune.recipe.reader import load_recipe
from hf_tune.recipe.resumption import check_resumable
from hf_tune.recipe.source import read_yaml
from hf_tune.recipe.stored import order_blocks, save_recipe


def test_the_saved_recipe_is_the_run_with_its_overrides(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(), ["training.seed=5"])
    text = save_recipe(recipe, tmp_path / "kept")
    assert (tmp_path / "kept" / "recipe.yaml").read_text() == text
    again = load_recipe(tmp_path / "kept" / "recipe.yaml")
    assert again.training == recipe.training and again.training["seed"] == 5
    assert (again.model, again.data, again.preprocess) == (recipe.model, recipe.data, recipe.preprocess)
    assert text.splitlines()[0] == "task: image_classification"


def test_the_users_loader_is_kept_beside_the_recipe(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe())
    save_recipe(recipe, tmp_path / "kept")
    kept = {file.name for file in (tmp_path / "kept").iterdir()}
    assert kept == {"recipe.yaml", "tiny_pictures.py"}
    assert (tmp_path / "kept" / "tiny_pictures.py").read_text() == (tmp_path / "tiny_pictures.py").read_text()


def test_a_module_of_the_standard_library_is_not_copied(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(replace=(("tiny_pictures:load", "json"),)))
    save_recipe(recipe, tmp_path / "kept")
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["recipe.yaml"]


def test_a_run_can_be_resumed_from_its_own_recipe(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    text = save_recipe(load_recipe(write_recipe()), tmp_path)
    assert (tmp_path / "recipe.yaml").read_text() == text


def test_a_recipe_is_written_whole(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    save_recipe(load_recipe(write_recipe()), kept)
    text = save_recipe(load_recipe(tmp_path / "recipe.yaml", ["training.seed=7"]), kept)
    assert (kept / "recipe.yaml").read_text() == text and "seed: 7" in text
    assert [path.name for path in kept.iterdir() if path.suffix == ".tmp"] == []


def test_a_recipe_that_cannot_be_written_leaves_the_old_one(
    write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    old = save_recipe(load_recipe(write_recipe()), kept)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save_recipe(load_recipe(tmp_path / "recipe.yaml", ["training.seed=7"]), kept)
    assert (kept / "recipe.yaml").read_text() == old


@pytest.mark.parametrize("value", ["true", "false"])
def test_running_a_stored_recipe_again_repeats_the_run_and_does_not_resume_it(
    value: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Found: `resume_from_checkpoint: true` was kept, so that recipe.yaml resumed where it should repeat."""
    recipe = load_recipe(write_recipe(), [f"training.resume_from_checkpoint={value}"])
    text = save_recipe(recipe, tmp_path / "run")
    assert "resume_from_checkpoint" not in text
    again = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert not again.training.get("resume_from_checkpoint")
    assert recipe.values["training"]["resume_from_checkpoint"] is (value == "true")
    check_resumable(recipe)  # its own run: nothing has changed
    check_resumable(again)


def test_the_commit_of_the_checkpoint_and_the_layers_left_in_floats_are_kept(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = load_recipe(write_recipe())
    loaded = SimpleNamespace(revision="a" * 40, quantization={"quant_method": "bitsandbytes", "load_in_8bit": True})
    save_recipe(recipe, tmp_path / "kept", loaded)
    model = read_yaml(tmp_path / "kept" / "recipe.yaml")[0]["model"]
    assert model["revision"] == "a" * 40
    assert model["quantization_config"] == {"quant_method": "bitsandbytes", "load_in_8bit": True}
    assert "revision" not in recipe.values["model"]


def test_blocks_come_in_the_order_of_recipes_and_empty_ones_are_left_out() -> None:
    values = {"training": {"seed": 1}, "card": None, "model": {}, "task": "image_classification"}
    assert list(order_blocks(values)) == ["task", "model", "training"]


def test_a_loss_of_ones_own_is_kept_beside_the_recipe(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "own_loss_kept.py").write_text("def lose(logits, labels):\n    return logits[:, 0]\n")
    recipe = load_recipe(write_recipe(), ["objective.loss=own_loss_kept:lose"])
    save_recipe(recipe, tmp_path / "kept")
    assert (tmp_path / "kept" / "own_loss_kept.py").read_text() == (tmp_path / "own_loss_kept.py").read_text()
