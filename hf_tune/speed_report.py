"""What a recipe will compute once, and what in every epoch: the lines of `hf-tune check` on the `speed:` block."""

from typing import Any

import torch

from hf_tune.data.draws import Draws
from hf_tune.data.encoded import describe_decoded
from hf_tune.data.splits import Split, Splits
from hf_tune.data.streamed import StreamedSplit
from hf_tune.recipe.schema import Recipe
from hf_tune.task import Batch, LoadedModel, Task
from hf_tune.training.feature_plan import AUGMENTED, MIXED, is_augmented, outline_features
from hf_tune.training.memory_size import format_size


def describe_speed(recipe: Recipe, task: Task, outline: LoadedModel, model: Any, splits: Splits) -> list[str]:
    """Return a line on the data and one on the features; `model` is on the meta device, and nothing is written."""
    if isinstance(splits.train, StreamedSplit):
        return ["data: a stream, read while it trains"]
    batch = _read_two_rows(task, outline, splits.train)
    mixes = task.mixing(recipe.preprocess) is not None
    augments = is_augmented(task, recipe.preprocess, lambda epoch, rows: Draws(0, epoch, rows), batch)
    changed = " and ".join(word for word, done in (("augmented", augments), ("mixed", mixes)) if done)
    where = f"; {changed} on the device, a whole batch at once" if changed else ""
    lines = [f"data: {_describe_data(recipe, task, outline, splits)}{where}"]
    size = outline_features(task, model, outline.processor, batch)
    if size is not None and mixes:
        lines.append(f"features: computed in every epoch: {MIXED}")
    elif size is not None:
        lines.append(f"features: {_describe_features(recipe, len(splits.train), size, augments)}")
    return lines


def _read_two_rows(task: Task, outline: LoadedModel, split: Split) -> Batch:
    rows = [0, len(split) - 1]
    batch = task.collate([task.encode(split[row], outline.processor) for row in rows], outline.processor)
    return {**batch, "row": torch.tensor(rows)}


def _describe_data(recipe: Recipe, task: Task, outline: LoadedModel, splits: Splits) -> str:
    if task.encode_rows is not None:
        return "encoded once, in the cache of `datasets`"
    present = [split for split in (splits.train, splits.validation, splits.test) if split is not None]
    found = (
        [describe_decoded(split, task, outline.processor) for split in present] if recipe.speed.decoded_cache else []
    )
    kept = [each for each in found if each is not None and each.refusal is None]
    if len(kept) < len(present):
        reasons = [each.refusal for each in found if each is not None and each.refusal is not None]
        return "decoded in every epoch" + (f": {reasons[0]}" if reasons else "")
    there = ", there already" if all(each.is_there for each in kept) else ""
    return f"decoded once, {format_size(sum(each.num_bytes for each in kept))} in a file{there}"


def _describe_features(recipe: Recipe, num_rows: int, size: int, augments: bool) -> str:
    views = recipe.speed.num_views
    if recipe.speed.feature_cache == "off":
        return "computed in every epoch, as `speed.feature_cache: off` says"
    if augments and not views:
        return f"computed in every epoch: {AUGMENTED}"
    shape = f"{num_rows:,} x {size:,}" if not views else f"{views} views of {num_rows:,} x {size:,}"
    return f"computed once, {shape}, {format_size(max(views, 1) * num_rows * size * 4)} in a file"
