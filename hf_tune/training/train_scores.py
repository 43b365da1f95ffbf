"""Scores on the training batches between two evaluations, and a watch on their losses, added up on the device."""

from typing import Any

import torch

from hf_tune.task import Batch


class TrainScores:
    """Sums over rows; reading them at every step would wait for the device."""

    def __init__(self) -> None:
        """Start with no row."""
        self.sums: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def add(self, scores: Batch) -> None:
        """Add scores of rows, each of shape (rows,); `rows` holds 1 for each row that counts."""
        for name, values in scores.items():
            total = values.detach().double().sum() if values.device.type != "mps" else values.detach().sum()
            self.sums[name] = self.sums.get(name, 0.0) + total

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the means over the rows of all processes since the last call, as `train_<name>`."""
        if not self.sums:
            return {}
        names = sorted(self.sums)
        totals = torch.stack([self.sums[name] for name in names]).float()[None]
        sums = dict(zip(names, accelerator.gather(totals).sum(0).tolist(), strict=True))
        self.sums = {}
        return {f"train_{name}": value / sums["rows"] for name, value in sums.items() if name != "rows"}


class LossWatch:
    """Remembers the first step whose loss was not finite."""

    def __init__(self) -> None:
        """Start with none."""
        self.first = torch.tensor(float("inf"))

    @torch.no_grad()
    def note(self, loss: torch.Tensor, step: int) -> None:
        """Take the loss of a micro-batch of this step."""
        first = self.first.to(loss.device)
        self.first = torch.where(torch.isfinite(loss), first, first.clamp(max=step))

    def read(self) -> int | None:
        """Return the step, None where every loss was finite; waits for the device."""
        first = float(self.first)
        return None if first == float("inf") else int(first)


def count_broken(model: torch.nn.Module) -> int:
    """Return how many trained tensors hold a value that is not finite; of sharded ones this process's part."""
    trained = [value for value in model.parameters() if value.requires_grad]
    parts = [value.to_local() if hasattr(value, "to_local") else value for value in trained]
    return sum(not bool(torch.isfinite(part).all()) for part in parts)
