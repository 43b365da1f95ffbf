"""What a recipe may say of a stream, whose length nobody knows; each function is named as the sentence it enforces."""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_tune.recipe.source import KeyPath
from hf_tune.task import Task
from hf_tune.training.arguments import get_stream_defaults


def is_streamed(values: Mapping[str, Any]) -> bool:
    """Return whether the plain values of a recipe ask for a stream."""
    load = (values.get("data") or {}).get("load")
    return isinstance(load, Mapping) and bool(load.get("streaming"))


def get_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training arguments that stand in where a stream's recipe has none; none for a table."""
    max_steps = (values.get("training") or {}).get("max_steps")
    return get_stream_defaults(max_steps) if is_streamed(values) and isinstance(max_steps, int) else {}


def a_stream_ends_after_max_steps(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield a stream without an end: there are no epochs that could be counted."""
    max_steps = (values.get("training") or {}).get("max_steps")
    if is_streamed(values) and (max_steps is None or (isinstance(max_steps, int) and max_steps < 0)):
        hint = "write `max_steps`, the number of optimiser steps"
        yield ("training", "max_steps"), "nobody knows how long an epoch of a stream is", hint


def a_stream_has_no_epochs(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield a strategy that waits for the end of an epoch."""
    training = values.get("training") or {}
    for name in ("eval_strategy", "save_strategy", "logging_strategy"):
        if is_streamed(values) and training.get(name) == "epoch":
            steps = name.replace("strategy", "steps")
            yield ("training", name), "a stream has no end of an epoch", f"write `steps`, and how many as `{steps}`"


def a_stream_has_no_longest_row(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield what has to know the rows beforehand."""
    training = values.get("training") or {}
    if is_streamed(values) and training.get("train_sampling_strategy") == "group_by_length":
        yield ("training", "train_sampling_strategy"), "the lengths of a stream's rows are not known", "leave it out"
    if is_streamed(values) and training.get("auto_find_batch_size"):
        problem = "the longest row of a stream is not known"
        yield ("training", "auto_find_batch_size"), problem, "write a `per_device_train_batch_size` that fits"


def a_stream_is_read_as_it_trains(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield `num_proc`, which prepares files on the disk, and a buffer for rows that are all there."""
    data = values.get("data") or {}
    if is_streamed(values) and data["load"].get("num_proc") is not None:
        hint = "write `training.dataloader_num_workers`"
        yield ("data", "load", "num_proc"), "a stream is not prepared by several processes", hint
    if not is_streamed(values) and data.get("shuffle_buffer") is not None:
        hint = "leave it out, or write `streaming: true` under `load:`"
        yield ("data", "shuffle_buffer"), "only a stream is shuffled in a buffer", hint


def a_stream_cannot_be_cut(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield what needs all rows before the run: which group a row is in, and how many rows a class has."""
    data = values.get("data") or {}
    splits = data.get("splits")
    if is_streamed(values) and isinstance(splits, Mapping) and splits.get("by") is not None:
        problem = "of a stream nobody knows which values stand in train"
        yield ("data", "splits", "by"), problem, "leave it out, and cut the data before"
    if is_streamed(values) and data.get("rare") is not None:
        yield ("data", "rare"), "of a stream nobody has counted the rows of a class", "leave it out"


STREAM_RULES = (
    a_stream_ends_after_max_steps,
    a_stream_has_no_epochs,
    a_stream_has_no_longest_row,
    a_stream_is_read_as_it_trains,
    a_stream_cannot_be_cut,
)
