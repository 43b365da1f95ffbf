"""What the data of a recipe are: the lines of `hf-tune check` on rows, labels, oddities and one example."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table

from hf_tune.data.repeats import find_repeats
from hf_tune.data.splits import Splits
from hf_tune.data.streamed import StreamedSplit
from hf_tune.picture_report import describe_size
from hf_tune.task import REGRESSION, SINGLE_LABEL, LoadedModel, Task


def show_data(console: Any, splits: Splits) -> None:
    """Print the rows of each label in each split, or how numbers lie, the notes on the cuts, and what is odd."""
    stream = splits.train if isinstance(splits.train, StreamedSplit) else None
    train = ("train, first rows", stream.head) if stream else ("train", splits.train)
    present: dict[str, Any] = {
        name: split for name, split in (train, ("validation", splits.validation), ("test", splits.test)) if split
    }
    if splits.problem_type == REGRESSION:
        for name, split in present.items():
            quantiles = ", ".join(
                f"{value:.3g}" for value in np.quantile(split.get_labels()["labels"], [0, 0.25, 0.5, 0.75, 1])
            )
            console.print(f"[bold]{name}[/] {len(split)} rows; {splits.label_names[0]}, quartiles: {quantiles}")
        present = {}
    is_binary = splits.problem_type == SINGLE_LABEL and len(splits.label_names) == 2
    table = Table(title="data", title_justify="left")
    table.add_column("label")
    for name, split in present.items():
        table.add_column(f"{name} ({len(split)})", justify="right")
    for number, label in list(enumerate(splits.label_names))[:40]:
        counts = (np.sum(_has_label(split.labels, number)) for split in present.values())
        role = " (positive)" if number == 1 and is_binary else ""
        table.add_row(label + role, *(str(int(count)) for count in counts))
    if len(splits.label_names) > 40:
        table.add_row(f"… {len(splits.label_names) - 40} more")
    if present:
        console.print(table)
    for note in splits.notes:
        console.print(f"- {note}")
    _show_findings(console, splits)


def _show_findings(console: Any, splits: Splits) -> None:
    """Print what is odd in the data, with rows that show it."""

    for finding in (*splits.findings, *find_repeats(splits)):
        console.print("[yellow]warning[/] ", end="")
        console.print(str(finding), markup=False)


def show_example(console: Any, task: Task, outline: LoadedModel, splits: Splits) -> None:
    """Print the first training row as it stands and as the network takes it."""

    example = splits.train[0]
    encoded = task.encode(example, outline.processor)
    inputs = task.to_inputs(task.collate([encoded], outline.processor), outline.processor)
    raw = {
        **task.input_statistics(example, outline.processor),
        **{name: value for name, value in example.items() if isinstance(value, (int, str))},
    }
    console.print("[bold]row 0 of train[/] " + ", ".join(f"{name} {_short(value)}" for name, value in raw.items()))
    for name, value in inputs.items():
        if not value.is_floating_point():
            console.print(f"  encoded: {name} {tuple(value.shape)} {value[0, :12].tolist()}")
            continue
        numbers = f"{value.min():.2f} to {value.max():.2f}, mean {value.double().mean():.2f}"
        console.print(f"  encoded: {name} {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}, {numbers}")
    for told in describe_size(outline, raw, next(iter(inputs.values())).shape[-1]):
        console.print(told)


def _has_label(labels: Any, number: int) -> Any:
    """Return for each row whether it has this class, or this label among others."""
    return labels[:, number] > 0 if labels.ndim == 2 else labels == number


def _short(value: Mapping[str, Any] | float | int | str) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else repr(value)
