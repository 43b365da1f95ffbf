"""What a recipe may not say beside mixup and CutMix."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_tune.input_error import InputError
from hf_tune.recipe.mixing_rules import MIXING_RULES
from hf_tune.recipe.reader import load_recipe
from hf_tune.task import mix_nothing
from hf_tune.tasks.image_classification import TASK


def find(values: dict[str, Any], task: Any = TASK) -> dict[str, str]:
    """Return key → problem and hint."""
    found = [each for rule in MIXING_RULES for each in rule(values, task)]
    return {".".join(map(str, path)): f"{problem}; {hint}" for path, problem, hint in found}


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_what_mixed_rows_cannot_do_is_refused(name: str) -> None:
    mixed: dict[str, Any] = {"preprocess": {name: {"alpha": 0.2}}}
    assert find(mixed) == {}
    streamed = find({**mixed, "data": {"load": {"path": "csv", "streaming": True}}})
    assert "a row of a stream cannot be mixed" in streamed[f"preprocess.{name}"]
    kept = find({**mixed, "speed": {"feature_cache": "augmented(8)"}})
    assert f"views of rows cannot be kept where `preprocess.{name}` mixes them" in kept["speed.feature_cache"]
    assert find({**mixed, "speed": {"feature_cache": "auto"}}) == {}
    other = find(mixed, dataclasses.replace(TASK, mixing=mix_nothing))
    assert "give the task a `mixing`" in other[f"preprocess.{name}"]


def test_what_is_not_mixed_is_not_asked() -> None:
    streamed = {"data": {"load": {"path": "csv", "streaming": True}}, "speed": {"feature_cache": "augmented(8)"}}
    assert find({**streamed, "preprocess": {"mixup": None}}) == {}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("mixup: {alpha: 0}", "preprocess.mixup.alpha: 0 is out of range; it must be above 0"),
        ("mixup: {alfa: 1}", "preprocess.mixup.alfa: unknown key of Mixup; known: alpha"),
        ("cutmix: 1.0", "preprocess.cutmix: expected a block of keys, got 1.0"),
    ],
)
def test_a_wrong_value_is_told_with_its_line(block: str, words: str, write_recipe: Callable[..., Path]) -> None:
    file = write_recipe(replace=(("preprocess:\n", f"preprocess:\n  {block}\n"),))
    with pytest.raises(InputError) as caught:
        load_recipe(file, [])
    assert f"recipe.yaml:12: {words}" in str(caught.value)
