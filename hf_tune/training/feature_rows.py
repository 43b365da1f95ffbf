"""Rows of a split as the vectors that a frozen body made of them: a batch is one read of an array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hf_tune.task import Batch


class FeatureRows(Dataset):
    """Stands in the place of an encoded split: the same rows, labels, and order of the batches."""

    def __init__(self, rows: Any, vectors: np.ndarray) -> None:
        """Take an encoded split, and its vectors: float32, shape (views, rows, features)."""
        self.rows = rows
        self.vectors = vectors
        self.labels = rows.split.labels
        if hasattr(rows, "lengths"):
            self.lengths = rows.lengths

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the batch of these `epoch * rows + row`; epochs take turns with the views."""
        epochs, rows = np.divmod(np.asarray(indices), len(self))
        views = np.where(epochs < 0, -1 - epochs, epochs) % len(self.vectors)
        return {
            "features": torch.from_numpy(self.vectors[views, rows]),
            "labels": torch.from_numpy(self.labels[rows]),
            "row": torch.from_numpy(rows),
            "epoch": torch.from_numpy(epochs),
        }
