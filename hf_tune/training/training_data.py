"""What a run trains on and is judged by, handed to the Trainer as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hf_tune.task import SINGLE_LABEL
from hf_tune.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a run trains on and is judged by."""

    train: Any
    """Encoded training rows; their indices carry the epoch (`TrainingSampler`)."""
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
    notes: Sequence[str] = ()
    """What a reader of the results has to know about the rows."""
