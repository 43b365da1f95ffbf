"""The processes of a run: as many as were asked for, with one word between them before each step."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed

from hf_tune.input_error import InputError
from hf_tune.training.batch_sampler import as_filler
from hf_tune.training.training_data import read_rows


def check_launch(environment: Mapping[str, str] = os.environ) -> None:
    """Raise where the launcher was asked for several processes and started one; nothing was loaded yet.

    accelerate 1.15 does so, silently, for `MULTI_CPU` and for `--cpu --num_processes 2`. It then sets an address at
    which processes meet, and no rank.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in environment
    if launched and "MASTER_ADDR" in environment and "LOCAL_RANK" not in environment:
        problem = "several processes were asked for, and the launcher started one"
        hint = "on CPUs start them with `--config_file accelerate_configs/cpu_multi.yaml`, which really does"
        raise InputError(problem, hint, at=("output_dir",))


def check_processes(arguments: Any, environment: Mapping[str, str] = os.environ) -> None:
    """Raise where the processes that the launcher started do not work as one run; `arguments` are TrainingArguments.

    Each would train by itself and take itself for the first.
    """
    asked = int(environment.get("WORLD_SIZE", "1"))
    if asked != arguments.world_size:
        problem = f"{asked} processes were started, and each of them runs alone ({arguments.world_size} is connected)"
        raise InputError(problem, "give every process a GPU, or write `use_cpu: true`", at=("use_cpu",))


def check_sharding(accelerator: Any, environment: Mapping[str, str] = os.environ) -> None:
    """Raise where the launcher's config asks for FSDP or DeepSpeed and the model would be copied instead."""
    for name, kind in (("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DEEPSPEED")):
        if environment.get(name, "false").lower() == "true" and accelerator.distributed_type.value != kind:
            problem = f"{kind} was asked for and cannot shard on {accelerator.device.type} with "
            problem += f"{accelerator.num_processes} processes: every process would hold the whole model"
            hint = "it needs GPUs; without them use accelerate_configs/cpu_multi.yaml"
            raise InputError(problem, hint, at=("use_cpu",))


def build_cpu_group() -> Any:
    """Return the group in which words are exchanged: on the CPU, for a word on a GPU would wait for its work.

    None where the run has one process.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return None
    return torch.distributed.new_group(backend="gloo")


def add_up(numbers: list[int], group: Any) -> list[int]:
    """Return the sums of the numbers of all processes."""
    if group is None:
        return numbers
    total = torch.tensor(numbers, dtype=torch.int64)
    torch.distributed.all_reduce(total, group=group)
    return total.tolist()


def gather_parts(part: Any, group: Any) -> list[Any]:
    """Return the parts of all processes, by rank; each is anything that can be pickled."""
    if group is None:
        return [part]
    parts: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(parts, part, group=group)
    return parts


@contextlib.contextmanager
def all_or_none(group: Any) -> Iterator[None]:
    """Raise on every process the `InputError` that one of them met; none goes on alone."""
    met: InputError | None = None
    try:
        yield
    except InputError as error:
        met = error
    told = gather_parts(None if met is None else (met.problem, met.hint, met.at), group)
    first = next((each for each in told if each is not None), None)
    if first is not None:
        raise InputError(*first) from met


def wait_for_all(group: Any) -> None:
    """Return when every process has come here."""
    if group is not None:
        torch.distributed.barrier(group=group)


@torch.no_grad()
def average_statistics(model: torch.nn.Module) -> None:
    """Give the BatchNorms of all processes the mean of their running statistics, and other buffers those of the first.

    Each process normalises by its own rows while it trains; after this they all evaluate and save the same network.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return
    statistics = {
        id(value)
        for layer in model.modules()
        if isinstance(layer, torch.nn.modules.batchnorm._NormBase)
        for value in (layer.running_mean, layer.running_var)
        if value is not None
    }
    for value in model.buffers():
        first = value.detach().clone()
        torch.distributed.broadcast(first, src=0)
        if id(value) in statistics:
            # The mean as a difference from the first: exact where all are the same, as frozen ones are.
            away = value - first
            torch.distributed.all_reduce(away)
            first += away / torch.distributed.get_world_size()
        value.copy_(first)


def settle_buckets(trainer: Any, model: Any) -> None:
    """Let DDP put its gradients in order before the first step, by a row that counts for nothing.

    torch 2.15 orders them by their arrival in the first step after the start. Three or more processes add up in an
    order that depends on it: a resumed run would round otherwise than one that was not stopped.
    """
    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        rows = trainer.train_dataset
        batch = trainer._prepare_inputs(read_rows(rows, [as_filler(0, len(rows))], trainer.data_collator))
        trainer.accelerator.backward(trainer.compute_loss(model, batch, num_items_in_batch=1))
        model.zero_grad()
