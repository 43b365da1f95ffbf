"""The lines of `hf-tune check` on the data, without the command around them."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from hf_tune.data.splits import load_splits
from hf_tune.data_report import show_data
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task


def show(recipe: Path, *overrides: str) -> str:
    loaded = load_recipe(recipe, overrides)
    console = Console(width=200, record=True, highlight=False)
    show_data(console, load_splits(loaded.data, get_task(loaded.task), loaded.model.problem_type))
    return console.export_text()


def test_each_label_is_counted_in_each_split(write_text_recipe: Callable[..., Path]) -> None:
    told = show(write_text_recipe())
    assert "train (24)" in told and "validation (9)" in told and "test (11)" in told
    assert [line.split()[1] for line in told.splitlines() if line.startswith("│")] == ["blue", "green", "red"]


def test_numbers_are_told_by_their_quartiles(write_text_recipe: Callable[..., Path]) -> None:
    told = show(write_text_recipe(replace=(("tiny_texts:load", "tiny_texts:load\n    kind: number"),)))
    assert "train 24 rows; label, quartiles: 1.5, 1.5, 2.5, 3.5, 3.5" in told


def test_of_two_classes_the_positive_one_is_named(write_recipe: Callable[..., Path]) -> None:
    told = show(write_recipe(replace=(("tiny_pictures:load", "tiny_pictures:load\n    classes: 2"),)))
    assert "green (positive)" in told and "red (positive)" not in told
