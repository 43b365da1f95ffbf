"""What ends a run in the middle, each provoked: a sentence, and a checkpoint that is whole."""

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import TrainerCallback

from hf_tune.input_error import RunStopped
from hf_tune.training import failures
from hf_tune.training.checkpoints import find_checkpoint
from hf_tune.training.failures import MAY_BE_EXPLAINED, explain_failure, explained, say_how_to_go_on


class AtStep(TrainerCallback):
    """Does something at the end of a step, before it is logged and saved."""

    def __init__(self, step: int, act: Callable[[], Any]) -> None:
        self.step = step
        self.act = act

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.act()


def stop(trainer: Any) -> str:
    """Train and return the words with which the run stops."""
    with pytest.raises(RunStopped) as caught:
        trainer.train()
    return str(caught.value)


def check_kept(run: Path, step: int) -> None:
    """Check that the checkpoints up to a step are there, whole and finite, and that no other one counts."""
    names = sorted(path.name for path in run.glob("checkpoint-*"))
    assert names == [f"checkpoint-{each}" for each in range(1, step + 1)]
    assert find_checkpoint(run) == (run / f"checkpoint-{step}" if step else None)
    for name in names:
        weights = safetensors.torch.load_file(run / name / "model.safetensors")
        assert all(torch.isfinite(value).all() for value in weights.values()), name


def from_step(step: int, act: Callable[[], float]) -> Callable[..., float]:
    """Return what a network does before forward from a training step on."""
    return lambda network, rows: act() if network.training and network.steps >= step else 1.0


