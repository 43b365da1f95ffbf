"""The order of the training rows: a permutation per (seed, epoch), with the epoch in every index."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[int]):
    """Yields `epoch * rows + row`, so that a worker knows the epoch that a row is drawn in."""

    def __init__(self, num_rows: int, seed: int) -> None:
        """Start at epoch 0."""
        self.num_rows = num_rows
        self.seed = seed
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
        return iter((order + self.epoch * self.num_rows).tolist())
