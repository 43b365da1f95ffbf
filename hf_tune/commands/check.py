"""Say what a recipe would do: data, model, cost; nothing is trained, no weight is fetched, nothing is written.

hf-tune check RECIPE [block.key=value …]
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_tune.input_error import InputError


if TYPE_CHECKING:
    from hf_tune.data.splits import Splits
    from hf_tune.recipe.schema import Recipe
    from hf_tune.task import LoadedModel, Task


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report and return 0, or the problems and 2."""
    parser = argparse.ArgumentParser(prog="hf-tune check", description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="block.key=value")
    options = parser.parse_args(argv)
    print("checking; the libraries take a few seconds to load …", file=sys.stderr)
    try:
        from hf_tune.recipe.reader import load_recipe

        _report(load_recipe(options.recipe, options.overrides))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _report(recipe: "Recipe") -> None:
    from rich.console import Console

    from hf_tune.adapter.attach import attach_adapter, name_method
    from hf_tune.data.splits import load_splits
    from hf_tune.library_noise import quieten_bars
    from hf_tune.tasks import get_task

    quieten_bars()
    console = Console(highlight=False)
    task = get_task(recipe.task)
    with recipe.blame("data"):
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
    with recipe.blame("model"):
        outline = task.outline_model(
            dataclasses.replace(recipe.model, problem_type=splits.problem_type), recipe.preprocess, splits.label_names
        )
    with recipe.blame("peft"):
        model = attach_adapter(outline, recipe.peft, recipe.batch_norm, task.peft_task_type)
    kind = splits.problem_type.replace("_", " ")
    console.print(f"[bold]task[/] {recipe.task}, {kind}   [bold]method[/] {name_method(recipe.peft)}")
    console.print(f"[bold]model[/] {outline.base_id} {outline.revision or ''}")
    if outline.quantization:
        console.print(f"[bold]quantised[/] by {outline.quantization}", highlight=False)
    _report_data(console, splits)
    with recipe.blame("data"):
        _report_example(console, task, outline, splits)
    _report_cost(console, recipe, task, outline, model, splits)
    console.print("[bold]training[/] " + ", ".join(f"{name}={value!r}" for name, value in recipe.training.items()))
    rates = {name: value for name, value in dataclasses.asdict(recipe.objective).items() if value is not None}
    if rates:
        console.print("[bold]objective[/] " + ", ".join(f"{name}={value!r}" for name, value in rates.items()))
    if recipe.preprocess is not None:
        console.print(f"[bold]preprocess[/] {recipe.preprocess}")


def _report_data(console: Any, splits: "Splits") -> None:
    import numpy as np
    from rich.table import Table

    from hf_tune.data.streamed import StreamedSplit
    from hf_tune.task import REGRESSION

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
    table = Table(title="data", title_justify="left")
    table.add_column("label")
    for name, split in present.items():
        table.add_column(f"{name} ({len(split)})", justify="right")
    for number, label in list(enumerate(splits.label_names))[:40]:
        counts = (np.sum(_has_label(split.labels, number)) for split in present.values())
        table.add_row(label, *(str(int(count)) for count in counts))
    if len(splits.label_names) > 40:
        table.add_row(f"… {len(splits.label_names) - 40} more")
    if present:
        console.print(table)
    for note in splits.notes:
        console.print(f"- {note}")


def _has_label(labels: Any, number: int) -> Any:
    """Return for each row whether it has this class, or this label among others."""
    return labels[:, number] > 0 if labels.ndim == 2 else labels == number


def _report_example(console: Any, task: "Task", outline: "LoadedModel", splits: "Splits") -> None:
    example = splits.train[0]
    encoded = task.encode(example, outline.processor)
    inputs = task.to_inputs(task.collate([encoded], outline.processor), outline.processor)
    raw = {
        **task.input_statistics(example),
        **{name: value for name, value in example.items() if isinstance(value, (int, str))},
    }
    console.print("[bold]row 0 of train[/] " + ", ".join(f"{name} {_short(value)}" for name, value in raw.items()))
    for name, value in inputs.items():
        if not value.is_floating_point():
            console.print(f"  encoded: {name} {tuple(value.shape)} {value[0, :12].tolist()}")
            continue
        numbers = f"{value.min():.2f} to {value.max():.2f}, mean {value.double().mean():.2f}"
        console.print(f"  encoded: {name} {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}, {numbers}")
    _report_size(console, outline, raw, next(iter(inputs.values())).shape[-1])


def _report_size(console: Any, outline: "LoadedModel", raw: Mapping[str, Any], side: int) -> None:
    """Say where pictures meet an ImageNet model far from the size that it knows: that costs 10 to 40 points."""
    own = outline.own_size
    if outline.pretrained and own and side < own / 2:
        console.print(
            f"[yellow]warning[/] the checkpoint knows pictures of {own} pixels and gets {side}, which costs 10 to 40 "
            "points; leave `preprocess.image_size` out, and small pictures are enlarged"
        )
    elif "width" in raw and min(raw["width"], raw["height"]) < side / 2:
        console.print(f"  pictures of {raw['width']:.0f} x {raw['height']:.0f} pixels are enlarged to {side}")


def _report_cost(
    console: Any, recipe: "Recipe", task: "Task", outline: "LoadedModel", model: Any, splits: "Splits"
) -> None:
    from hf_tune.adapter.attach import count_parameters
    from hf_tune.model.quantised_base import count_saved_bytes
    from hf_tune.training.cost_estimate import estimate_memory_bytes
    from hf_tune.training.run_folder import estimate_disk_bytes
    from hf_tune.training.step_plan import count_steps
    from hf_tune.training.training_data import count_rows

    training = recipe.training
    batch = training.get("per_device_train_batch_size", 8)
    rows, max_steps = count_rows(splits.train), training.get("max_steps", -1)
    told = f"{max_steps} in all; how many rows the stream has is not known"
    if rows is not None:
        accumulation, epochs = training.get("gradient_accumulation_steps", 1), training.get("num_train_epochs", 3)
        plan = count_steps(-(-rows // batch), accumulation, epochs, max_steps)
        told = f"{plan.steps_per_epoch} an epoch on one process, {plan.steps} in all"
    trainable, total = count_parameters(model)
    example = task.collate([task.encode(splits.train[0], outline.processor)], outline.processor)
    memory, counted = estimate_memory_bytes(model, task.build_inputs(example, outline.processor, model), batch)
    memory -= count_saved_bytes(model, outline.quantization)
    rest = "" if counted else " without its activations"
    disk = estimate_disk_bytes(
        trainable, total, recipe.peft in ("full", "probe"), training.get("save_total_limit") or 1
    )
    console.print(f"[bold]parameters[/] {trainable:,} trained of {total:,} ({trainable / total:.2%})")
    console.print(f"[bold]steps[/] {told}")
    size = f"{memory / 2**20:,.0f} MiB"
    console.print(f"[bold]memory[/] about {size} for the model{rest}, beside the libraries (estimated)")
    console.print(f"[bold]disk[/] at most about {disk / 2**20:,.0f} MiB in {recipe.output_dir} (estimated)")


def _short(value: Mapping[str, Any] | float | int | str) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else repr(value)


if __name__ == "__main__":
    sys.exit(main())
