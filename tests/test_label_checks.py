"""What of a recipe depends on the labels: found before a network is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hf_tune.data.splits import load_splits
from hf_tune.label_checks import check_scores, find_row_loss
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task


def check(recipe: Path, *overrides: str) -> object:
    loaded = load_recipe(recipe, overrides)
    task = get_task(loaded.task)
    splits = load_splits(loaded.data, task, loaded.model.problem_type)
    check_scores(loaded, task, splits)
    return find_row_loss(loaded, splits)


def test_the_task_s_own_loss_needs_no_other(write_text_recipe: Callable[..., Path]) -> None:
    assert check(write_text_recipe()) is None
    assert check(write_text_recipe(), "objective.class_weights=balanced") is not None


def test_a_metric_that_these_labels_do_not_have_is_told(write_text_recipe: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match=r"early_stopping\.metric: the labels are .* has no metric 'rmse'"):
        check(write_text_recipe(), "early_stopping={metric: rmse, patience: 2}")


def test_a_decision_between_three_classes_is_told(write_text_recipe: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match="decision"):
        check(write_text_recipe(), "decision.threshold=youden")
