"""The checked recipe, and how it blames a step's error on a line."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_tune.input_error import InputError
from hf_tune.recipe.error import Problem, RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.recipe.schema import Recipe


@pytest.fixture
def recipe(write_recipe: Callable[..., Path]) -> Recipe:
    return load_recipe(write_recipe(), ["training.seed=7"])


def test_a_recipe_knows_its_folder_and_the_runs(recipe: Recipe, tmp_path: Path) -> None:
    assert recipe.folder == tmp_path and recipe.output_dir == tmp_path / "run"


@pytest.mark.parametrize(
    ("block", "at", "place", "key"),
    [
        (("data",), ("load", "path"), "recipe.yaml:9", "data.load.path"),
        (("data",), ("columns", "label"), "recipe.yaml:7", "data.columns.label"),
        (("data",), (), "recipe.yaml:7", "data"),
        (("model",), ("preprocess", "image_size"), "recipe.yaml:12", "preprocess.image_size"),
        (("training",), ("seed",), "command line: training.seed=7", "training.seed"),
    ],
)
def test_a_steps_error_is_blamed_on_the_line_of_its_key(
    block: tuple[str, ...], at: tuple[str, ...], place: str, key: str, recipe: Recipe
) -> None:
    with pytest.raises(RecipeError) as caught, recipe.blame(*block):
        raise InputError("it is wrong", "mend it", at=at)
    problem = caught.value.problems[0]
    assert problem.place.endswith(place) and problem.key == key
    assert (problem.problem, problem.hint) == ("it is wrong", "mend it")


def test_a_recipe_error_and_an_error_of_our_own_pass_as_they_are(recipe: Recipe) -> None:
    told = RecipeError([Problem(place="b.yaml:1", key="x", problem="wrong")])
    for error in (told, KeyError("ours")):
        with pytest.raises(type(error)) as caught, recipe.blame("data"):
            raise error
        assert caught.value is error


def test_a_recipe_cannot_be_changed(recipe: Recipe) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.task = "other"  # type: ignore[misc]
