"""The folder that a run writes: never another run's, never a stranger's, never without room for it."""

import os
import shutil
from pathlib import Path

from hf_tune.input_error import InputError


_MARKS = ("recipe.yaml", "results.json", "log.jsonl")


def check_folder(folder: Path, resume: bool, overwrite: bool, needed: Path | None = None) -> None:
    """Raise `InputError` where a run may not write this folder; write nothing.

    `needed` is a folder that must survive, because the run reads from it.
    """
    at = ("output_dir",)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file", "give a folder", at=at)
    if not os.access(_nearest(folder), os.W_OK):
        raise InputError(f"{str(folder)!r} cannot be written", "give a folder of your own", at=at)
    used = folder.is_dir() and any(folder.iterdir())
    is_run = any((folder / name).exists() for name in _MARKS)
    if resume:
        if find_checkpoint(folder) is None:
            raise InputError(f"{str(folder)!r} holds no checkpoint to resume", "start it without --resume", at=at)
    elif overwrite and used:
        _check_overwrite(folder, is_run, needed)
    elif used:
        hint = "--resume goes on with it, --overwrite deletes it, or give a new name"
        what = "another run" if is_run else "other files"
        raise InputError(f"{str(folder)!r} holds {what}", hint if is_run else "give a new name", at=at)


def _check_overwrite(folder: Path, is_run: bool, needed: Path | None) -> None:
    at = ("output_dir",)
    if not is_run:
        raise InputError(f"{str(folder)!r} holds files that are no run", "give another folder", at=at)
    if needed is not None and needed.resolve().is_relative_to(folder.resolve()):
        problem = f"--overwrite would delete {str(folder)!r}, where the recipe itself stands"
        raise InputError(problem, "give another folder, or copy the recipe out", at=at)


def clear_folder(folder: Path) -> None:
    """Delete the run in a folder that `check_folder` has let pass with `overwrite`."""
    if folder.exists():
        shutil.rmtree(folder)


def find_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint: killed while saving, the newest lacks trainer_state.json."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def check_disk(folder: Path, needed_bytes: int) -> None:
    """Raise `InputError` where the disk has less room than the run will write."""
    free = shutil.disk_usage(_nearest(folder)).free
    if free < needed_bytes:
        problem = f"the run writes about {needed_bytes / 2**20:.0f} MiB and the disk has {free / 2**20:.0f} MiB left"
        raise InputError(problem, "free some, lower `save_total_limit`, or give another folder", at=("output_dir",))


def estimate_disk_bytes(trainable: int, total: int, full: bool, save_total_limit: int) -> int:
    """Return the bytes of checkpoints (weights and two optimiser states of what trains) and of the final model.

    While a checkpoint is written the one that it will replace is still there, and the best one is kept beside.
    """
    weights = 4 * (total if full else trainable)
    return (save_total_limit + 2) * (weights + 8 * trainable) + weights


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest of its parents that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
