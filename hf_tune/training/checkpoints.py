"""Checkpoints that are whole or not there: written under another name, sealed, renamed, and only then rotated.

transformers 5.23 writes in place: killed in it, the newest checkpoint lacks files, and resuming fails or goes wrong.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_tune.input_error import InputError
from hf_tune.training.batch_sampler import share_rows
from hf_tune.training.processes import wait_for_all


logger = logging.getLogger(__name__)

SEAL = "whole.json"
"""Written last: the size in bytes of every file of the checkpoint, and what a resumed run has to know."""
UNFINISHED = "unfinished"
"""The folder inside a run's in which checkpoints are written."""


def write_checkpoint(trainer: Any, write: Callable[[], None]) -> None:
    """Let `write` put the files of a checkpoint aside, on every process its part; then the first process seals it."""
    folder, is_first = Path(trainer.args.output_dir), trainer.args.should_save
    unfinished = name_checkpoint(folder / UNFINISHED, trainer.state.global_step)
    if is_first:
        shutil.rmtree(unfinished.parent, ignore_errors=True)
    wait_for_all(trainer.cpu_group)
    trainer.writes_aside = True
    write()
    trainer.writes_aside = False
    trainer.state.best_model_checkpoint = name_best(folder, trainer.state)
    wait_for_all(trainer.cpu_group)
    if is_first:
        if trainer.average is not None:
            trainer.average.save(unfinished)
        trainer.state.save_to_json(str(unfinished / "trainer_state.json"))
        share = share_rows(trainer.args)
        close_checkpoint(unfinished, {"processes": share.processes, "rows_per_step": share.rows_per_step})
        rotate_checkpoints(folder, trainer.args.save_total_limit, trainer.state.best_model_checkpoint)
    wait_for_all(trainer.cpu_group)


def name_checkpoint(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint of a step."""
    return folder / f"checkpoint-{step}"


def name_best(folder: Path, state: Any) -> str | None:
    """Return the folder of the checkpoint of the best step, None where there is none; `state` is the Trainer's.

    That of the present step counts before it has been moved to its place.
    """
    step = state.best_global_step
    if not step:
        return None
    path = name_checkpoint(folder, step)
    return str(path) if step == state.global_step or path.is_dir() else None


def close_checkpoint(unfinished: Path, facts: Mapping[str, Any]) -> Path:
    """Seal a checkpoint whose files are all written, bring it to the disk, and return it under its name.

    `facts` are kept in the seal. Killed before the seal is written, the checkpoint is not there; after it, it is.
    """
    files = [path for path in sorted(unfinished.rglob("*")) if path.is_file()]
    for path in files:
        _sync(path)
    sizes = {path.relative_to(unfinished).as_posix(): path.stat().st_size for path in files}
    write_whole(unfinished / SEAL, json.dumps({**facts, "files": sizes}, indent=1))
    return _take_out(unfinished)


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a run, and say which newer ones are torn; nothing is changed.

    A checkpoint also needs the best one that it speaks of. What was sealed and not yet renamed counts.
    """
    found = {_read_step(path): path for path in _list(folder)}
    found |= {_read_step(path): path for path in _list(folder / UNFINISHED) if (path / SEAL).exists()}
    for _, path in sorted(found.items(), reverse=True):
        fault = _find_fault(path) or _find_fault_of_best(path, folder)
        if fault is None:
            return path
        logger.warning("%s is torn and is left out: %s", path, fault)
    return None


def settle_checkpoints(folder: Path, checkpoint: Path, limit: int | None) -> Path:
    """Delete what a killed run left half written, torn or not yet rotated; return the checkpoint under its name."""
    checkpoint = _take_out(checkpoint)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    for path in list(_list(folder)):
        if _read_step(path) > _read_step(checkpoint) or _find_fault(path):
            _delete(path)
    step = read_state(checkpoint).get("best_global_step")
    rotate_checkpoints(folder, limit, str(name_checkpoint(folder, step)) if step else None)
    return checkpoint


def rotate_checkpoints(folder: Path, limit: int | None, best: str | None) -> None:
    """Keep the newest `limit` checkpoints and the best one; None keeps all."""
    if limit is None:
        return
    steps = sorted(_list(folder), key=_read_step)
    for path in steps[:-limit]:
        if best is None or path.name != Path(best).name:
            _delete(path)


def check_total_batch(checkpoint: Path, rows_per_step: int, processes: int) -> None:
    """Raise where a resumed run would take other rows in a step than the run that wrote the checkpoint."""
    facts = read_facts(checkpoint)
    if facts["rows_per_step"] == rows_per_step:
        return
    problem = f"the run took {facts['rows_per_step']} rows a step on {facts['processes']} processes, and this one "
    problem += f"would take {rows_per_step} on {processes}"
    hint = "change `per_device_train_batch_size` or `gradient_accumulation_steps` so that the total stays"
    raise InputError(problem, hint, at=("per_device_train_batch_size",))


def read_facts(checkpoint: Path) -> dict[str, Any]:
    """Return what the seal of a checkpoint says."""
    return json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Return the Trainer's state at a checkpoint; raises `InputError` where its file cannot be read."""
    file = checkpoint / "trainer_state.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        hint = "delete its folder; the checkpoint before it is then taken"
        raise InputError(f"{str(file)!r} is damaged: {error}", hint, at=("output_dir",)) from None


def write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all, and bring it to the disk."""
    temporary = file.with_name(f"{file.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _sync(temporary)
    os.replace(temporary, file)
    _sync(file.parent)


def _find_fault(checkpoint: Path) -> str | None:
    """Return what a checkpoint lacks; None where it is whole."""
    try:
        sizes = read_facts(checkpoint)["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"its {SEAL} cannot be read ({type(error).__name__})"
    for name, size in sizes.items():
        path = checkpoint / name
        there = path.stat().st_size if path.exists() else 0
        if there != size:
            return f"{name} has {there} of {size} bytes"
    return None


def _find_fault_of_best(checkpoint: Path, folder: Path) -> str | None:
    step = read_state(checkpoint).get("best_global_step")
    if not step or step == _read_step(checkpoint):
        return None
    fault = _find_fault(name_checkpoint(folder, step))
    return f"the best checkpoint so far, that of step {step}: {fault}" if fault else None


def _take_out(checkpoint: Path) -> Path:
    """Move a sealed checkpoint to its place in the run's folder; one of the same step that is there is replaced."""
    if checkpoint.parent.name != UNFINISHED:
        return checkpoint
    placed = checkpoint.parent.parent / checkpoint.name
    if placed.exists():
        _delete(placed)
    os.replace(checkpoint, placed)
    shutil.rmtree(checkpoint.parent)
    _sync(placed.parent)
    return placed


def _delete(checkpoint: Path) -> None:
    """Delete a checkpoint so that, killed in it, nothing is left that looks whole."""
    (checkpoint / SEAL).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def _list(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("checkpoint-*") if path.is_dir() and path.name.rpartition("-")[2].isdecimal())


def _read_step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _sync(path: Path) -> None:
    """Bring a file or the entries of a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
