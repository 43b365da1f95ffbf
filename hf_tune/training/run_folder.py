"""The folder that a run writes: never another run's, never a stranger's, never without room for it."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from hf_tune.input_error import InputError
from hf_tune.training.folder_lock import LOCK, check_unheld


FolderMode: TypeAlias = Literal["new", "resume", "overwrite"]
"""What a run does with its folder: it is empty, go on with the run that is there, or delete that run."""

_MARKS = ("recipe.yaml", "results.json", "log.jsonl")


def check_folder(folder: Path, mode: FolderMode, needed: Sequence[Path] = ()) -> None:
    """Raise `InputError` where a run may not write this folder; write nothing.

    `needed` are files and folders that must survive, because the run reads from them.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file", "give a folder", at=("output_dir",))
    _check_writable(folder)
    check_unheld(folder)
    check_content(folder, mode, needed)


def check_content(folder: Path, mode: FolderMode, needed: Sequence[Path] = ()) -> None:
    """Raise `InputError` where what a folder holds does not fit the mode; of the lock nothing is asked."""
    at = ("output_dir",)
    # A run that was killed while it wrote its first file has left that under another name.
    used = folder.is_dir() and any(path.name != LOCK and path.suffix != ".tmp" for path in folder.iterdir())
    is_run = any((folder / name).exists() for name in _MARKS)
    if mode == "resume" and (is_run or not used):
        return
    if mode == "overwrite" and used:
        _check_overwrite(folder, is_run, needed)
    elif used:
        hint = "--resume goes on with it, --overwrite deletes it, or give a new name"
        what = "another run" if is_run else "other files"
        raise InputError(f"{str(folder)!r} holds {what}", hint if is_run else "give a new name", at=at)


def _check_writable(folder: Path) -> None:
    """Raise where the folder cannot be made or written; root is told that /proc and /sys can be."""
    parent = _nearest(folder)
    if not parent.is_dir():
        raise InputError(
            f"{str(folder)!r} cannot be made: {str(parent)!r} is a file", "give a folder", at=("output_dir",)
        )
    if not os.access(parent, os.W_OK) or shutil.disk_usage(parent).total == 0:
        raise InputError(f"{str(folder)!r} cannot be written", "give a folder of your own", at=("output_dir",))


def _check_overwrite(folder: Path, is_run: bool, needed: Sequence[Path]) -> None:
    at = ("output_dir",)
    if not is_run:
        raise InputError(f"{str(folder)!r} holds files that are no run", "give another folder", at=at)
    lost = [path for path in needed if path.resolve().is_relative_to(folder.resolve())]
    if lost:
        problem = f"--overwrite would delete {str(folder)!r}, and the run reads {str(lost[0])!r}"
        raise InputError(problem, "give another folder, or copy out what is read", at=at)


def clear_folder(folder: Path, mode: FolderMode) -> None:
    """Delete what a new start makes untrue: with `overwrite` the whole run, with `resume` its results."""
    if mode == "overwrite" and folder.exists():
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
    if mode == "resume":
        (folder / "results.json").unlink(missing_ok=True)


def check_disk(folder: Path, needed_bytes: int) -> None:
    """Raise `InputError` where the disk has less room than the run will write."""
    free = shutil.disk_usage(_nearest(folder)).free
    if free < needed_bytes:
        problem = f"the run writes about {needed_bytes / 2**20:.0f} MiB and the disk has {free / 2**20:.0f} MiB left"
        raise InputError(problem, "free some, lower `save_total_limit`, or give another folder", at=("output_dir",))


def say_disk(folder: Path, bytes_at_most: int) -> None:
    """Tell a person how much a run may write."""
    print(f"{folder} will hold at most about {bytes_at_most / 2**20:,.0f} MiB", file=sys.stderr, flush=True)


def estimate_disk_bytes(trainable: int, total: int, full: bool, save_total_limit: int, averaged: int = 0) -> int:
    """Return the bytes of checkpoints (weights and two optimiser states of what trains) and of the final model.

    `averaged` weights stand in a checkpoint twice.
    While a checkpoint is written the one that it will replace is still there, and the best one is kept beside.
    """
    weights = 4 * (total if full else trainable)
    return (save_total_limit + 2) * (weights + 8 * trainable + 4 * averaged) + weights


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest of its parents that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
