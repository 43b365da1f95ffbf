"""Where the rows of a split stand in the data set: what an error calls a row, whatever was cut or left out before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, kw_only=True)
class RowOrigin:
    """The data set's own split and number of every row of a split."""

    split: str
    """The split that the rows are in now: train, validation or test."""
    sources: np.ndarray
    """The data set's own split of each row, str, shape (rows,)."""
    numbers: np.ndarray
    """The number of each row in it, from 0, int64, shape (rows,)."""

    def name_row(self, row: int) -> str:
        """Return what a person finds the row under: `row 17 of split 'train' (now in validation)`."""
        source = str(self.sources[row])
        moved = "" if source == self.split else f" (now in {self.split})"
        return f"row {self.numbers[row]} of split {source!r}{moved}"

    def select(self, indices: np.ndarray) -> "RowOrigin":
        """Return the origin of these rows, in this order."""
        return replace(self, sources=self.sources[indices], numbers=self.numbers[indices])


def build_origin(split: str, pieces: Sequence[tuple[str, int, int]]) -> RowOrigin:
    """Return the origin of rows that are pieces of the data set's own splits: (split, first, last + 1) of each."""
    sources = np.concatenate([np.full(len(range(first, end)), source) for source, first, end in pieces])
    return RowOrigin(
        split=split, sources=sources, numbers=np.concatenate([np.arange(first, end) for _, first, end in pieces])
    )
