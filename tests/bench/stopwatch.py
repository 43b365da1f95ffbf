"""Time of training steps, data loading included: from the end of the warm-up to the end of the last step."""

import time
from typing import Any


class Stopwatch:
    """Stamps the end of every step; the loop or a callback of the Trainer calls `stamp`."""

    def __init__(self, steps: int, warmup: int, rows_per_step: int, device: str = "cpu") -> None:
        """Plan `steps` steps, the first `warmup` of which do not count."""
        self.steps, self.warmup, self.rows_per_step, self.device = steps, warmup, rows_per_step, device
        self.stamps: list[float] = []

    @property
    def is_done(self) -> bool:
        """Return whether the last step has ended."""
        return len(self.stamps) >= self.steps

    def stamp(self) -> None:
        """Note the end of a step; a GPU is waited for only where counting starts and ends."""
        if self.device == "cuda" and len(self.stamps) + 1 in (self.warmup, self.steps):
            import torch

            torch.cuda.synchronize()
        self.stamps.append(time.perf_counter())

    def read(self) -> dict[str, float]:
        """Return seconds, rows per second and milliseconds per step."""
        seconds = self.stamps[self.steps - 1] - self.stamps[self.warmup - 1]
        counted = self.steps - self.warmup
        return {
            "seconds": seconds,
            "rows_per_second": counted * self.rows_per_step / seconds,
            "milliseconds_per_step": 1000 * seconds / counted,
        }

    def as_callback(self) -> Any:
        """Return a callback of transformers' Trainer that stamps every step, and every epoch in `epoch_ends`."""
        from transformers import TrainerCallback

        class Stamps(TrainerCallback):
            def __init__(self, watch: Stopwatch) -> None:
                self.watch = watch
                self.epoch_ends: list[float] = []

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                self.watch.stamp()

            def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                self.epoch_ends.append(time.perf_counter())

        return Stamps(self)
