"""What to change in a recipe so that more processes keep the rows of a step, and so that a device has room for it."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hf_tune.training.cost_model import Cost, Workload, estimate_costs
from hf_tune.training.memory_size import format_size
from hf_tune.training.step_memory import StepMemory


MOST_PROCESSES = 2**16
"""Beyond so many nothing is looked for."""

_CURES = MappingProxyType(
    {
        "activations": ("training.activation_checkpointing=true", "training.bf16=true"),
        "gradients": ("peft=lora", "fsdp2"),
        "gradients and gathered weights": ("peft=lora",),
        "optimiser states": ("peft=lora", "fsdp2"),
        "weights": ("fsdp2",),
    }
)
"""Part of the memory → what makes it smaller."""


def describe_batch(batch: int, accumulation: int, processes: int) -> str:
    """Say how many rows a step has, and on several processes how it keeps those that it has on one."""
    rows = batch * accumulation
    times = f"{batch} rows" + (f" x {accumulation} micro-batches" if accumulation > 1 else "")
    if processes == 1:
        return f"a step is {times} = {rows} rows" if accumulation > 1 else f"a step is {rows} rows"
    told = f"a step is {times} x {processes} processes = {rows * processes} rows, on one process {rows}"
    if rows % processes:
        return f"{told}; {processes} processes cannot share {rows} evenly, so change learning_rate with the batch"
    own = rows // processes
    smaller = max(size for size in range(1, batch + 1) if own % size == 0)
    return f"{told}, which {_name_batch(smaller, own // smaller)} keeps"


def find_processes(workload: Workload, device_bytes: int) -> int | None:
    """Return the smallest number of processes that fit under FSDP2; None where more of them do not help."""
    numbers = range(2, MOST_PROCESSES + 1)  # one by one: what does not divide evenly needs a little more
    return next((number for number in numbers if _count_memory("fsdp2", workload, number) <= device_bytes), None)


def find_cures(training: Mapping[str, Any], can_checkpoint: bool, can_adapt: bool) -> list[str]:
    """Return the keys that would lower the memory of a run and are not set in its recipe yet."""
    is_half = training.get("bf16") or training.get("fp16")
    is_checkpointed = training.get("activation_checkpointing")
    return [
        *(["training.activation_checkpointing=true"] if can_checkpoint and not is_checkpointed else []),
        *([] if is_half else ["training.bf16=true"]),
        *(["peft=lora"] if can_adapt else []),
    ]


def describe_lack(
    cost: Cost, workload: Workload, batch: int, cures: Sequence[str], processes: int, device_bytes: int
) -> str:
    """Say which part of a cost that does not fit is the largest, and what makes it smaller."""
    is_shared = cost.strategy in ("fsdp2", "deepspeed_zero3")
    activations = min(workload.step.uncast_activations, cost.passes)
    parts = {
        "activations": activations,
        "gradients and gathered weights" if is_shared else "gradients": cost.passes - activations,
        "optimiser states": cost.states,
        "weights": cost.weights,
    }
    largest = max(parts, key=lambda name: parts[name])
    told = f"{cost.strategy} does not fit: its largest part is {largest}, {format_size(parts[largest])}"
    smaller = _find_batch(cost.strategy, workload, batch, processes, device_bytes)
    if smaller is not None:
        told += f"; {_name_batch(*smaller)} fits, with the same rows in a step"
    helpful = [each for each in (*cures, "fsdp2") if each in _CURES[largest]]
    if cost.strategy != "ddp":
        helpful = [each for each in helpful if each != "fsdp2"]
    return f"{told}; less of it: {', '.join(helpful)}" if helpful else told


def _find_batch(
    strategy: str, workload: Workload, batch: int, processes: int, device_bytes: int
) -> tuple[int, int] | None:
    """Return the largest smaller batch that fits, and the micro-batches that keep the rows of a step."""
    for size in range(batch - 1, 0, -1):
        smaller = _shrink(workload, size / batch)
        if batch % size == 0 and _count_memory(strategy, smaller, processes) <= device_bytes:
            return size, smaller.accumulation
    return None


def _name_batch(batch: int, accumulation: int) -> str:
    return f"training.per_device_train_batch_size={batch} training.gradient_accumulation_steps={accumulation}"


def _shrink(workload: Workload, share: float) -> Workload:
    """Return the workload of a share of the rows: activations shrink with them, copies of weights do not."""
    step = workload.step
    uncast = round(step.uncast_activations * share)
    activations = uncast + step.activations - step.uncast_activations
    smaller = StepMemory(
        with_gradients=activations + workload.gradients, activations=activations, uncast_activations=uncast
    )
    return dataclasses.replace(workload, step=smaller, accumulation=round(workload.accumulation / share))


def _count_memory(strategy: str, workload: Workload, processes: int) -> int:
    """Return the bytes on every device under one strategy."""
    costs = {cost.strategy: cost for cost in estimate_costs(workload, processes)}
    return costs[strategy].memory
