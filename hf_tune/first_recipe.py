"""The first recipe for somebody's data: looked at, chosen, checked, and written with the reason for each choice."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_tune.adapter.attach import attach_adapter
from hf_tune.data.splits import load_splits
from hf_tune.data.survey import Survey, survey_data
from hf_tune.input_error import InputError
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.first_values import Machine, build_values, fill_values, name_output, write_text
from hf_tune.recipe.reader import build_recipe
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.source import Source
from hf_tune.recipe_cost import find_batch_size
from hf_tune.task import Choice, LoadedModel, Suggestion, Task
from hf_tune.tasks import get_task, list_tasks
from hf_tune.training.memory_size import format_size


_ROOM = 0.8
"""Share of a device's memory that a run may take: libraries and other programs need some."""
SCHEMA = "recipe.schema.json"
_LABELS = frozenset({"classes", "label lists", "numbers"})
_NO_COLUMN = Choice(value=None, why="")


def find_machine(device_memory: int | None) -> Machine:
    """Return the device that trains: a GPU of so many bytes, or what this machine has."""
    import psutil
    import torch

    if device_memory is not None:
        name = f"a device of {format_size(device_memory)}, as --device-memory says"
        return Machine(has_gpu=True, memory=device_memory, name=name)
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
        name = f"{torch.cuda.get_device_name(0)}, {format_size(memory)}"
        return Machine(has_gpu=True, memory=memory, name=name, has_bf16=torch.cuda.is_bf16_supported())
    memory = psutil.virtual_memory().available
    return Machine(has_gpu=False, memory=memory, name=f"a CPU ({os.cpu_count()} cores, {format_size(memory)} free)")


