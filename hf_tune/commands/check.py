"""Say what a recipe would do: data, model, cost, time; no weight is fetched, and nothing is written.

hf-tune check RECIPE [block.key=value …] [--no-timing] [--processes 8] [--device-memory 80GiB]
    [--show 8 [--show-file augmented.png]]

Three steps on real rows are timed on this machine, with a network of the same shape, unless --no-timing is given.

With --processes or --device-memory it also says what DDP, FSDP2 and ZeRO stage 3 would cost every device, estimated by
formulas: the devices are not there. With --show it draws training pictures as they are and augmented, the one thing
that it writes. Exit codes: 0 done, 2 the input is wrong, 4 no strategy fits into --device-memory.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_tune.command_output import run_command, tell_error
from hf_tune.input_error import InputError


if TYPE_CHECKING:
    from hf_tune.picture_report import Sheet
    from hf_tune.recipe.schema import Recipe
    from hf_tune.task import LoadedModel
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
    parser.add_argument("recipe", help="YAML file; see recipes/")
    parser.add_argument("overrides", nargs="*", metavar="block.key=value", help="such as training.seed=3 or peft=lora")
    parser.add_argument("--processes", metavar="N", help="say what a run on so many devices costs each; default 1")
    parser.add_argument(
        "--device-memory", metavar="80GiB", help="say whether it fits: MiB, GiB, MB, GB; a number is GiB"
    )
    parser.add_argument("--no-timing", action="store_true", help="do not time three steps on this machine")
    parser.add_argument("--show", metavar="N", help="draw so many training pictures as they are and augmented")
    parser.add_argument("--show-file", metavar="FILE.png", help="where; default augmented.png")
    options = parser.parse_intermixed_args(argv)
    print("checking; the libraries take a few seconds to load …", file=sys.stderr)
    try:
        from hf_tune.recipe.reader import load_recipe

        sheet = _read_sheet(options.show, options.show_file)
        devices = _read_devices(options.processes, options.device_memory)
        return _report(load_recipe(options.recipe, options.overrides), devices, sheet, not options.no_timing)
    except InputError as error:
        tell_error(error)
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


def _read_sheet(show: str | None, file: str | None) -> "Sheet | None":
    """Return what is to be drawn; None where nothing is."""
    if show is None and file is None:
        return None
    from hf_tune.picture_report import read_sheet

    return read_sheet(show, file)


def _report(recipe: "Recipe", devices: _Devices | None, sheet: "Sheet | None", is_timed: bool) -> int:
    from rich.console import Console

    from hf_tune.adapter.attach import attach_adapter
    from hf_tune.assembly import check_network
    from hf_tune.choices_report import describe_choices
    from hf_tune.data.splits import load_splits
    from hf_tune.data_report import show_data, show_example
    from hf_tune.label_checks import check_scores, find_row_loss
    from hf_tune.library_noise import quieten_bars
    from hf_tune.picture_report import check_shown, draw_sheet
    from hf_tune.publication import check_hub
    from hf_tune.recipe_cost import measure_recipe
    from hf_tune.run_time import describe_time
    from hf_tune.speed_report import describe_speed
    from hf_tune.tasks import get_task
    from hf_tune.training.cost_advice import find_cures
    from hf_tune.training.row_loss import describe_objective
    from hf_tune.training.step_memory import can_checkpoint
    from hf_tune.training.training_data import count_rows

    quieten_bars()
    check_hub(recipe)
    console = Console(highlight=False)
    task = get_task(recipe.task)
    check_shown(task, sheet)
    with recipe.blame("data"):
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
    check_scores(recipe, task, splits)
    with recipe.blame("model"):
        outline = task.outline_model(
            dataclasses.replace(recipe.model, problem_type=splits.problem_type), recipe.preprocess, splits.label_names
        )
    with recipe.blame("peft"):
        model = attach_adapter(outline, recipe.peft, recipe.batch_norm, task.peft_task_type)
    with recipe.blame("training"):
        check_network(recipe, outline.model)
    with recipe.blame("objective"):
        row_loss = find_row_loss(recipe, splits)
    _report_model(console, recipe, splits.problem_type, outline)
    show_data(console, splits)
    with recipe.blame("data"):
        show_example(console, task, outline, splits)
    with recipe.blame("data"):
        workload = measure_recipe(recipe, task, outline, model, splits.train)
    _report_cost(console, recipe, model, count_rows(splits.train), workload)
    notes = describe_objective(recipe.objective, row_loss, splits.label_names)
    lines = describe_speed(recipe, task, outline, model, splits)
    times = describe_time(recipe, task, outline, splits) if is_timed else []
    for line in (*lines, *times, *describe_choices(recipe, notes)):
        name, _, fact = line.partition(": ")
        console.print(f"[bold]{name}[/] {fact}")
    if sheet is not None:
        console.print(f"[bold]shown[/] {draw_sheet(recipe, task, outline, splits, sheet)}")
    if devices is None:
        return 0
    cures = find_cures(recipe.training, can_checkpoint(model), recipe.peft == "full" and outline.pretrained)
    return _report_devices(console, recipe, count_rows(splits.train), workload, cures, devices)


def _report_model(console: Any, recipe: "Recipe", problem_type: str, outline: "LoadedModel") -> None:
    from hf_tune.adapter.attach import name_method

    kind = problem_type.replace("_", " ")
    console.print(f"[bold]task[/] {recipe.task}, {kind}   [bold]method[/] {name_method(recipe.peft)}")
    console.print(f"[bold]model[/] {outline.base_id} {outline.revision or ''}")
    if outline.quantization:
        console.print(f"[bold]quantised[/] by {outline.quantization}", highlight=False)


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


if __name__ == "__main__":
    sys.exit(run_command(main))
