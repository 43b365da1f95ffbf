"""What the world does to a run that trains, in a sentence: no memory, no disk, a worker or a process that died."""

import errno
import re
from pathlib import Path
from typing import Any

from hf_tune.input_error import RunStopped
from hf_tune.training.checkpoints import find_checkpoint


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG)
_DISK_WORDS = re.compile(r"No space left|Disk quota|Read-only file system|File too large|failed writing file", re.I)
_PEER_WORDS = re.compile(r"Connection closed by peer|Connection reset by peer|NCCL|gloo|ProcessGroup", re.I)


def explain_failure(error: BaseException, arguments: Any, step: int, is_evaluating: bool) -> RunStopped | None:
    """Return what happened and what to do; None where the fault is the code's own."""
    from accelerate.utils.memory import should_reduce_batch_size

    kept = say_how_to_go_on(Path(arguments.output_dir))
    text = str(error)
    if isinstance(error, Exception) and (should_reduce_batch_size(error) or isinstance(error, MemoryError)):
        return RunStopped(*_explain_memory(arguments, step, is_evaluating))
    if "DataLoader worker" in text:
        first = text.partition("\n")[0]
        hint = "often memory runs out: lower `dataloader_num_workers`"
        return RunStopped(f"step {step + 1}: a worker that loads rows died: {first}", f"{hint}; {kept}")
    if (isinstance(error, OSError) and error.errno in _DISK) or _DISK_WORDS.search(text):
        first = text.partition("\n")[0]
        return RunStopped(f"step {step}: the run cannot write its folder: {first}", f"make room; {kept}")
    if isinstance(error, RuntimeError) and arguments.world_size > 1 and _PEER_WORDS.search(text):
        first = text.partition("\n")[0]
        return RunStopped(
            f"step {step + 1}: another process of this run has ended ({first})", f"see its words; {kept}"
        )
    return None


def explain_loss(step: int, learning_rate: float, folder: Path) -> RunStopped:
    """Return what to do about a loss, or weights, that are not finite."""
    hint = "lower `learning_rate`, add `warmup_steps`, lower `max_grad_norm`, or train in float32 (no `fp16`)"
    if step == 1:
        hint = "no weight has moved yet: look for inputs or labels that are not finite or far too large; or " + hint
    checkpoint = find_checkpoint(folder)
    last = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint was saved yet"
    problem = f"step {step}: the loss is not finite, at learning rate {learning_rate:.3g}; {last}"
    return RunStopped(problem, f"{hint}; then start again with --overwrite")


def say_how_to_go_on(folder: Path) -> str:
    """Return what a stopped run has kept, and the flag that continues it."""
    checkpoint = find_checkpoint(folder)
    if checkpoint is None:
        return "no checkpoint was saved yet: start again with --overwrite"
    return f"{checkpoint} is whole: start again with --resume"


def _explain_memory(arguments: Any, step: int, is_evaluating: bool) -> tuple[str, str]:
    if is_evaluating:
        problem = f"step {step}: out of memory while evaluating {arguments.per_device_eval_batch_size} rows at once"
        return problem, f"lower `per_device_eval_batch_size`; {say_how_to_go_on(Path(arguments.output_dir))}"
    size, parts = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    problem = f"step {step + 1}: out of memory with `per_device_train_batch_size: {size}`"
    smaller = max(size // 2, 1)
    halved = f"`per_device_train_batch_size: {smaller}` with `gradient_accumulation_steps: {parts * size // smaller}`"
    hint = f"{halved} is the same total batch, or let `auto_find_batch_size: true` find one; " if size > 1 else ""
    hint += "`activation_checkpointing: true`, `bf16: true` and `peft: lora` need less"
    return problem, hint