def draft_recipe(
    file: Path, path: str, task_name: str | None, machine: Machine, given: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Return the text of a recipe for the data at a path, which passes every check, and what was found, in lines.

    `given` are the values that somebody has chosen: `model`, and `columns.ROLE`. Raises `InputError` where the data
    fits no task, or the task that was asked for.
    """
    survey = survey_data(path)
    survey = _take_columns(survey, given)
    task_name, suggestion = choose_task(survey, task_name, machine.has_gpu, path)
    suggestion = _take_given(survey, suggestion, given)
    blocks = build_values(task_name, survey, suggestion, machine, name_output(file))
    blocks, notes = _fit(blocks, file, machine)
    found = _describe(survey, suggestion)
    header = [
        f"yaml-language-server: $schema={SCHEMA}",
        f"Written by `hf-tune new` for {path}; every value may be changed.",
        "",
        f"    accelerate launch -m hf_tune.run {file}",
        "",
        *found,
        f"Chosen for {machine.name}; nothing was measured yet.",
    ]
    return write_text(blocks, header), [*found, *notes]


def choose_task(survey: Survey, name: str | None, has_gpu: bool, path: str) -> tuple[str, Suggestion]:
    """Return the task, the one asked for or the first that the data fits, and what it suggests."""
    names = list_tasks() if name is None else [name]
    for each in names:
        suggestion = get_task(each).suggest(survey, has_gpu)
        if suggestion is not None:
            return each, suggestion
    wanted = "; ".join(
        f"{each} needs " + " and ".join(f"{role} ({what})" for role, what in _list_roles(get_task(each)).items())
        for each in names
    )
    problem = f"the columns of {path!r} fit no task: {survey.describe()}"
    raise InputError(problem, f"{wanted}; name one by --column ROLE=NAME where it was not seen")


def _list_roles(task: Task) -> dict[str, str]:
    return {role: what for role, what in task.columns.items() if role not in task.optional_columns}


def _take_columns(survey: Survey, given: Mapping[str, str]) -> Survey:
    """Return the survey without the columns that stand in the way of those that were named."""
    named = {role.partition(".")[2]: name for role, name in given.items() if role.startswith("columns.")}
    for name in named.values():
        survey.get(name)
    if "label" not in named:
        return survey
    label = survey.get(named["label"])
    if not label.kinds & _LABELS:
        told = ", ".join(sorted(label.kinds)) or "values of another kind"
        raise InputError(f"column {label.name!r} holds {told}, no labels", "name another as --column label=NAME")
    columns = [
        dataclasses.replace(each, kinds=each.kinds - ({"whole numbers"} if each.name == label.name else _LABELS))
        for each in survey.columns
    ]
    return dataclasses.replace(survey, columns=columns)


def _take_given(survey: Survey, suggestion: Suggestion, given: Mapping[str, str]) -> Suggestion:
    asked = {name: Choice(value=value, why="as asked for") for name, value in given.items()}
    columns = {role.partition(".")[2]: each for role, each in asked.items() if role.startswith("columns.")}
    return dataclasses.replace(
        suggestion,
        columns={**suggestion.columns, **columns},
        checkpoint=asked.get("model", suggestion.checkpoint),
    )


def _fit(blocks: dict[str, Any], file: Path, machine: Machine) -> tuple[dict[str, Any], list[str]]:
    """Return the blocks that load, build and fit into the memory, and notes of the data."""
    recipe = _build(blocks, file)
    task = get_task(recipe.task)
    with recipe.blame("data"):
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
    blocks, recipe, outline = _outline(blocks, recipe, task, splits, file)
    with recipe.blame("peft"):
        model = attach_adapter(outline, recipe.peft, recipe.batch_norm, task.peft_task_type)
    with recipe.blame("data"):
        size = find_batch_size(recipe, task, outline, model, splits.train, int(_ROOM * machine.memory))
    training = dict(blocks["training"])
    batch = training["per_device_train_batch_size"].value
    if size is None:
        hint = "take a smaller checkpoint: --model NAME"
        raise InputError(f"{outline.base_id} does not fit {machine.name}, not even with one row at a time", hint)
    if size < batch:
        why = f"more do not fit {machine.name}"
        training["per_device_train_batch_size"] = Choice(value=size, why=why)
        training["gradient_accumulation_steps"] = Choice(value=batch // size, why=f"so that a step has {batch} rows")
    return {**blocks, "training": training}, list(splits.notes)


def _build(blocks: Mapping[str, Any], file: Path) -> Recipe:
    return build_recipe(fill_values(blocks), Source(str(file), {}))


def _outline(
    blocks: dict[str, Any], recipe: Recipe, task: Task, splits: Any, file: Path
) -> tuple[dict[str, Any], Recipe, LoadedModel]:
    """Return the network without weights; a size that the checkpoint does not take is left out of the blocks."""
    source = dataclasses.replace(recipe.model, problem_type=splits.problem_type)
    try:
        with recipe.blame("model"):
            return blocks, recipe, task.outline_model(source, recipe.preprocess, splits.label_names)
    except RecipeError as error:
        key = error.problems[0].key.partition("preprocess.")[2]
        if key in blocks.get("preprocess", {}):
            rest = {name: each for name, each in blocks["preprocess"].items() if name != key}
            blocks = {name: rest if name == "preprocess" else each for name, each in blocks.items()}
            blocks = {name: each for name, each in blocks.items() if each}
            return _outline(blocks, _build(blocks, file), task, splits, file)
        problem = error.problems[0]
        hint = f"{problem.hint}; or name another checkpoint, such as a folder, by --model"
        raise InputError(problem.problem, hint) from None


def _describe(survey: Survey, suggestion: Suggestion) -> list[str]:
    """Return what was found, in lines."""
    rows = ", ".join(f"{name} {count:,}" for name, count in survey.rows.items())
    roles = "; ".join(f"{role}: column {each.value}, {each.why}" for role, each in suggestion.columns.items())
    sides = [
        side
        for name, side in survey.picture_sides.items()
        if name == suggestion.columns.get("image", _NO_COLUMN).value
    ]
    pictures = [f"Half of the pictures have a shorter side of at most {side} pixels." for side in sides]
    return [f"Rows: {rows}.", f"Roles: {roles}.", *pictures]
