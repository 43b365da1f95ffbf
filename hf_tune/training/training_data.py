"""What a run trains on and is judged by, handed to the Trainer as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hf_tune.task import SINGLE_LABEL, Batch
from hf_tune.training.objective import Objective
from hf_tune.training.row_loss import RowLoss
from hf_tune.training.speed import Speed


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a run trains on and is judged by."""

    train: Any
    """Encoded training rows; their indices carry the epoch (`TrainingSampler`), or are positions of a stream."""
    validation: Any
    """Encoded rows that choose the checkpoint."""
    test: Any = None
    """Encoded rows that are scored once, at the end."""
    preprocess: Any
    """The `preprocess:` block."""
    make_draws: Callable[[int, int, np.ndarray], Any]
    """(seed, epoch, rows) → the randomness of one training batch."""
    label_names: Sequence[str]
    problem_type: str = SINGLE_LABEL
    new_layers: frozenset[str] = frozenset()
    objective: Objective = field(default_factory=Objective)
    row_loss: RowLoss | None = None
    """The loss of each training row; None: the task's own."""
    speed: Speed = field(default_factory=Speed)
    linear_baseline: Any = None
    """Logistic regression that is scored beside, fitted before the first step; None where there is none."""
    notes: Sequence[str] = ()
    """What a reader of the results has to know about the rows."""


def count_rows(rows: Any) -> int | None:
    """Return the number of rows of a split, raw or encoded; None for a stream, which has no length."""
    return len(rows) if hasattr(rows, "__len__") else None


def read_rows(rows: Any, indices: Sequence[int], collate: Callable[..., Batch]) -> Batch:
    """Return the batch of these indices of an encoded split, as a loader gives it."""
    whole = getattr(rows, "__getitems__", None)
    return collate(whole(list(indices)) if whole else [rows[index] for index in indices])
