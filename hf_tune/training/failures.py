"""What the world does to a run that trains, in a sentence: no memory, no disk, a worker or a process that died."""

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from hf_tune.input_error import RunStopped
from hf_tune.training.checkpoints import find_checkpoint


MAY_BE_EXPLAINED = (RuntimeError, MemoryError, OSError, EOFError, SafetensorError)
"""What `explain_failure` may know. Of a full disk safetensors 0.8 tells by an error of its own, no OSError."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOST = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_FULL_WORDS = re.compile(
    r"No space left|Disk quota|File too large|failed writing file|file write failed"
    r"|iostream error|unexpected pos \d+ vs \d+",  # torch.save 2.15, of a file that was cut off
    re.I,
)
_LOST_WORDS = re.compile(r"Read-only file system|Stale file handle", re.I)
_WORKER_WORDS = "DataLoader worker (pid"  # an error that a worker raised speaks of a `DataLoader worker process`
_PEER_WORDS = re.compile(r"Connection closed by peer|Connection reset by peer|NCCL|gloo|ProcessGroup", re.I)


@contextlib.contextmanager
def explained(trainer: Any) -> Iterator[None]:
    """Raise `RunStopped` where memory, the disk, a worker or another process ends the run; else what was raised."""
    try:
        yield
    except MAY_BE_EXPLAINED as error:
        place = trainer.args, trainer.state.global_step, not trainer.model.training
        try:
            _hear_dead_worker(error)
            told = explain_failure(error, *place)
        except RuntimeError as later:  # torch tells of a dead worker when the system does: at any moment, here too
            told = explain_failure(later, *place)
        if told is None:
            raise
        raise told from error


def _hear_dead_worker(error: BaseException) -> None:
    """Raise now what torch would raise of a dead worker when the system tells it: anywhere, and in a second or so."""
    if _is_lost_connection(error):
        for _ in range(20):
            torch._C._error_if_any_worker_fails()
            time.sleep(0.05)


def explain_failure(error: BaseException, arguments: Any, step: int, is_evaluating: bool) -> RunStopped | None:
    """Return what happened and what to do; None where the fault is the code's own."""
    from accelerate.utils.memory import should_reduce_batch_size

    kept = say_how_to_go_on(Path(arguments.output_dir))
    text = str(error)
    first = text.partition("\n")[0] or type(error).__name__
    if isinstance(error, Exception) and (should_reduce_batch_size(error) or isinstance(error, MemoryError)):
        return RunStopped(*_explain_memory(arguments, step, is_evaluating))
    if _is_dead_worker(error, arguments):
        hint = "often memory runs out: lower `dataloader_num_workers`"
        return RunStopped(f"step {step + 1}: a worker that loads rows died: {first}", f"{hint}; {kept}")
    if advice := _explain_disk(error, Path(arguments.output_dir)):
        return RunStopped(f"step {step}: the run cannot write its folder: {first}", f"{advice}; {kept}")
    if isinstance(error, RuntimeError) and arguments.world_size > 1 and _PEER_WORDS.search(text):
        return RunStopped(
            f"step {step + 1}: another process of this run has ended ({first})", f"see its words; {kept}"
        )
    return None


def _is_dead_worker(error: BaseException, arguments: Any) -> bool:
    """Return whether a worker that loads rows has died: torch notices it, or a tensor cannot be fetched from it."""
    return _WORKER_WORDS in str(error) or (_is_lost_connection(error) and arguments.dataloader_num_workers > 0)


def _is_lost_connection(error: BaseException) -> bool:
    no_socket = isinstance(error, FileNotFoundError) and error.filename is None  # it has gone with its process
    return isinstance(error, (ConnectionError, EOFError)) or no_socket


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


def _explain_disk(error: BaseException, folder: Path) -> str | None:
    """Return what to do where the disk is full or the run's folder is lost; None where the error is another one."""
    number = error.errno if isinstance(error, OSError) else None
    name = error.filename if isinstance(error, OSError) else None
    # The data may be on a disk that is lost too; then it is a row that cannot be read.
    is_own = name is None or Path(os.fsdecode(name)).absolute().is_relative_to(folder.absolute())
    if is_own and (number in _FULL or _FULL_WORDS.search(str(error))):
        return "make room"
    if (is_own and name is not None and number in _LOST) or _LOST_WORDS.search(str(error)):
        return "see that the folder is there and can be written"
    return None


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
