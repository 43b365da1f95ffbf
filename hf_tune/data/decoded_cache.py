"""Rows of one shape in a file that is mapped into memory: whole or not there, and never more than there is room for.

A file's name says all that its content depends on.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import filelock
import numpy as np
import torch
from numpy.lib import format as npy

from hf_tune.array_files import find_folder, make_room, read_array, touch
from hf_tune.data.look_ahead import map_ahead
from hf_tune.task import Example


logger = logging.getLogger(__name__)


class UnevenRowsError(ValueError):
    """Rows that do not all have the same tensors."""


def find_dtype(encoded: Example) -> np.dtype:
    """Return the tensors of a row as the fields of a structured dtype; raises `UnevenRowsError` for anything else."""
    try:
        fields = {name: value.numpy() for name, value in encoded.items() if isinstance(value, torch.Tensor)}
    except TypeError:  # numpy has no bfloat16
        fields = {}
    if not fields or len(fields) < len(encoded):
        raise UnevenRowsError("a row is more than tensors that numpy knows")
    return np.dtype([(name, value.dtype, value.shape) for name, value in fields.items()])


def map_rows(name: str | None, num_rows: int, encode_row: Callable[[int], Example]) -> np.ndarray | None:
    """Return the encoded rows as a structured array, shape (rows,), mapped from a file that is written where it lacks.

    `name` None: the file goes with this process. Returns None where rows are uneven, or there is no room for them.
    """
    folder = find_folder()
    try:
        if name is not None and (rows := read_rows(folder / f"{name}.npy", num_rows)) is not None:
            touch(folder / f"{name}.npy")
            return rows
        folder.mkdir(parents=True, exist_ok=True)
        if name is None:
            return _write_unnamed(folder, num_rows, encode_row)
        with filelock.FileLock(_find_lock(folder, name)):
            rows = read_rows(folder / f"{name}.npy", num_rows)  # another process may have written it meanwhile
            return _write(folder, name, num_rows, encode_row) if rows is None else rows
    except UnevenRowsError as error:
        logger.info("rows are encoded anew each time: %s", error)
    except (OSError, NotImplementedError) as error:  # no room, no right to write, or a disk without locks
        logger.warning("decoded rows cannot be kept in %s (%s): they are decoded anew each time", folder, error)
    return None


def read_rows(file: Path, num_rows: int) -> np.ndarray | None:
    """Return the rows of a file, mapped; None where it is not there, or not whole."""
    rows = read_array(file)
    return rows if rows is not None and rows.shape == (num_rows,) else None


def _find_lock(folder: Path, name: str) -> Path:
    """Return one of 16 files, which stay: files of the same first digit are written one after another."""
    return folder / f"{name[0]}.lock"


def _write(folder: Path, name: str, num_rows: int, encode_row: Callable[[int], Example]) -> np.ndarray:
    """Write rows under another name, then give them their own; the name's lock is held."""
    _delete_leftovers(folder, name)
    unfinished = folder / f"{name}.tmp"
    try:
        with unfinished.open("wb") as stream:
            _fill(stream, num_rows, encode_row)
            os.fsync(stream.fileno())
        unfinished.replace(folder / f"{name}.npy")
    finally:
        unfinished.unlink(missing_ok=True)
    return npy.open_memmap(folder / f"{name}.npy", mode="r")


def _write_unnamed(folder: Path, num_rows: int, encode_row: Callable[[int], Example]) -> np.ndarray:
    """Write rows into a file that has no name on the disk, so that it goes even where the process is killed."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        dtype = _fill(stream, num_rows, encode_row)
        start = stream.tell() - num_rows * dtype.itemsize
        return np.memmap(stream, dtype=dtype, mode="r", offset=start, shape=(num_rows,))


def _fill(stream: BinaryIO, num_rows: int, encode_row: Callable[[int], Example]) -> np.dtype:
    """Write all rows, encoded in threads; raises `OSError` where they do not fit.

    Pages of a map that is written to would be noticed on a full disk by a signal that ends the process.
    """
    dtype = find_dtype(encode_row(0))
    make_room(num_rows * dtype.itemsize)
    npy.write_array_header_2_0(
        stream, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (num_rows,)}
    )

    def pack(row: int) -> bytes:
        encoded = encode_row(row)
        if find_dtype(encoded) != dtype:
            raise UnevenRowsError(f"row {row} has other tensors than row 0")
        packed = np.empty((), dtype)
        for name, value in encoded.items():
            packed[name] = value.numpy()
        return packed.tobytes()

    threads = os.cpu_count() or 1
    for packed in map_ahead(pack, num_rows, ahead=4 * threads, threads=threads):
        stream.write(packed)
    stream.flush()
    return dtype


def _delete_leftovers(folder: Path, name: str) -> None:
    """Delete what killed processes left half written; what a living one writes now is under its lock."""
    for leftover in folder.glob("*.tmp"):
        lock = filelock.FileLock(_find_lock(folder, leftover.name), timeout=0)
        if leftover.name[0] == name[0]:
            leftover.unlink(missing_ok=True)
            continue
        try:
            with lock:
                leftover.unlink(missing_ok=True)
        except filelock.Timeout:
            logger.debug("%s is being written", leftover)
