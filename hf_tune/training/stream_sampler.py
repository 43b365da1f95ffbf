"""Which positions of an endless stream each process takes in which batch; and which sampler fits the training rows."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Sampler

from hf_tune.training.batch_sampler import Share, TrainingSampler
from hf_tune.training.training_data import count_rows


class StreamSampler(Sampler[list[int]]):
    """Yields this process's part of every micro-batch of a run, as positions in ascending order.

    Passes follow each other without a break, and so every micro-batch is full. A worker that loads every third batch
    reads on to its own positions, and a resumed run, whose first batches are left out, to where it goes on.
    """

    def __init__(self, share: Share, steps: int) -> None:
        """Take the number of optimiser steps of the run."""
        self.share = share
        self.steps = steps

    def __len__(self) -> int:
        """Return the number of micro-batches of the run."""
        return self.steps * self.share.accumulation

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the whole run is one epoch of the Trainer, and passes are counted by the rows."""

    def __iter__(self) -> Iterator[list[int]]:
        """Return the positions of this process in each micro-batch."""
        for number in range(len(self)):
            first = number * self.share.rows_per_batch + self.share.rank * self.share.batch_size
            yield list(range(first, first + self.share.batch_size))


def build_training_sampler(rows: Any, share: Share, arguments: Any) -> TrainingSampler | StreamSampler:
    """Return the sampler of encoded training rows: a table's, or a stream's; `arguments` are TrainingArguments."""
    num_rows = count_rows(rows)
    if num_rows is None:
        return StreamSampler(share, arguments.max_steps)
    lengths = rows.lengths if arguments.train_sampling_strategy == "group_by_length" else None
    seed = arguments.seed if arguments.data_seed is None else arguments.data_seed
    return TrainingSampler(num_rows, seed, share, lengths)
