"""What a recipe may say of rows that are mixed with others; each function is named as the sentence it enforces."""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_tune.recipe.source import KeyPath
from hf_tune.recipe.stream_rules import is_streamed
from hf_tune.task import Task, mix_nothing


def _find_ways(values: Mapping[str, Any]) -> list[str]:
    preprocess = values.get("preprocess") or {}
    return [name for name in ("mixup", "cutmix") if preprocess.get(name) is not None]


def a_stream_has_no_partners(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield mixing on rows of which only the next ones can be had."""
    for name in _find_ways(values) if is_streamed(values) else ():
        hint = "leave it out, or read the data without `streaming: true`"
        yield ("preprocess", name), "a row of a stream cannot be mixed with one from elsewhere in the data", hint


def kept_views_are_not_mixed(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield mixing beside features that are kept: a row is mixed with another one in every epoch."""
    word = str((values.get("speed") or {}).get("feature_cache", "auto"))
    for name in _find_ways(values) if word.startswith("augmented") else ():
        hint = "leave one of the two out"
        yield ("speed", "feature_cache"), f"views of rows cannot be kept where `preprocess.{name}` mixes them", hint


def mixed_rows_need_a_task_that_mixes(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield mixing on a task that would pass it over, such as one of the user's own with the options of another."""
    for name in _find_ways(values):
        if task.mixing is mix_nothing:
            yield ("preprocess", name), "this task does not mix rows", "leave it out, or give the task a `mixing`"


MIXING_RULES = (a_stream_has_no_partners, kept_views_are_not_mixed, mixed_rows_need_a_task_that_mixes)
