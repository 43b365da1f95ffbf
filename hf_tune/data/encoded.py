"""A split as model inputs: encoded once where its rows have one shape; a bad row is found before training."""

import functools
import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hf_tune.array_files import find_folder, find_refusal
from hf_tune.data.cache_names import hash_rows, is_named_by_source, name_content
from hf_tune.data.decoded_cache import UnevenRowsError, find_dtype, map_rows, read_rows
from hf_tune.data.mapped import MappedSplit
from hf_tune.data.splits import Split
from hf_tune.data.streamed import EncodedStream, StreamedSplit
from hf_tune.task import Batch, Example, Task


_PACKAGES = ("hf_tune", "numpy", "pillow", "timm", "torch", "torchvision", "transformers")
"""What pixels depend on, beside pydicom where it is installed."""


def encode_split(
    split: Split | StreamedSplit, task: Task, processor: Any, seed: int = 0, decoded_cache: bool = True
) -> "EncodedSplit | DecodedSplit | MappedSplit | EncodedStream":
    """Return a split as model inputs; raises `InputError` for a row that cannot be read.

    Of a stream that is one of the first rows; `seed` gives the order of its passes. With `decoded_cache` rows of one
    shape are encoded once, into a file that later runs read too; else whenever they are asked for.
    """
    if isinstance(split, StreamedSplit):
        return EncodedStream(split, task, processor, seed)
    if task.encode_rows is not None:
        return MappedSplit(split, task, processor)
    encode = functools.partial(_encode, task, processor)
    name = _name_file(split, task, processor)
    if decoded_cache:
        rows = map_rows(name, len(split), functools.partial(_encode_inputs, split, encode))
        if rows is not None:
            return DecodedSplit(split, rows, name)
    return EncodedSplit(split, encode, functools.partial(_check, task, processor), name)


@dataclass(frozen=True, kw_only=True)
class DecodedFacts:
    """What `encode_split` would keep of a split on the disk."""

    num_bytes: int
    file: Path | None
    """None: it has no name, and goes with the process."""
    is_there: bool
    """A run before has written it."""
    refusal: str | None
    """Why there is no room for it; None where there is."""


def describe_decoded(split: Split | StreamedSplit, task: Task, processor: Any) -> DecodedFacts | None:
    """Return what would be kept of a split on the disk, with nothing written; None where nothing would.

    Raises `InputError` where the first row cannot be read.
    """
    if isinstance(split, StreamedSplit) or task.encode_rows is not None:
        return None
    try:
        dtype = find_dtype(_encode_inputs(split, functools.partial(_encode, task, processor), 0))
    except UnevenRowsError:
        return None
    name, num_bytes = _name_file(split, task, processor), len(split) * dtype.itemsize
    file = None if name is None else find_folder() / f"{name}.npy"
    is_there = file is not None and read_rows(file, len(split)) is not None
    return DecodedFacts(
        num_bytes=num_bytes, file=file, is_there=is_there, refusal=None if is_there else find_refusal(num_bytes)
    )


class DecodedSplit(Dataset):
    """Encoded examples of one split in a file; a batch of them is read at once, with their `row` and `epoch`."""

    def __init__(self, split: Split, rows: np.ndarray, fingerprint: str | None = None) -> None:
        """Take the split and its encoded rows without labels: a structured array, shape (rows,)."""
        self.split = split
        self.fingerprint = fingerprint
        """Changes with the rows, and with all that makes them into inputs; None where that cannot be known."""
        self.rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.split)

    def __getitem__(self, index: int) -> Example:
        """Return the encoded example of `index` = epoch * rows + row."""
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the examples of some indices as one batch."""
        epochs, numbers = np.divmod(np.asarray(indices, dtype=np.int64), len(self))
        rows = self.rows[numbers]
        batch = {name: torch.from_numpy(np.ascontiguousarray(rows[name])) for name in rows.dtype.names or ()}
        labels = {name: torch.from_numpy(values[numbers]) for name, values in self.split.get_labels().items()}
        return {**batch, **labels, "row": torch.from_numpy(numbers), "epoch": torch.from_numpy(epochs)}

    def __getstate__(self) -> dict[str, Any]:
        """Return the file's path for its rows: a worker that does not share this process's memory maps it anew."""
        file = getattr(self.rows, "filename", None)
        return {**self.__dict__, "rows": file if file and Path(file).exists() else self.rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the rows of a file."""
        rows = state["rows"]
        self.__dict__ = {**state, "rows": np.load(rows, mmap_mode="r") if isinstance(rows, (str, Path)) else rows}


class EncodedSplit(Dataset):
    """Examples of one split, encoded whenever they are asked for, with their `row` and the `epoch` of their index."""

    def __init__(
        self,
        split: Split,
        encode: Callable[[Example], Example],
        check: Callable[[Example], Any],
        fingerprint: str | None = None,
    ) -> None:
        """Check that every row can be read."""
        self.split = split
        self.fingerprint = fingerprint
        """Changes with the rows, and with all that makes them into inputs; None where that cannot be known."""
        self.encode = encode
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(functools.partial(_read, split, check), range(len(split))))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.split)

    def __getitem__(self, index: int) -> Example:
        """Return the encoded example of `index` = epoch * rows + row."""
        epoch, row = divmod(index, len(self))
        return {**_read(self.split, self.encode, row), "row": torch.tensor(row), "epoch": torch.tensor(epoch)}


def _encode(task: Task, processor: Any, example: Example) -> Example:
    return task.encode(example, processor)


def _check(task: Task, processor: Any, example: Example) -> None:
    task.check_example(example, processor)


def _encode_inputs(split: Split, encode: Callable[[Example], Example], row: int) -> Example:
    """Return an encoded row without its labels; raises `UnevenRowsError` where they are not those of the split."""
    encoded = dict(_read(split, encode, row))
    if split.labels is not None:
        labels = encoded.pop("labels", None)
        expected = torch.as_tensor(split.labels[row])
        if labels is None or labels.dtype != expected.dtype or not torch.equal(labels, expected):
            raise UnevenRowsError("the task makes other labels than the data has")
    return encoded


def _read(split: Split, function: Callable[[Example], Any], row: int) -> Any:
    """Return `function` of one raw example; an error names row and split."""
    with split.naming_row(row):
        return function(split[row])


def _name_file(split: Split, task: Task, processor: Any) -> str | None:
    """Return a name that changes with everything that the rows depend on; None where that cannot be known."""
    if not hasattr(processor, "fingerprint") or not is_named_by_source(task.encode):
        return None
    modules = {task.encode.__module__, __name__, map_rows.__module__}
    packages = (*_PACKAGES, *(["pydicom"] if importlib.util.find_spec("pydicom") else []))
    try:
        return name_content(hash_rows(split.rows), modules, processor, packages)[:32]
    except (KeyError, OSError, TypeError):  # a module without a file, such as a notebook
        return None
