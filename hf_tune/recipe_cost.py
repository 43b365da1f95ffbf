"""What a step of a recipe asks of one device, from the network on the meta device and the data's longest row."""

from dataclasses import replace
from typing import Any

from hf_tune.model.quantised_base import count_saved_bytes
from hf_tune.recipe.schema import Recipe
from hf_tune.task import LoadedModel, Task
from hf_tune.training.cost_model import Workload, estimate_costs, measure_workload
from hf_tune.training.longest_row import build_longest_row
from hf_tune.training.step_memory import count_step_memory


def measure_recipe(
    recipe: Recipe, task: Task, outline: LoadedModel, model: Any, train: Any, num_rows: int | None = None
) -> Workload:
    """Return what a step asks of one device, for a batch of rows that are all as long as the longest.

    `num_rows` None: as many as the recipe says.
    """

    def compute_loss(network: Any, rows: Any) -> Any:
        outputs = network(**task.build_inputs(rows, outline.processor, network))
        return task.loss(outputs, rows, recipe.training.get("label_smoothing_factor", 0.0)).sum()

    row = build_longest_row(task, outline.processor, train)
    num_rows = num_rows or recipe.training.get("per_device_train_batch_size", 8)
    step = count_step_memory(model, row, num_rows, compute_loss, recipe.training)
    workload = measure_workload(model, step, recipe.training, count_saved_bytes(model, outline.quantization))
    averages = workload.gradients if recipe.objective.ema_decay else 0  # as many bytes as the weights that train
    return replace(workload, states=workload.states + averages)


def find_batch_size(
    recipe: Recipe, task: Task, outline: LoadedModel, model: Any, train: Any, device_bytes: int
) -> int | None:
    """Return the largest half, quarter … of the recipe's batch that a device has room for; None: not even a row."""
    size = int(recipe.training.get("per_device_train_batch_size", 8))
    while size:
        workload = measure_recipe(recipe, task, outline, model, train, size)
        if estimate_costs(workload, 1)[0].memory <= device_bytes:
            return size
        size //= 2
    return None
