"""Build `TrainingArguments` from the `training:` block, late: it may start a process group, and needs the device."""

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hf_tune.input_error import InputError, find_key
from hf_tune.training.early_stopping import EarlyStopping
from hf_tune.training.processes import check_processes


DEFAULTS = MappingProxyType({"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1})
"""Where hf_tune's default is another than transformers': judge and save once an epoch, and keep disk use bounded."""

_FIXED = MappingProxyType(
    {
        "remove_unused_columns": False,  # with an adapter around the model the Trainer may drop every column
        "label_names": ("labels",),
        "restore_callback_states_from_checkpoint": True,  # else early stopping forgets its count on resume
        "disable_tqdm": True,  # our own progress line stands in its place
        "logging_nan_inf_filter": False,  # a loss that is not finite ends the run
        "ddp_broadcast_buffers": False,  # they are averaged before an evaluation and a checkpoint
    }
)


def resolve_training(
    training: Mapping[str, Any], early_stopping: EarlyStopping | None, needed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the `training:` block with defaults, what the task needs and what `early_stopping:` stands for."""
    resolved = {**DEFAULTS, **needed, **training}
    if "per_device_eval_batch_size" not in training and not training.get("auto_find_batch_size"):
        # Nothing is kept for a backward pass: twice the rows need less memory than a step, and are read faster.
        resolved["per_device_eval_batch_size"] = 2 * resolved.get("per_device_train_batch_size", 8)
    if resolved.get("optim") == "adam":
        resolved["optim"] = "adamw_torch_fused"  # with weight decay 0 the two are the same update
        resolved["weight_decay"] = 0.0
    if early_stopping is not None:
        resolved |= early_stopping.training_arguments()
        resolved["save_strategy"] = resolved["eval_strategy"]
    if resolved.get("load_best_model_at_end") and resolved["eval_strategy"] == "steps":
        # The Trainer's own default, 500, saves no step that was evaluated, and then no best one can be loaded.
        resolved["save_steps"] = resolved.get("eval_steps") or resolved.get("logging_steps") or 500
    return resolved


def get_stream_defaults(max_steps: int) -> dict[str, Any]:
    """Return what stands in where train is a stream: judge and save every tenth of the run, take rows as they come."""
    every = max(max_steps // 10, 1)
    steps = {"eval_strategy": "steps", "eval_steps": every, "save_strategy": "steps", "save_steps": every}
    return {**steps, "train_sampling_strategy": "random"}


def build_arguments(resolved: Mapping[str, Any]) -> Any:
    """Return `TrainingArguments`; raises `InputError` with the library's words where they do not fit this machine."""
    import torch
    from transformers import TrainingArguments

    has_device = torch.accelerator.is_available()
    # Without a device pinned memory only warns, and processes that do not know it never connect (accelerate 1.15).
    # Of a parameter that is not used GradientCheck tells the name; looking for it costs time at every step.
    pinned = {
        "dataloader_pin_memory": has_device,
        "use_cpu": not has_device,
        "ddp_find_unused_parameters": False,
    }
    fixed = {name: list(value) if isinstance(value, tuple) else value for name, value in _FIXED.items()}
    try:
        arguments = TrainingArguments(**{**pinned, **resolved, **fixed})
    except (ValueError, ImportError) as error:
        raise InputError(f"TrainingArguments refuses it: {error}", at=find_key(str(error), resolved)) from None
    check_processes(arguments)
    _check_precision(arguments)
    _check_optimiser(arguments)
    _check_optimiser_options(arguments)
    _check_kernels(arguments)
    _check_schedule(arguments)
    _check_compiler(arguments)
    return arguments


def _check_precision(arguments: Any) -> None:
    """Raise where fp16 is asked for on a CPU: transformers 5.23 and accelerate 1.15 say nothing of it."""
    if arguments.fp16 and arguments.device.type == "cpu":
        raise InputError(
            "fp16 needs a GPU, and this run has none", "write `bf16: true`, or leave it out", at=("fp16",)
        )


def _check_optimiser(arguments: Any) -> None:
    """Raise where the optimiser's package is not installed; the Trainer would notice after the folder was written."""
    from transformers import Trainer

    _list_optimiser_options(arguments)
    try:
        Trainer.get_optimizer_cls_and_kwargs(arguments)
    except (ImportError, ValueError) as error:
        raise InputError(f"this optimiser cannot be built: {error}", "adamw_torch is there", at=("optim",)) from None


def _check_optimiser_options(arguments: Any) -> None:
    """Raise where the optimiser is the same without one of its `optim_args`: most of them read none."""
    from transformers import Trainer

    options = _list_optimiser_options(arguments)
    _, built = Trainer.get_optimizer_cls_and_kwargs(arguments)
    for option in options:
        without = copy.copy(arguments)
        without.optim_args = ",".join(each for each in options if each != option)
        if Trainer.get_optimizer_cls_and_kwargs(without)[1] == built:
            problem = f"{option!r} changes nothing for optim {str(arguments.optim.value)!r}"
            hint = "leave it out; Adam's options are keys of their own: `adam_beta1`, `adam_beta2`, `adam_epsilon`"
            raise InputError(problem, hint, at=("optim_args",))


def _list_optimiser_options(arguments: Any) -> list[str]:
    """Return the options in `optim_args`; raises `InputError` for one that is not of the form `name=value`."""
    options = [each for each in (arguments.optim_args or "").replace(" ", "").split(",") if each]
    wrong = [each for each in options if each.count("=") != 1]
    if wrong:
        raise InputError(f"{wrong[0]!r} is no option", "write `name=value, name=value`", at=("optim_args",))
    return options


def _check_kernels(arguments: Any) -> None:
    """Raise where Liger's kernels are asked for and not installed."""
    from transformers.utils import is_liger_kernel_available

    if arguments.use_liger_kernel and not is_liger_kernel_available():
        hint = "pip install liger-kernel (it needs a GPU), or leave it out"
        raise InputError("Liger's kernels are not installed", hint, at=("use_liger_kernel",))


def _check_schedule(arguments: Any) -> None:
    """Raise where the schedule cannot be built; the Trainer would notice after the folder was written."""
    import torch
    from transformers import get_scheduler

    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    kwargs = arguments.lr_scheduler_kwargs
    try:
        get_scheduler(arguments.lr_scheduler_type, optimiser, 1, 10, scheduler_specific_kwargs=kwargs)
    except (ValueError, TypeError) as error:
        problem = f"this schedule cannot be built: {error}"
        raise InputError(problem, "give it under `lr_scheduler_kwargs:`", at=("lr_scheduler_type",)) from None


def _check_compiler(arguments: Any) -> None:
    """Raise where torch.compile does not work on this machine: it is tried on one addition, which takes seconds."""
    import torch

    if not arguments.torch_compile:
        return
    backend, mode = arguments.torch_compile_backend, arguments.torch_compile_mode
    try:
        compiled = torch.compile(lambda number: number + 1, backend=backend, mode=mode)
        compiled(torch.zeros(2, device=arguments.device))
    except (RuntimeError, ImportError) as error:
        problem = f"torch.compile does not work here: {str(error).partition(chr(10))[0]}"
        keys = {"Invalid backend": "torch_compile_backend", "Unrecognized mode": "torch_compile_mode"}
        at = next((key for words, key in keys.items() if words in problem), "torch_compile")
        raise InputError(problem, "the default backend needs a C++ compiler; or leave it out", at=(at,)) from None
