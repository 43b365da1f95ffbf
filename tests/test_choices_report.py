"""The lines of `hf-tune check` on what a recipe asks for."""

from collections.abc import Callable
from pathlib import Path

from hf_tune.choices_report import describe_choices
from hf_tune.recipe.reader import load_recipe


def test_each_block_that_says_something_is_a_line(write_recipe: Callable[..., Path]) -> None:
    overrides = ["objective.head_learning_rate=0.5", "hub.repo_id=alice/a", "card.license=mit"]
    lines = describe_choices(load_recipe(write_recipe(), overrides), ["Trained otherwise."])
    assert [line.partition(": ")[0] for line in lines] == ["training", "objective", "note", "preprocess", "hub"]
    assert "seed=0" in lines[0] and "head_learning_rate=0.5" in lines[1] and lines[2] == "note: Trained otherwise."
    assert lines[4] == "hub: alice/a, private, branch main, verified"


def test_what_is_not_asked_for_has_no_line(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(), ["training.learning_rate=0.1"])
    assert not any(line.startswith(("hub", "note")) for line in describe_choices(recipe, []))
