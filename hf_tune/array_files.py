"""Arrays that are computed once and read by later runs: memory-mapped files, whole or not there, bounded in number.

They lie beside the data sets' own cache, in `HF_DATASETS_CACHE`, under names that change with all that they depend on.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


LIMIT_BYTES = 20 * 2**30
"""What all files may take together; and none may take more than half of what the disk has left."""
_PART = ".part"
_ABANDONED_SECONDS = 24 * 3600


def find_folder() -> Path:
    """Return the folder of the files; it need not be there."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE, "hf_tune")


def open_array(name: str) -> np.ndarray | None:
    """Return the array of this name, mapped for reading; None where there is none."""
    file = find_folder() / f"{name}.npy"
    try:
        array = np.load(file, mmap_mode="r")
        os.utime(file)  # the files that were not used for the longest time go first
    except (FileNotFoundError, PermissionError):
        return None
    return array


def fits(num_bytes: int) -> bool:
    """Return whether a file of this size may be written."""
    folder = find_folder()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    return num_bytes <= min(LIMIT_BYTES, shutil.disk_usage(place).free // 2)


def reserve_array(name: str, shape: tuple[int, ...], dtype: Any) -> Path:
    """Return the part file of an array, with all its room taken on the disk: a write into a full one kills a process.

    Other files make room for it. Raises `OSError` where the disk is full or may not be written.
    """
    folder = find_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _make_room(folder, int(np.prod(shape)) * np.dtype(dtype).itemsize)
    part = folder / f"{name}{_PART}"
    np.lib.format.open_memmap(part, "w+", dtype, shape).flush()
    try:
        with part.open("r+b") as stream:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(stream.fileno(), 0, part.stat().st_size)
    except OSError:
        part.unlink()
        raise
    return part


@contextlib.contextmanager
def write_part(part: Path) -> Iterator[np.ndarray]:
    """Yield the array of a part file, to be written; it is on the disk when the context ends."""
    array = np.lib.format.open_memmap(part, "r+")
    yield array
    array.flush()


def seal_array(part: Path, name: str) -> None:
    """Give a part file the name under which it is read."""
    part.replace(part.with_name(f"{name}.npy"))


def _make_room(folder: Path, num_bytes: int) -> None:
    """Delete parts that nobody goes on with, and the files that were not used for the longest time."""
    for part in folder.glob(f"*{_PART}"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            part.unlink(missing_ok=True)
    files = sorted(folder.glob("*.npy"), key=lambda file: file.stat().st_mtime)
    taken = sum(file.stat().st_size for file in files)
    while files and taken + num_bytes > LIMIT_BYTES:
        taken -= files[0].stat().st_size
        files.pop(0).unlink(missing_ok=True)  # who has mapped it reads on
