"""What `hf-tune check` says and shows of pictures: their size beside the model's, and a sheet of augmented rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hf_tune.data.draws import Draws
from hf_tune.data.splits import Split, Splits
from hf_tune.input_error import InputError
from hf_tune.model.own_network import count_tiles, get_network_side
from hf_tune.recipe.schema import Recipe
from hf_tune.results.plots import plot_lines
from hf_tune.task import Batch, Example, LoadedModel, Task
from hf_tune.training.partners import PartneredRows, change_rows
from hf_tune.training.training_data import TrainingData, read_rows


MOST_SHOWN = 32
DEFAULT_FILE = "augmented.png"
_COLUMNS = 8
_EPOCHS = 2
_MUCH_SMALLER = 4
"""Something of 8 pixels is of 2 then, which a network does not see."""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What the command line asks to see."""

    num_rows: int
    file: Path


def read_sheet(show: str | None, file: str | None) -> Sheet:
    """Return what `--show` and `--show-file` ask for; raises `InputError` for what cannot be drawn or written."""
    if show is None:
        raise InputError("--show-file without --show", "say how many rows: `--show 8`")
    file = DEFAULT_FILE if file is None else file
    if not (show.isdecimal() and 1 <= int(show) <= MOST_SHOWN):
        raise InputError(f"--show {show}", f"write a whole number of rows from 1 to {MOST_SHOWN}")
    path = Path(file)
    if path.suffix != ".png":
        raise InputError(f"--show-file {file}", "give a name that ends with .png")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--show-file {file}: there is no folder {str(path.parent)!r}", "make it first")
    return Sheet(num_rows=int(show), file=path)


def check_shown(task: Task, sheet: Sheet | None) -> None:
    """Raise `InputError` where rows are to be shown that are no pictures."""
    if sheet is not None and task.to_pictures is None:
        raise InputError(f"--show {sheet.num_rows}: this task has no pictures", "leave it out")


def describe_size(outline: LoadedModel, raw: Mapping[str, Any], side: int) -> list[str]:
    """Return how many tiles a picture is seen in, and what to know about its size, a line each."""
    config = outline.model.config
    tiles = count_tiles(config, side)
    seen = [f"  seen in {tiles} tiles of {get_network_side(config, side)} pixels"] if tiles > 1 else []
    told = _compare_size(outline, raw, side)
    return [*seen, told] if told else seen


def _compare_size(outline: LoadedModel, raw: Mapping[str, Any], side: int) -> str:
    """Return what to know where pictures are far from the size that they meet the model at, else nothing.

    `raw` may hold `width` and `height` of a picture, `side` is that of the model's input, in pixels. An ImageNet model
    that meets pictures far below its own size loses 10 to 40 points.
    """
    own, seen = outline.own_size, get_network_side(outline.model.config, side)
    if outline.pretrained and own and seen < own / 2:
        key = "preprocess.image_size" if seen == side else "preprocess.tiles.size"
        return (
            f"[yellow]warning[/] the checkpoint knows pictures of {own} pixels and gets {seen}, which costs 10 to 40 "
            f"points; leave `{key}` out, and small pictures are enlarged"
        )
    if "width" not in raw:
        return ""
    shorter, size = min(raw["width"], raw["height"]), f"{raw['width']:.0f} x {raw['height']:.0f}"
    if shorter < side / 2:
        return f"  pictures of {size} pixels are enlarged to {side}"
    if shorter >= _MUCH_SMALLER * side:
        factor = shorter / side
        return (
            f"[yellow]warning[/] pictures of {size} pixels are made {factor:.1f} times smaller, to {side}: what is "
            f"smaller than {2 * factor:.0f} pixels in them, such as a small defect, vanishes; where that matters "
            f"raise `preprocess.image_size`, with `preprocess.tiles: {{size: {seen}}}` to show it tile by tile"
        )
    return ""


def draw_sheet(recipe: Recipe, task: Task, outline: LoadedModel, splits: Splits, sheet: Sheet) -> str:
    """Write the sheet, and return what is on it; raises `RecipeError` for rows that cannot be read.

    Of rows spread over the training split it shows what the network would see without augmentation, and what it will
    see in the first epochs with the recipe's seed.
    """
    split = splits.train if isinstance(splits.train, Split) else splits.train.head
    seed = int(recipe.training.get("seed", 42))
    data = _build_data(recipe, task, outline, splits, split, seed)
    rows = np.unique(np.linspace(0, len(split) - 1, sheet.num_rows).round().astype(int))
    plain = read_rows(_Rows(recipe, split, task, outline.processor), rows.tolist(), _collate(task, outline))
    lines = [_pair(task, plain, [f"row {row}\n{name}" for row, name in zip(rows, _name(plain, splits), strict=True)])]
    for epoch in range(_EPOCHS):
        batch = read_rows(data.train, (epoch * len(split) + rows).tolist(), _collate(task, outline))
        changed = change_rows(task, data, batch, seed, epoch)
        lines.append(_pair(task, changed, [f"epoch {epoch}{mixed}" for mixed in _tell_parts(changed, splits)]))
    blocks = range(0, len(rows), _COLUMNS)
    plot_lines([line[start : start + _COLUMNS] for start in blocks for line in lines], sheet.file)
    return f"{len(rows)} training rows as they are and in {_EPOCHS} epochs: {sheet.file}"


class _Rows(Dataset):
    """Training rows, encoded when they are asked for."""

    def __init__(self, recipe: Recipe, split: Split, task: Task, processor: Any) -> None:
        self.recipe, self.split, self.task, self.processor = recipe, split, task, processor

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Example:
        epoch, row = divmod(index, len(self))
        with self.recipe.blame("data"), self.split.naming_row(row):
            encoded = self.task.encode(self.split[row], self.processor)
        return {**encoded, "row": torch.tensor(row), "epoch": torch.tensor(epoch)}


def _build_data(
    recipe: Recipe, task: Task, outline: LoadedModel, splits: Splits, split: Split, seed: int
) -> TrainingData:
    mixing, rows = task.mixing(recipe.preprocess), _Rows(recipe, split, task, outline.processor)
    return TrainingData(
        train=rows if mixing is None else PartneredRows(rows, mixing, seed, task, outline.processor),
        validation=rows,
        preprocess=recipe.preprocess,
        make_draws=Draws,
        label_names=splits.label_names,
    )


def _collate(task: Task, outline: LoadedModel) -> Any:
    return lambda rows: rows if isinstance(rows, dict) else task.collate(rows, outline.processor)


def _pair(task: Task, batch: Batch, titles: Sequence[str]) -> list[tuple[Any, str]]:
    assert task.to_pictures is not None
    return list(zip(task.to_pictures(batch), titles, strict=True))


def _name(batch: Batch, splits: Splits, key: str = "labels") -> list[str]:
    """Return the names of the rows' labels; nothing for labels that are no classes."""
    labels = batch.get(key)
    if labels is None or labels.ndim != 1 or labels.is_floating_point():
        return [""] * len(batch["row"])
    return [splits.label_names[number] for number in labels.tolist()]


def _tell_parts(batch: Batch, splits: Splits) -> list[str]:
    """Return of which labels each row is mixed; nothing where it is not."""
    if "share" not in batch:
        return [""] * len(batch["row"])
    parts = zip(batch["share"].tolist(), _name(batch, splits), _name(batch, splits, "partner_labels"), strict=True)
    return [f"\n{share:.0%} {one}\n{1 - share:.0%} {other}" for share, one, other in parts]
