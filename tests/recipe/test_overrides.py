"""`block.key=value` of the command line."""

from typing import Any

import pytest

from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.overrides import apply_overrides
from hf_tune.recipe.source import Source


SOURCE = Source("a.yaml", {("training",): 1, ("training", "seed"): 2})


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.seed=3", {"training": {"seed": 3}, "peft": "full", "card": None}),
        ("training.lr=3e-4", {"training": {"seed": 0, "lr": 3e-4}, "peft": "full", "card": None}),
        ("peft=lora", {"training": {"seed": 0}, "peft": "lora", "card": None}),
        ("peft={r: 4}", {"training": {"seed": 0}, "peft": {"r": 4}, "card": None}),
        ("card.a.b=no", {"training": {"seed": 0}, "peft": "full", "card": {"a": {"b": "no"}}}),
        ("new.a=x=y", {"training": {"seed": 0}, "peft": "full", "card": None, "new": {"a": "x=y"}}),
    ],
)
def test_an_override_sets_its_key_and_makes_the_blocks_on_the_way(override: str, expected: dict[str, Any]) -> None:
    values, _ = apply_overrides({"training": {"seed": 0}, "peft": "full", "card": None}, SOURCE, [override])
    assert values == expected


def test_the_last_of_two_overrides_counts() -> None:
    values, source = apply_overrides({}, SOURCE, ["training.seed=1", "training.seed=2"])
    assert values == {"training": {"seed": 2}}
    assert source.overrides == {("training", "seed"): "training.seed=2"}


def test_an_overridden_key_no_longer_has_the_files_line() -> None:
    _, source = apply_overrides({"training": {"seed": 0}}, SOURCE, ["training.seed=x"])
    assert source.problem(("training", "seed"), "wrong").place == "command line: training.seed=x"
    assert SOURCE.problem(("training", "seed"), "wrong").place == "a.yaml:2"


def test_no_override_changes_nothing() -> None:
    assert apply_overrides({"a": 1}, SOURCE, []) == ({"a": 1}, SOURCE)


def test_every_broken_override_is_told_at_once() -> None:
    broken = ["seed", "=3", "a..b=3", "a.=3", "peft.r=4", "card=[1"]
    with pytest.raises(RecipeError) as caught:
        apply_overrides({"peft": "full"}, SOURCE, broken)
    told = caught.value.problems
    assert [problem.place for problem in told] == [f"command line: {text}" for text in broken]
    assert [problem.problem for problem in told] == [
        *["not an override"] * 4,
        "`peft` is 'full', which has no keys",
        "'[1' is not valid YAML",
    ]
