"""One run writes a folder at a time: two that were started by mistake, or as one that fell apart, never mix files."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from hf_tune.input_error import InputError


LOCK = ".running"
"""The file that a run holds. The system lets go of it when the run ends, however it ends; the file itself stays."""


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made, for as long as the context lasts; raises `InputError` where another run does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK, timeout=1)  # the other processes of this run look too, for a moment
    try:
        lock.acquire()
    except filelock.Timeout:
        problem = f"another run writes {str(folder)!r} now"
        raise InputError(problem, "wait for it, or give another folder", at=("output_dir",)) from None
    try:
        yield
    finally:
        lock.release()


def check_unheld(folder: Path) -> None:
    """Raise `InputError` where another run writes this folder now; what a killed run left behind is no lock."""
    if (folder / LOCK).exists():
        with hold_folder(folder):
            return
