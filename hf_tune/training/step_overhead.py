"""What the libraries do at every step and need do once: half of what a small network costs."""

import functools
from typing import Any

import accelerate.optimizer


def lighten_steps(trainer: Any) -> None:
    """Let the steps of a Trainer do less; what they compute stays the same.

    accelerate 1.15 looks twice a step through all of `sys.path` for a package (0.2 ms on a warm disk); transformers
    5.23 counts all weights at every micro-batch, for a number of operations that nothing here tells.
    """
    accelerate.optimizer.is_lomo_available = functools.cache(accelerate.optimizer.is_lomo_available)
    trainer.floating_point_ops = lambda inputs: 0
