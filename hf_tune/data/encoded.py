"""A split as model inputs: encoded once, kept in memory where it fits; a bad row is found before training."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.utils.data import Dataset

from hf_tune.data.mapped import MappedSplit
from hf_tune.data.splits import Split
from hf_tune.data.streamed import EncodedStream, StreamedSplit
from hf_tune.task import Example, Task


CACHE_BYTES = 2 * 2**30


def encode_split(
    split: Split | StreamedSplit, task: Task, processor: Any, seed: int = 0
) -> "EncodedSplit | MappedSplit | EncodedStream":
    """Return a split as model inputs; raises `InputError` for a row that cannot be read.

    Of a stream that is one of the first rows; `seed` gives the order of its passes.
    """
    if isinstance(split, StreamedSplit):
        return EncodedStream(split, task, processor, seed)
    if task.encode_rows is None:
        return EncodedSplit(split, functools.partial(_encode, task, processor), task.check_example)
    return MappedSplit(split, task, processor)


def _encode(task: Task, processor: Any, example: Example) -> Example:
    return task.encode(example, processor)


class EncodedSplit(Dataset):
    """Encoded examples of one split, each with its `row` and the `epoch` that its index carries."""

    def __init__(self, split: Split, encode: Callable[[Example], Example], check: Callable[[Example], Any]) -> None:
        """Encode every row if the whole split fits into memory; else only `check` that every row can be read."""
        self.split = split
        self.encode = encode
        self.cache: list[Example] | None = None
        size = len(split) * _num_bytes(self._encode_row(0))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            if size <= CACHE_BYTES:
                self.cache = list(pool.map(self._encode_row, range(len(split))))
            else:
                list(pool.map(lambda row: self._named(check, row), range(len(split))))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.split)

    def __getitem__(self, index: int) -> Example:
        """Return the encoded example of `index` = epoch * rows + row."""
        epoch, row = divmod(index, len(self))
        encoded = self._encode_row(row) if self.cache is None else self.cache[row]
        return {**encoded, "row": torch.tensor(row), "epoch": torch.tensor(epoch)}

    def _encode_row(self, row: int) -> Example:
        return self._named(self.encode, row)

    def _named(self, function: Callable[[Example], Any], row: int) -> Any:
        """Return `function` of one raw example; an error names row and split."""
        with self.split.naming_row(row):
            return function(self.split[row])


def _num_bytes(example: Example) -> int:
    return sum(value.numel() * value.element_size() for value in example.values() if isinstance(value, torch.Tensor))
