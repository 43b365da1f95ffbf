"""Put `block.key=value` from the command line into a recipe's values."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ruamel.yaml.error import YAMLError

from hf_tune.recipe.error import Problem, RecipeError
from hf_tune.recipe.source import KeyPath, Source, read_value


def apply_overrides(values: dict[str, Any], source: Source, overrides: Sequence[str]) -> tuple[dict[str, Any], Source]:
    """Return the values and the source after `overrides`, each `key=value` or `block.key=value` in YAML 1.2."""
    problems: list[Problem] = []
    texts: dict[KeyPath, str] = {}
    for text in overrides:
        key, equals, value_text = text.partition("=")
        place = f"command line: {text}"
        if not equals or not key or any(not part for part in key.split(".")):
            hint = "write it as `block.key=value`, such as `training.learning_rate=3e-4` or `peft=lora`"
            problems.append(Problem(place=place, key=key, problem="not an override", hint=hint))
            continue
        try:
            value = read_value(value_text)
        except YAMLError:
            hint = "quote it for the shell, as in 'data.splits.train=\"train[:80%]\"'"
            problems.append(Problem(place=place, key=key, problem=f"{value_text!r} is not valid YAML", hint=hint))
            continue
        path = tuple(key.split("."))
        blocker = _set(values, path, value)
        if blocker:
            problems.append(Problem(place=place, key=key, problem=blocker, hint=f"give `{path[0]}` as a block first"))
        texts[path] = text
    if problems:
        raise RecipeError(problems)
    return values, dataclasses.replace(source, overrides=texts)


def _set(values: dict[str, Any], path: tuple[str, ...], value: Any) -> str:
    """Set the value at `path`, making blocks on the way; return what stands in the way, if anything."""
    for depth, part in enumerate(path[:-1]):
        child = values.setdefault(part, {})
        if child is None:
            child = values[part] = {}
        if not isinstance(child, dict):
            return f"`{'.'.join(path[: depth + 1])}` is {child!r}, which has no keys"
        values = child
    values[path[-1]] = value
    return ""
