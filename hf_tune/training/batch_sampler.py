"""Which rows each process takes in which batch: a permutation per (seed, epoch), with the epoch in every index.

One process and several with the same total batch see the same rows in the same steps: every row once, the last step of
an epoch with fewer. accelerate 1.15 repeats rows there instead, which moved a gradient by a fifth.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler


CHUNK_STEPS = 50
"""Rows are sorted by length within this many steps: little padding, and batches that still differ every epoch."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of the rows that one process takes."""

    batch_size: int
    """Rows of one process in one micro-batch."""
    accumulation: int = 1
    """Micro-batches of one optimiser step."""
    processes: int = 1
    rank: int = 0

    @property
    def rows_per_batch(self) -> int:
        """Return the rows of a micro-batch on all processes."""
        return self.batch_size * self.processes

    @property
    def rows_per_step(self) -> int:
        """Return the total batch: the rows of an optimiser step."""
        return self.rows_per_batch * self.accumulation

    def take(self, indices: list[int], num_rows: int) -> list[int]:
        """Return this process's part of a micro-batch, in parts as even as can be; a filler where it gets none.

        A filler is a row of a negative epoch: it is passed through the network, for the other processes wait for
        that, and counts for nothing.
        """
        if self.processes == 1:
            return indices
        part = np.array_split(np.asarray(indices, dtype=np.int64), self.processes)[self.rank].tolist()
        return part or [as_filler(indices[0], num_rows)]


def share_rows(arguments: Any) -> Share:
    """Return the part of the training rows that this process takes; `arguments` are TrainingArguments."""
    return Share(
        batch_size=arguments.train_batch_size,
        accumulation=arguments.gradient_accumulation_steps,
        processes=arguments.world_size,
        rank=arguments.process_index,
    )


def as_filler(index: int, num_rows: int) -> int:
    """Return the index of the same row in a negative epoch: -1 for epoch 0, -2 for epoch 1 …"""
    epoch, row = divmod(index, num_rows)
    return (-1 - epoch) * num_rows + row


class TrainingSampler(Sampler[list[int]]):
    """Yields this process's part of every micro-batch of an epoch; an index is `epoch * rows + row`."""

    def __init__(self, num_rows: int, seed: int, share: Share, lengths: np.ndarray | None = None) -> None:
        """Start at epoch 0; with `lengths`, shape (rows,), rows of about one length come in one step."""
        self.num_rows = num_rows
        self.seed = seed
        self.share = share
        self.lengths = None if lengths is None else torch.as_tensor(np.array(lengths))
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of micro-batches of an epoch."""
        return math.ceil(self.num_rows / self.share.rows_per_batch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Return this process's part of the micro-batches of the epoch, in shuffled order."""
        order = self.order_rows() + self.epoch * self.num_rows
        return (self.share.take(batch.tolist(), self.num_rows) for batch in order.split(self.share.rows_per_batch))

    def order_rows(self) -> torch.Tensor:
        """Return the rows of the epoch in the order of the steps, int64, shape (rows,); the same on every process."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.num_rows, generator=generator)
        return order if self.lengths is None else self._group(order, self.lengths, generator)

    def _group(self, order: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the rows in steps of about one length, in shuffled order; a step that is not full comes last."""
        size = self.share.rows_per_step
        steps: list[torch.Tensor] = []
        for chunk in order.split(CHUNK_STEPS * size):
            steps += chunk[torch.argsort(lengths[chunk], descending=True, stable=True)].split(size)
        whole = [step for step in steps if len(step) == size]
        rest = [step for step in steps if len(step) < size]
        shuffled = [whole[number] for number in torch.randperm(len(whole), generator=generator).tolist()]
        return torch.cat([*shuffled, *rest])


class EvaluationSampler(Sampler[list[int]]):
    """Yields this process's batches of an evaluation: as many as on every other process, the last one may be a filler.

    With `lengths` the longest rows come first: little padding, and memory runs out at once or never.
    """

    def __init__(self, num_rows: int, share: Share, lengths: np.ndarray | None = None) -> None:
        """Take the number of rows and, where they differ, the length of each, shape (rows,)."""
        order = np.arange(num_rows) if lengths is None else np.argsort(-lengths, kind="stable")
        batches = [order[start : start + share.batch_size] for start in range(0, num_rows, share.batch_size)]
        fillers = -len(batches) % share.processes
        batches += [np.asarray([as_filler(int(order[0]), num_rows)])] * fillers
        self.batches: list[list[int]] = [batch.tolist() for batch in batches[share.rank :: share.processes]]

    def __len__(self) -> int:
        """Return the number of batches of this process."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Return the batches."""
        return iter(self.batches)


class EpochLoader(DataLoader):
    """A `DataLoader` that hands on the epoch; the Trainer of transformers 5.23 asks the loader, not its sampler."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


def build_loader(rows: Any, sampler: Sampler[list[int]], collate: Callable[..., Any], arguments: Any) -> EpochLoader:
    """Return the loader of the batches of a sampler, in their order; `arguments` are TrainingArguments."""
    return EpochLoader(
        rows,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=arguments.dataloader_num_workers,
        pin_memory=arguments.dataloader_pin_memory,
        persistent_workers=arguments.dataloader_persistent_workers,
        prefetch_factor=arguments.dataloader_prefetch_factor,
        multiprocessing_context=arguments.dataloader_multiprocessing_context,
    )
