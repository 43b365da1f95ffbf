"""What a recipe asks for beside data, model and method: the lines of `hf-tune check` on its other blocks."""

from collections.abc import Sequence

from hf_tune.recipe.schema import Recipe


def describe_choices(recipe: Recipe, notes: Sequence[str]) -> list[str]:
    """Return a line `name: fact` for each block that says something; `notes` belong to the objective."""
    blocks = {"training": recipe.training, "objective": recipe.objective.list_changes()}
    lines = [
        f"{block}: " + ", ".join(f"{name}={value!r}" for name, value in values.items())
        for block, values in blocks.items()
        if values
    ]
    lines += [f"note: {note}" for note in notes]
    lines += [f"preprocess: {recipe.preprocess}"] if recipe.preprocess is not None else []
    lines += [f"hub: {recipe.hub.describe()}"] if recipe.hub is not None else []
    return lines
