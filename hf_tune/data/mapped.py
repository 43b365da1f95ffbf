"""A split encoded by `datasets.map`: cached on disk under a name that changes with everything that it depends on."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
import torch
from torch.utils.data import Dataset

from hf_tune.data.cache_names import name_content
from hf_tune.data.splits import Split
from hf_tune.task import Example, Task


class MappedSplit(Dataset):
    """Encoded examples of one split whose inputs have another length in every row.

    Columns of lists are inputs; columns of numbers are facts about the row, such as its length before it was cut.
    """

    def __init__(self, split: Split, task: Task, processor: Any) -> None:
        """Encode every row, or read what was encoded before of the same rows by the same processor and code.

        Raises `InputError` for a row that the task refuses; it names row and split.
        """
        assert task.encode_rows is not None
        encode_rows = task.encode_rows
        check = functools.partial(_check, task, processor)
        self.split = split
        self.fingerprint = _name_cache(split.rows._fingerprint, encode_rows, processor)
        """Changes with the rows, and with all that makes them into inputs."""
        rows = split.rows.map(
            lambda columns, numbers: encode_rows(_examples(columns, numbers, check, split), processor),
            batched=True,
            with_indices=True,
            remove_columns=split.rows.column_names,
            new_fingerprint=self.fingerprint,
        )
        columns = {name: rows.data.column(name).combine_chunks() for name in rows.column_names}
        lists = {name: column for name, column in columns.items() if pyarrow.types.is_list(column.type)}
        self.inputs = {name: (column.offsets.to_numpy(), column.values.to_numpy()) for name, column in lists.items()}
        self.facts = {name: column.to_numpy() for name, column in columns.items() if name not in lists}
        starts = next(iter(self.inputs.values()))[0]
        self.lengths = np.diff(starts).astype(np.int64)
        """Length of each row's inputs, int64, shape (rows,)."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.split)

    def __getitem__(self, index: int) -> Example:
        """Return the encoded example of `index` = epoch * rows + row."""
        epoch, row = divmod(index, len(self))
        encoded = {name: values[starts[row] : starts[row + 1]] for name, (starts, values) in self.inputs.items()}
        labels = {} if self.split.labels is None else {"labels": torch.as_tensor(self.split.labels[row])}
        return {**encoded, **labels, "row": torch.tensor(row), "epoch": torch.tensor(epoch)}


def _check(task: Task, processor: Any, example: Example) -> None:
    task.check_example(example, processor)


def _examples(
    columns: Mapping[str, Sequence[Any]], numbers: Sequence[int], check: Callable[[Example], None], split: Split
) -> list[Example]:
    """Return the rows of a batch of columns, each checked."""
    values = zip(*columns.values(), strict=True)
    examples: list[Example] = [dict(zip(columns, each, strict=True)) for each in values]
    for row, example in zip(numbers, examples, strict=True):
        with split.naming_row(row):
            check(example)
    return examples


def _name_cache(rows: str, encode_rows: Callable[..., Any], processor: Any) -> str:
    """Return 16 hexadecimal digits; a change of rows, options, tokenizer, code or version gives other ones."""
    return name_content(rows, {encode_rows.__module__, __name__}, processor, ("hf_tune", "datasets"))[:16]
