"""Say what a recipe would do: data, model, cost; nothing is trained, no weight is fetched, nothing is written.

hf-tune check RECIPE [block.key=value …] [--processes 8] [--device-memory 80GiB]

With --processes or --device-memory it also says what DDP, FSDP2 and ZeRO stage 3 would cost every device, estimated by
formulas: the devices are not there. Exit codes: 0 done, 2 the input is wrong, 4 no strategy fits into --device-memory.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_tune.input_error import InputError


if TYPE_CHECKING:
    from hf_tune.data.splits import Splits
    from hf_tune.recipe.schema import Recipe
    from hf_tune.task import LoadedModel, Task
    from hf_tune.training.cost_model import Workload


@dataclass(frozen=True, kw_only=True)
class _Devices:
    """What the command line asks about."""

    processes: int
    """One on every device."""
    memory: int | None
    """Bytes of every device; None where they were not given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report and return 0, the problems and 2, or the report and 4 where no device has room for the run."""
    parser = argparse.ArgumentParser(prog="hf-tune check", description=__doc__.partition("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="block.key=value")
    parser.add_argument("--processes", metavar="N", help="say what a run on so many devices costs each; default 1")
    parser.add_argument(
        "--device-memory", metavar="80GiB", help="say whether it fits: MiB, GiB, MB, GB; a number is GiB"
    )
    options = parser.parse_intermixed_args(argv)
    print("checking; the libraries take a few seconds to load …", file=sys.stderr)
    try:
        from hf_tune.recipe.reader import load_recipe

        devices = _read_devices(options.processes, options.device_memory)
        return _report(load_recipe(options.recipe, options.overrides), devices)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2


def _read_devices(processes: str | None, device_memory: str | None) -> _Devices | None:
    """Return what was asked on the command line; None where nothing was."""
    if processes is None and device_memory is None:
        return None
    from hf_tune.training.cost_advice import MOST_PROCESSES
    from hf_tune.training.memory_size import read_memory_size

    if processes is not None and not (processes.isdecimal() and 1 <= int(processes) <= MOST_PROCESSES):
        raise InputError(f"--processes {processes}", f"write a whole number from 1 to {MOST_PROCESSES}")
    try:
        memory = None if device_memory is None else read_memory_size(device_memory)
    except InputError as error:
        raise InputError(f"--device-memory: {error.problem}", error.hint) from None
    return _Devices(processes=int(processes or 1), memory=memory)


def _report(recipe: "Recipe", devices: _Devices | None) -> int:
    from rich.console import Console

    from hf_tune.adapter.attach import attach_adapter, name_method
    from hf_tune.assembly import check_network, find_row_loss
    from hf_tune.data.splits import load_splits
    from hf_tune.library_noise import quieten_bars
    from hf_tune.speed_report import describe_speed
    from hf_tune.tasks import get_task
    from hf_tune.training.cost_advice import find_cures
    from hf_tune.training.row_loss import describe_objective
    from hf_tune.training.step_memory import can_checkpoint
    from hf_tune.training.training_data import count_rows

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
    with recipe.blame("training"):
        check_network(recipe.training, outline.model)
    with recipe.blame("objective"):
        row_loss = find_row_loss(recipe, splits)
    kind = splits.problem_type.replace("_", " ")
    console.print(f"[bold]task[/] {recipe.task}, {kind}   [bold]method[/] {name_method(recipe.peft)}")
    console.print(f"[bold]model[/] {outline.base_id} {outline.revision or ''}")
    if outline.quantization:
        console.print(f"[bold]quantised[/] by {outline.quantization}", highlight=False)
    _report_data(console, splits)
    with recipe.blame("data"):
        _report_example(console, task, outline, splits)
    with recipe.blame("data"):
        workload = _measure_workload(recipe, task, outline, model, splits)
    _report_cost(console, recipe, model, count_rows(splits.train), workload)
    for line in describe_speed(recipe, task, outline, model, splits):
        name, _, fact = line.partition(": ")
        console.print(f"[bold]{name}[/] {fact}")
    console.print("[bold]training[/] " + ", ".join(f"{name}={value!r}" for name, value in recipe.training.items()))
    changes = recipe.objective.list_changes()
    if changes:
        console.print("[bold]objective[/] " + ", ".join(f"{name}={value!r}" for name, value in changes.items()))
    for note in describe_objective(recipe.objective, row_loss, splits.label_names):
        console.print(f"- {note}")
    if recipe.preprocess is not None:
        console.print(f"[bold]preprocess[/] {recipe.preprocess}")
    if devices is None:
        return 0
    cures = find_cures(recipe.training, can_checkpoint(model), recipe.peft == "full" and outline.pretrained)
    return _report_devices(console, recipe, count_rows(splits.train), workload, cures, devices)


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


def _measure_workload(
    recipe: "Recipe", task: "Task", outline: "LoadedModel", model: Any, splits: "Splits"
) -> "Workload":
    """Return what a step asks of one device, for a batch of rows that are all as long as the longest."""
    from hf_tune.model.quantised_base import count_saved_bytes
    from hf_tune.training.cost_model import measure_workload
    from hf_tune.training.longest_row import build_longest_row
    from hf_tune.training.step_memory import count_step_memory

    def compute_loss(network: Any, rows: Any) -> Any:
        outputs = network(**task.build_inputs(rows, outline.processor, network))
        return task.loss(outputs, rows, recipe.training.get("label_smoothing_factor", 0.0)).sum()

    row = build_longest_row(task, outline.processor, splits.train)
    num_rows = recipe.training.get("per_device_train_batch_size", 8)
    step = count_step_memory(model, row, num_rows, compute_loss, recipe.training)
    workload = measure_workload(model, step, recipe.training, count_saved_bytes(model, outline.quantization))
    averages = workload.gradients if recipe.objective.ema_decay else 0  # as many bytes as the weights that train
    return dataclasses.replace(workload, states=workload.states + averages)


def _tell_steps(training: Mapping[str, Any], num_rows: int | None, processes: int, on: str) -> str:
    """Return the steps of an epoch and of the run; `num_rows` None is a stream."""
    from hf_tune.training.step_plan import count_steps

    if num_rows is None:
        return f"{training['max_steps']} in all; how many rows the stream has is not known"
    rows = training.get("per_device_train_batch_size", 8) * processes
    accumulation, epochs = training.get("gradient_accumulation_steps", 1), training.get("num_train_epochs", 3)
    plan = count_steps(-(-num_rows // rows), accumulation, epochs, training.get("max_steps", -1))
    return f"{plan.steps_per_epoch} {on}, {plan.steps} in all"


def _report_cost(console: Any, recipe: "Recipe", model: Any, num_rows: int | None, workload: "Workload") -> None:
    from hf_tune.adapter.attach import count_parameters
    from hf_tune.training.cost_model import estimate_costs
    from hf_tune.training.run_folder import estimate_disk_bytes

    trainable, total = count_parameters(model)
    rest = "" if workload.step.activations else " without its activations"
    averaged = trainable if recipe.objective.ema_decay else 0
    disk = estimate_disk_bytes(
        trainable, total, recipe.peft in ("full", "probe"), recipe.training.get("save_total_limit") or 1, averaged
    )
    console.print(f"[bold]parameters[/] {trainable:,} trained of {total:,} ({trainable / total:.2%})")
    console.print(f"[bold]steps[/] {_tell_steps(recipe.training, num_rows, 1, 'an epoch on one process')}")
    size = f"{estimate_costs(workload, 1)[0].memory / 2**20:,.0f} MiB"
    console.print(f"[bold]memory[/] about {size} for the model{rest}, beside the libraries (estimated)")
    console.print(f"[bold]disk[/] at most about {disk / 2**20:,.0f} MiB in {recipe.output_dir} (estimated)")


def _report_devices(
    console: Any, recipe: "Recipe", num_rows: int | None, workload: "Workload", cures: Sequence[str], devices: _Devices
) -> int:
    """Print what every strategy costs a device; return 4 where its memory was given and none fits, else 0."""
    from hf_tune.training.cost_advice import describe_batch, describe_lack, find_processes
    from hf_tune.training.cost_model import estimate_costs
    from hf_tune.training.cost_table import build_cost_table
    from hf_tune.training.memory_size import format_size

    processes, memory = devices.processes, devices.memory
    batch = recipe.training.get("per_device_train_batch_size", 8)
    costs = estimate_costs(workload, processes)
    on = "1 process" if processes == 1 else f"{processes:,} processes"
    console.print(f"[bold]on {on}[/] {_tell_steps(recipe.training, num_rows, processes, 'steps an epoch')}")
    console.print(build_cost_table(costs, memory))
    console.print(f"- {describe_batch(batch, workload.accumulation, processes)}")
    console.print("- estimated by formulas from the network on the meta device; nothing was run on such devices")
    console.print("- what the libraries take for themselves on a device, and gaps between tensors, come on top")
    if not workload.step.activations:
        console.print(
            "- activations could not be counted and come on top: the network looks at the values of its inputs"
        )
    if memory is None:
        return 0
    lacking = [cost for cost in costs if cost.memory > memory]
    for cost in lacking:
        console.print(f"- {describe_lack(cost, workload, batch, cures, processes, memory)}")
    if len(lacking) < len(costs):
        return 0
    fewest = find_processes(workload, memory)
    if fewest is None:
        console.print(
            f"- no number of processes makes this batch fit {format_size(memory)}: activations are not shared out"
        )
    else:
        console.print(f"- fsdp2 fits {format_size(memory)} from {fewest:,} processes on")
    return 4


def _short(value: Mapping[str, Any] | float | int | str) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else repr(value)


if __name__ == "__main__":
    sys.exit(main())
