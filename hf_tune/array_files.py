"""Arrays that are computed once and read by later runs: memory-mapped files, whole or not there, bounded in number.

They lie beside the data sets' own cache, in `HF_DATASETS_CACHE`, under names that change with all that they depend on.
"""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


LIMIT_BYTES = 20 * 2**30
"""What all files may take together."""
FREE_PART = 0.5
"""No file takes more of the free disk than this part."""
_PART = ".part"
_ABANDONED_SECONDS = 24 * 3600


def find_folder() -> Path:
    """Return the folder of the files; it need not be there."""
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE, "hf_tune")


def open_array(name: str) -> np.ndarray | None:
    """Return the array of this name, mapped for reading; None where there is none."""
    file = find_folder() / f"{name}.npy"
    array = read_array(file)
    if array is not None:
        touch(file)
    return array


def read_array(file: Path) -> np.ndarray | None:
    """Return the array of a file, mapped for reading; None where it is not there, or not whole."""
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except (FileNotFoundError, ValueError, EOFError):
        return None


def touch(file: Path) -> None:
    """Say that a file is used: those that were not for the longest time go first."""
    with contextlib.suppress(PermissionError):  # another user's file
        os.utime(file)


def find_refusal(num_bytes: int) -> str | None:
    """Return why a file of this size is not written; None where it is."""
    place = next(path for path in (find_folder(), *find_folder().parents) if path.exists())
    limit = min(LIMIT_BYTES, int(shutil.disk_usage(place).free * FREE_PART))
    if num_bytes <= limit:
        return None
    return f"{num_bytes / 2**30:.1f} GiB are more than the {limit / 2**30:.1f} GiB of the disk that they may take"


def make_room(num_bytes: int) -> None:
    """Make the folder, and delete from it what was not used for the longest time until so many bytes fit.

    Raises `OSError` where they never do.
    """
    if (refusal := find_refusal(num_bytes)) is not None:
        raise OSError(errno.ENOSPC, refusal)
    folder = find_folder()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {file: file.stat() for file in folder.glob("*.npy")}
    taken = sum(each.st_size for each in sizes.values())
    for file in sorted(sizes, key=lambda each: sizes[each].st_mtime_ns):
        if taken + num_bytes <= LIMIT_BYTES:
            return
        file.unlink(missing_ok=True)  # who has mapped it reads on
        taken -= sizes[file].st_size


def reserve_array(name: str, shape: tuple[int, ...], dtype: Any) -> Path:
    """Return the part file of an array, with all its room taken on the disk: a write into a full one kills a process.

    Other files make room for it. Raises `OSError` where the disk is full or may not be written.
    """
    make_room(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    for left in find_folder().glob(f"*{_PART}"):
        if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
            left.unlink(missing_ok=True)
    part = find_folder() / f"{name}{_PART}"
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
