"""The longest of the training rows: a batch of such rows is what a step needs the most memory for."""

from typing import Any

from hf_tune.task import Batch, Task


MOST_ROWS = 2000
"""So many rows are looked at, spread over the split."""


def build_longest_row(task: Task, processor: Any, split: Any) -> Batch:
    """Return a batch of the longest row alone; the first one where all rows are of one size."""
    return task.collate([task.encode(split[_find_longest(task, processor, split)], processor)], processor)


def _find_longest(task: Task, processor: Any, split: Any) -> int:
    if task.encode_rows is None:
        return 0
    num_rows = len(getattr(split, "head", split))  # of a stream the first rows are known
    rows = range(0, num_rows, -(-num_rows // MOST_ROWS))
    columns = task.encode_rows([split[row] for row in rows], processor)
    lengths = [len(values) for values in columns["input_ids"]]
    return rows[lengths.index(max(lengths))]
