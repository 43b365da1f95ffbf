"""What a step of a recipe needs on one device."""

from collections.abc import Callable
from pathlib import Path

from hf_tune.adapter.attach import attach_adapter
from hf_tune.data.splits import load_splits
from hf_tune.recipe.reader import load_recipe
from hf_tune.recipe_cost import find_batch_size, measure_recipe
from hf_tune.tasks import get_task
from hf_tune.training.cost_model import estimate_costs


def test_the_batch_is_halved_until_it_fits(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(), ["training.per_device_train_batch_size=16"])
    task = get_task(recipe.task)
    splits = load_splits(recipe.data, task)
    outline = task.outline_model(recipe.model, recipe.preprocess, splits.label_names)
    model = attach_adapter(outline, recipe.peft, None, None)
    needed = {
        size: estimate_costs(measure_recipe(recipe, task, outline, model, splits.train, size), 1)[0].memory
        for size in (1, 4, 8, 16)
    }
    assert needed[1] < needed[4] < needed[8] < needed[16]
    assert measure_recipe(recipe, task, outline, model, splits.train).step.with_gradients > 0

    def find(memory: int) -> int | None:
        return find_batch_size(recipe, task, outline, model, splits.train, memory)

    assert find(needed[16]) == 16 and find(needed[16] - 1) == 8 and find(needed[4]) == 4
    assert find(needed[1] - 1) is None
