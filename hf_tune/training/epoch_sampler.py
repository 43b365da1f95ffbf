"""The order of the training rows: a permutation per (seed, epoch), with the epoch in every index."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


CHUNK_BATCHES = 50
"""Rows are sorted by length within this many batches: little padding, and batches that still differ every epoch."""


class EpochSampler(Sampler[int]):
    """Yields `epoch * rows + row`, so that a worker knows the epoch that a row is drawn in."""

    def __init__(self, num_rows: int, seed: int, lengths: np.ndarray | None = None, batch_size: int = 1) -> None:
        """Start at epoch 0; with `lengths`, shape (rows,), rows of about one length come in one batch."""
        self.num_rows = num_rows
        self.seed = seed
        self.lengths = None if lengths is None else torch.as_tensor(np.array(lengths))
        self.batch_size = batch_size
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of rows of an epoch."""
        return self.num_rows

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; the Trainer calls it through accelerate."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Return the indices of the epoch in shuffled order."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.num_rows, generator=generator)
        if self.lengths is not None:
            order = self._group(order, generator)
        return iter((order + self.epoch * self.num_rows).tolist())

    def _group(self, order: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the rows in batches of about one length, in shuffled order; a batch that is not full comes last."""
        assert self.lengths is not None
        batches: list[torch.Tensor] = []
        for chunk in order.split(CHUNK_BATCHES * self.batch_size):
            batches += chunk[torch.argsort(self.lengths[chunk], descending=True, stable=True)].split(self.batch_size)
        whole = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        shuffled = [whole[number] for number in torch.randperm(len(whole), generator=generator).tolist()]
        return torch.cat([*shuffled, *rest])


class LengthSampler(Sampler[int]):
    """Yields the rows of an evaluation, the longest first: little padding, and memory runs out at once or never."""

    def __init__(self, lengths: np.ndarray) -> None:
        """Take the length of every row, shape (rows,)."""
        self.order: list[int] = np.argsort(-lengths, kind="stable").tolist()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        """Return the row numbers."""
        return iter(self.order)
