"""Training rows that come with a partner each, to be mixed with; and the loss of what has two labels.

The partner of a row depends on (seed, epoch, row) alone. It is fetched by whoever reads the row, and augmented as it
is where it is a row itself, so that one batch needs no other.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hf_tune.task import Batch, Example, Task


if TYPE_CHECKING:
    from hf_tune.training.training_data import TrainingData


PREFIX = "partner_"
"""Before the names of what belongs to the partner."""


class PartneredRows(Dataset):
    """Stands in the place of the encoded training rows; a batch of it holds the partners of its rows too."""

    def __init__(self, rows: Any, mixing: Any, seed: int, task: Task, processor: Any) -> None:
        """Take encoded rows, and what `Task.mixing` says of them."""
        self.rows = rows
        self.mixing = mixing
        self.seed = seed
        self.task = task
        self.processor = processor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        """Return one encoded row as it is."""
        example: Example = self.rows[index]
        return example

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the batch of these `epoch * rows + row`, all of one epoch, with what belongs to the partners."""
        epochs, rows = np.divmod(np.asarray(indices, dtype=np.int64), len(self))
        epoch = int(epochs[0] if epochs[0] >= 0 else -1 - epochs[0])
        partners = self.mixing.draw_partners(self.seed, epoch, rows, len(self))
        others = self._read((epoch * len(self) + partners).tolist())
        return self._read(indices) | {f"{PREFIX}{name}": value for name, value in others.items() if name != "epoch"}

    def _read(self, indices: Sequence[int]) -> Batch:
        whole = getattr(self.rows, "__getitems__", None)
        examples = whole(indices) if whole else [self.rows[index] for index in indices]
        return examples if isinstance(examples, dict) else self.task.collate(examples, self.processor)


def leave_partners(rows: Any) -> Any:
    """Return encoded rows without partners, whether they have some or not."""
    return rows.rows if isinstance(rows, PartneredRows) else rows


def change_rows(task: Task, data: "TrainingData", batch: Batch, seed: int, epoch: int) -> Batch:
    """Return a training batch augmented and, where its rows have partners, mixed with these, augmented too."""
    partners = {name.removeprefix(PREFIX): value for name, value in batch.items() if name.startswith(PREFIX)}
    own = {name: value for name, value in batch.items() if not name.startswith(PREFIX)}
    draws = data.make_draws(seed, epoch, own["row"].numpy())
    changed = task.augment(own, data.preprocess, draws)
    if not partners:
        return changed
    others = task.augment(partners, data.preprocess, data.make_draws(seed, epoch, partners["row"].numpy()))
    mixed: Batch = data.train.mixing(changed, others, draws)
    return mixed


def compute_losses(
    loss: Callable[[Any, Batch, float], torch.Tensor], outputs: Any, batch: Batch, label_smoothing: float
) -> torch.Tensor:
    """Return the loss of each row; of a mixed one the mean of those of both labels, weighted by their shares.

    Cross-entropy is linear in its target, so that this is the loss of the mixed target, smoothed or weighted or not.
    `loss` is a task's own or any other per row: it is asked for one label and then for the other.
    """
    losses = loss(outputs, batch, label_smoothing)
    if "share" not in batch:
        return losses
    other = {name: batch[f"{PREFIX}{name}"] for name in ("labels", "row")}
    return batch["share"] * losses + (1 - batch["share"]) * loss(outputs, {**batch, **other}, label_smoothing)