def run_out() -> float:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_a_loss_that_becomes_nan_names_step_rate_checkpoint_and_remedies(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    words = stop(build_tiny(from_step(3, lambda: float("nan"))))
    checkpoint = tmp_path / "run" / "checkpoint-2"
    assert words == (
        f"step 3: the loss is not finite, at learning rate 0.05; the last good checkpoint is {checkpoint}; lower "
        "`learning_rate`, add `warmup_steps`, lower `max_grad_norm`, or train in float32 (no `fp16`); then start "
        "again with --overwrite"
    )
    check_kept(tmp_path / "run", 2)


def test_a_loss_that_is_nan_at_once_is_not_blamed_on_the_rate_alone(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    words = stop(build_tiny(from_step(1, lambda: float("nan"))))
    assert words.startswith("step 1: the loss is not finite") and "no checkpoint was saved yet" in words
    assert "no weight has moved yet: look for inputs or labels that are not finite" in words
    check_kept(tmp_path / "run", 0)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_weights_that_a_step_has_broken_are_never_saved(
    every: int, build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    """The loss of the step is finite, and what it makes of a weight is not."""
    trainer = build_tiny(save_steps=every)

    def spoil() -> None:
        with torch.no_grad():
            trainer.model.inner.weight[0, 0] = float("inf")

    trainer.add_callback(AtStep(1, spoil))
    assert stop(trainer).startswith(f"step {min(every, 2)}: the loss is not finite, at learning rate 0.05")
    check_kept(tmp_path / "run", 0)


def test_a_rate_that_is_far_too_large_ends_without_a_broken_checkpoint(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    words = stop(build_tiny(learning_rate=1e30, max_grad_norm=0.0, max_steps=50))
    step = int(re.match(r"step (\d+): the loss is not finite, at learning rate 1e\+30", words)[1])
    assert 2 <= step < 50
    check_kept(tmp_path / "run", step - 1)


def test_where_losses_are_read_late_no_checkpoint_is_written_after_the_first_broken_one(
    build_tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU a loss is read only where the run logs, evaluates or saves; here the CPU is taken for one."""
    trainer = build_tiny(from_step(3, lambda: float("nan")), save_steps=2, logging_steps=100)
    noted = trainer.loss_watch.note
    read = trainer.loss_watch.read
    asked: list[int] = []

    def note(loss: torch.Tensor, step: int) -> None:
        noted(loss, step)
        asked.append(step)
        monkeypatch.setattr(trainer.loss_watch, "read", lambda: None)  # the reading of `training_step`

    def look(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(trainer.loss_watch, "read", read)
        maybe(*args, **kwargs)

    maybe = trainer._maybe_log_save_evaluate
    monkeypatch.setattr(trainer.loss_watch, "note", note)
    monkeypatch.setattr(trainer, "_maybe_log_save_evaluate", look)
    words = stop(trainer)
    assert words.startswith("step 3: the loss is not finite") and asked == [1, 2, 3, 4]
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]


def test_out_of_memory_in_training_names_the_smaller_batch(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    trainer = build_tiny(from_step(3, run_out), gradient_accumulation_steps=1)
    assert stop(trainer) == (
        "step 3: out of memory with `per_device_train_batch_size: 8`; `per_device_train_batch_size: 4` with "
        "`gradient_accumulation_steps: 2` is the same total batch, or let `auto_find_batch_size: true` find one; "
        "`activation_checkpointing: true`, `bf16: true` and `peft: lora` need less"
    )
    check_kept(tmp_path / "run", 2)


def test_out_of_memory_with_one_row_does_not_ask_for_half_of_it(build_tiny: Callable[..., Any]) -> None:
    words = stop(build_tiny(from_step(1, run_out), per_device_train_batch_size=1))
    assert words.startswith("step 1: out of memory with `per_device_train_batch_size: 1`; `activation_checkpointing")


def test_out_of_memory_in_an_evaluation_names_its_own_batch(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    def before_forward(network: torch.nn.Module, rows: int) -> float:
        return 1.0 if network.training or network.steps < 2 else run_out()

    options = {"eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 5}
    words = stop(build_tiny(before_forward, **options))
    assert words == (
        "step 2: out of memory while evaluating 5 rows at once; lower `per_device_eval_batch_size`; "
        f"{tmp_path / 'run' / 'checkpoint-1'} is whole: start again with --resume"
    )
    check_kept(tmp_path / "run", 1)


def test_a_worker_that_dies_is_told_and_not_waited_for(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    def before_row(row: int) -> None:
        if torch.utils.data.get_worker_info() is not None and row == 11:
            os.kill(os.getpid(), signal.SIGKILL)

    words = stop(build_tiny(before_row=before_row, dataloader_num_workers=1))
    assert re.match(
        r"step \d: a worker that loads rows died: .+; often memory runs out: lower `dataloader_num_workers`; ", words
    )  # in torch's words, or in those of a connection to it
    kept = find_checkpoint(tmp_path / "run")
    assert words.endswith(
        f"; {kept} is whole: start again with --resume"
        if kept
        else "; no checkpoint was saved yet: start again with --overwrite"
    )


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "Connection reset by peer"), EOFError(), FileNotFoundError(2, "No such file")]
)
def test_a_tensor_that_cannot_be_fetched_from_a_worker_tells_of_its_death(error: Exception, tmp_path: Path) -> None:
    """Found under load: the worker dies with a batch on its way, and torch 2.15 hands on the error of the socket."""
    arguments = SimpleNamespace(output_dir=str(tmp_path), dataloader_num_workers=1, world_size=1)
    told = explain_failure(error, arguments, 3, is_evaluating=False)
    assert told is not None and told.problem.startswith("step 4: a worker that loads rows died: ")
    arguments.dataloader_num_workers = 0
    assert "worker" not in str(explain_failure(error, arguments, 3, is_evaluating=False))


def test_what_torch_tells_of_a_worker_in_the_middle_of_an_explanation_is_explained(
    build_tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found under load: torch 2.15 raises it from a signal handler, wherever Python is."""
    real, met = failures.explain_failure, []

    def explain(error: BaseException, *place: Any, **more: Any) -> Any:
        met.append(error)
        if len(met) == 1:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        return real(error, *place, **more)

    monkeypatch.setattr(failures, "explain_failure", explain)
    with pytest.raises(RunStopped, match="a worker that loads rows died: DataLoader worker"), explained(build_tiny()):
        raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize("kind", [RuntimeError, OSError])
def test_an_error_of_the_code_in_a_worker_is_not_taken_for_its_death(
    kind: type[Exception], build_tiny: Callable[..., Any]
) -> None:
    """Found: its words, `Caught RuntimeError in DataLoader worker process 0`, were read as those of a dead one."""

    def before_row(row: int) -> None:
        raise kind("sizes of tensors must match")

    with pytest.raises(kind, match="sizes of tensors must match"):
        build_tiny(before_row=before_row, dataloader_num_workers=1).train()


def full(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["torch.save", "os.fsync", "os.replace"])
def test_a_disk_that_is_full_at_the_third_checkpoint_leaves_the_second(
    call: str, build_tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_tiny(callbacks=(AtStep(3, lambda: monkeypatch.setattr(call, full)),))
    words = stop(trainer)
    monkeypatch.undo()
    assert words == (
        "step 3: the run cannot write its folder: [Errno 28] No space left on device; make room; "
        f"{tmp_path / 'run' / 'checkpoint-2'} is whole: start again with --resume"
    )
    check_kept(tmp_path / "run", 2)


def test_a_full_disk_that_safetensors_tells_of_is_explained(tmp_path: Path) -> None:
    """Found: `SafetensorError` is neither an OSError nor a RuntimeError, and holds no number but in its words."""
    arguments = SimpleNamespace(output_dir=str(tmp_path), world_size=1)
    for words in ("No space left on device (os error 28)", "File too large (os error 27)"):
        error = safetensors.SafetensorError(f"Error while serializing: I/O error: {words}")
        told = explain_failure(error, arguments, 3, False)
        assert isinstance(error, MAY_BE_EXPLAINED) and told is not None and told.hint.startswith("make room; ")
        assert told.problem.startswith("step 3: the run cannot write its folder: Error while serializing")


@contextlib.contextmanager
def limit_files() -> Iterator[Callable[[int], None]]:
    """Yield a function that lets the system cut off files at so many bytes, until the context ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_an_optimiser_state_that_the_system_cuts_off_leaves_the_checkpoint_before(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    """The weights have 320 kB, the two moments of Adam 640 kB: torch ends at 400 kB."""
    with limit_files() as limit:
        words = stop(build_tiny(width=5000, optim="adamw_torch", callbacks=(AtStep(3, lambda: limit(400_000)),)))
    assert words.startswith("step 3: the run cannot write its folder: ")
    assert words.endswith(f"make room; {tmp_path / 'run' / 'checkpoint-2'} is whole: start again with --resume")
    check_kept(tmp_path / "run", 2)


def test_weights_that_the_system_cuts_off_leave_the_checkpoint_before(
    build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    """Safetensors ends at 100 kB."""
    with limit_files() as limit:
        words = stop(build_tiny(width=5000, callbacks=(AtStep(3, lambda: limit(100_000)),)))
    assert words.startswith("step 3: the run cannot write its folder: ") and "File too large" in words
    assert words.endswith(f"make room; {tmp_path / 'run' / 'checkpoint-2'} is whole: start again with --resume")
    check_kept(tmp_path / "run", 2)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_is_lost_in_the_middle_is_told(
    number: int, build_tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(file: Any, *args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "run" / "optimizer.pt"))

    def save(value: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        lose(file)

    words = stop(build_tiny(callbacks=(AtStep(2, lambda: monkeypatch.setattr(torch, "save", save)),)))
    monkeypatch.undo()
    assert words.startswith(f"step 2: the run cannot write its folder: [Errno {number}] {os.strerror(number)}")
    assert "make room" not in words and words.endswith("checkpoint-1 is whole: start again with --resume")
    check_kept(tmp_path / "run", 1)


def test_a_folder_that_became_a_file_is_told(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"

    def replace() -> None:
        shutil.rmtree(run)
        run.write_text("")

    words = stop(build_tiny(callbacks=(AtStep(2, replace),)))
    assert words.startswith("step 2: the run cannot write its folder: ") and "no checkpoint was saved yet" in words


def test_a_folder_that_is_gone_is_told(build_tiny: Callable[..., Any], tmp_path: Path) -> None:
    options = {"logging_steps": 1, "save_steps": 5}
    words = stop(build_tiny(callbacks=(AtStep(2, lambda: shutil.rmtree(tmp_path / "run")),), **options))
    assert words.startswith("step 2: the run cannot write its folder: [Errno 2]") and "log.jsonl" in words


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOENT])
def test_a_row_that_cannot_be_read_is_not_blamed_on_the_runs_folder(
    number: int, build_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    """Found: a picture without permission was told as a folder that cannot be written."""

    def before_row(row: int) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "pictures" / "3.png"))

    with pytest.raises(OSError, match=r"3\.png"):
        build_tiny(before_row=before_row).train()


def test_an_error_of_the_code_is_not_caught(build_tiny: Callable[..., Any]) -> None:
    def fail() -> float:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        build_tiny(from_step(2, fail)).train()


@pytest.mark.parametrize("words", ["Connection closed by peer [127.0.0.1]:1", "NCCL error in: ncclUtils", "[gloo] x"])
def test_another_process_that_ended_is_told_as_such(words: str, tmp_path: Path) -> None:
    arguments = SimpleNamespace(output_dir=str(tmp_path), world_size=2)
    told = explain_failure(RuntimeError(f"{words}\nmore"), arguments, 4, False)
    assert told is not None
    assert told.problem == f"step 5: another process of this run has ended ({words})"
    assert told.hint == "see its words; no checkpoint was saved yet: start again with --overwrite"
    alone = SimpleNamespace(output_dir=str(tmp_path), world_size=1)
    assert explain_failure(RuntimeError(words), alone, 4, False) is None


def test_without_a_checkpoint_a_run_starts_anew(tmp_path: Path) -> None:
    assert say_how_to_go_on(tmp_path) == "no checkpoint was saved yet: start again with --overwrite"
