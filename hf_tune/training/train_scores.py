"""Scores on the training batches between two evaluations, and a watch on their losses, added up on the device."""

import math
from typing import Any

import torch

from hf_tune.task import Batch


class TrainScores:
    """Sums over rows; reading them at every step would wait for the device."""

    def __init__(self) -> None:
        """Start with no row."""
        self.names: list[str] = []
        self.sums: torch.Tensor | None = None
        self.rows = 0

    @torch.no_grad()
    def add(self, scores: Batch, rows: int) -> None:
        """Add the scores of so many rows, each of shape (rows,): those of the rows alone that count."""
        values = torch.stack([each.detach().float() for each in scores.values()])
        sums = values.sum(1) if values.device.type == "mps" else values.double().sum(1)
        self.names = list(scores)
        self.sums = sums if self.sums is None else self.sums + sums
        self.rows += rows

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the means over the rows of all processes since the last call, as `train_<name>`."""
        if self.sums is None:
            return {}
        totals = torch.cat([self.sums.float(), torch.tensor([self.rows], device=self.sums.device)])
        *sums, rows = accelerator.gather(totals[None]).sum(0).tolist()
        self.forget()
        return {f"train_{name}": value / rows for name, value in zip(self.names, sums, strict=True)}

    def forget(self) -> None:
        """Start anew."""
        self.sums, self.rows = None, 0


class LossWatch:
    """Remembers the first step whose loss was not finite."""

    def __init__(self) -> None:
        """Start with none."""
        self.first: torch.Tensor | float = math.inf

    def note(self, loss: torch.Tensor, step: int) -> None:
        """Take the loss of a micro-batch of this step."""
        if loss.device.type != "cpu":
            self._note_on_device(loss, step)
        elif not math.isfinite(loss):
            self.first = min(float(self.first), step)

    @torch.no_grad()
    def _note_on_device(self, loss: torch.Tensor, step: int) -> None:
        first = torch.as_tensor(self.first, device=loss.device)
        self.first = torch.where(torch.isfinite(loss), first, first.clamp(max=step))

    def read(self) -> int | None:
        """Return the step, None where every loss was finite; waits for the device."""
        first = float(self.first)
        return None if first == math.inf else int(first)


def count_broken(model: torch.nn.Module) -> int:
    """Return how many trained tensors hold a value that is not finite; of sharded ones this process's part."""
    trained = [value for value in model.parameters() if value.requires_grad]
    parts = [value.to_local() if hasattr(value, "to_local") else value for value in trained]
    return sum(not bool(torch.isfinite(part).all()) for part in parts)
