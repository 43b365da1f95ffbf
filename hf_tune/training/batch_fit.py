"""Find the largest batch that fits into memory, before the first step: the total batch, and so the result, stays.

transformers 5.23 shrinks the batch alone, and starts again with weights that have moved.
"""

from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from hf_tune.input_error import InputError
from hf_tune.training.processes import add_up
from hf_tune.training.sharding import is_sharded
from hf_tune.training.training_data import read_rows


def fit_batch_size(trainer: Any) -> str | None:
    """Lower `per_device_train_batch_size` until a step fits, raise `gradient_accumulation_steps` by as much.

    Returns what was changed, None where nothing was; raises `InputError` where not even one row fits, or where the
    model is sharded only later.
    """
    arguments = trainer.args
    if is_sharded(trainer):
        problem = "what a sharded model needs is not known before it is sharded"
        raise InputError(problem, "leave it out", at=("auto_find_batch_size",))
    asked, parts = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    while add_up([not _fits(trainer, arguments.train_batch_size)], trainer.cpu_group)[0]:
        size = arguments.per_device_train_batch_size
        if size == 1:
            hint = "`activation_checkpointing: true`, `bf16: true` and `peft: lora` need less"
            raise InputError("not even one row fits into memory", hint, at=("auto_find_batch_size",))
        smaller = max(each for each in range(1, size) if asked % each == 0)
        arguments.per_device_train_batch_size = smaller
        arguments.gradient_accumulation_steps = parts * (asked // smaller)
    trainer._train_batch_size = arguments.train_batch_size
    arguments.auto_find_batch_size = False  # the Trainer would shrink the batch alone
    if arguments.per_device_train_batch_size == asked:
        return None
    size, parts = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    return f"{asked} rows at once do not fit into memory: {size} do, {parts} times a step."


def _fits(trainer: Any, size: int) -> bool:
    """Return whether one step with the longest rows fits, beside two optimiser states; nothing remains of it."""
    model, rows = trainer.model, trainer.data.train
    lengths = getattr(rows, "lengths", None)
    numbers = range(min(size, len(rows))) if lengths is None else (-lengths).argsort(kind="stable")[:size].tolist()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    if trainer.args.activation_checkpointing:
        model.activation_checkpointing_enable(trainer.args.activation_checkpointing_kwargs)
    model.train()
    try:
        trained = [value for value in model.parameters() if value.requires_grad]
        states = [torch.empty_like(value) for value in trained for _ in range(2)]
        batch = trainer._prepare_inputs(read_rows(rows, numbers, trainer.data_collator))
        with trainer.accelerator.autocast():
            trainer.compute_loss(model, batch).backward()
        del states, batch
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        return False
    finally:
        model.zero_grad()
        trainer.train_scores.forget()
        for name, value in model.named_buffers():
            value.copy_(buffers[name])
        clear_device_cache()
    return True
