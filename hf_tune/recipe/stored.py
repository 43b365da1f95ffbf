"""recipe.yaml of a run: the recipe with the values of the command line, so that running it repeats the run."""

import importlib.util
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.source import BLOCKS
from hf_tune.task import LoadedModel
from hf_tune.training.checkpoints import write_whole


def save_recipe(recipe: Recipe, folder: Path, loaded: LoadedModel | None = None) -> str:
    """Write recipe.yaml, the run's values with overrides applied, and the user's loader beside; return its text.

    `loaded` adds the commit of the checkpoint, so that the recipe repeats the run when the Hub has moved on, and the
    layers that were not quantised, so that the base is built as it was. `resume_from_checkpoint` is left out: running
    recipe.yaml repeats the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = order_blocks(recipe.values)
    for name, value in (("revision", loaded.revision), ("quantization_config", loaded.quantization)) if loaded else ():
        values["model"] = {**values["model"], name: value} if value is not None else values["model"]
    text = dump_recipe(values)
    write_whole(folder / "recipe.yaml", text)
    loader, colon, _ = str(recipe.data.load["path"]).partition(":")
    own_modules = [loader] if colon and "/" not in loader else []
    own_modules += [recipe.task] if "." in recipe.task else []
    own_modules += [recipe.objective.loss.partition(":")[0]] if recipe.objective.loss else []
    for name in own_modules:
        _copy_module(name, recipe.folder.resolve(), folder)
    return text


def dump_recipe(values: Mapping[str, Any]) -> str:
    """Return the plain values of a recipe as YAML."""
    stream = io.StringIO()
    YAML().dump(order_blocks(values), stream)
    return stream.getvalue()


def _copy_module(name: str, source: Path, folder: Path) -> None:
    """Copy a module of the user's own that stands beside the recipe, so that recipe.yaml runs from where it lies."""
    found = importlib.util.find_spec(name)
    if found is not None and found.origin and Path(found.origin).is_relative_to(source):
        copy = folder / Path(found.origin).relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if copy.resolve() != Path(found.origin):
            shutil.copy(found.origin, copy)


def order_blocks(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the blocks in the order that recipes have, without the word that one run was resumed."""
    ordered = {name: values[name] for name in BLOCKS if values.get(name) is not None}
    training = {name: value for name, value in values["training"].items() if name != "resume_from_checkpoint"}
    return {**ordered, "training": training}
