"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719) on a batch: torchvision's operations, magnitudes and options.

torchvision's own transform draws one operation for a whole batch. Here every picture draws its own, and torchvision's
function is called once for all pictures that drew the same.
"""

from dataclasses import dataclass

import torch

from hf_tune.data.auto_operations import NUM_OPERATIONS, Strengths, apply_changes, build_changes
from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import check_least
from hf_tune.input_error import InputError


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Change each picture by some of 14 operations, drawn with equal chances, all of one magnitude.

    The nearest pixel is taken, black outside.
    """

    num_ops: int = 2
    """Operations for each picture, one after the other."""
    magnitude: int = 9
    """How strong they are: at least 0, less than `num_magnitude_bins`."""
    num_magnitude_bins: int = 31

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_least("num_ops", self.num_ops, 1)
        check_least("num_magnitude_bins", self.num_magnitude_bins, 2)
        check_least("magnitude", self.magnitude, 0)
        if self.magnitude >= self.num_magnitude_bins:
            problem = f"{self.magnitude!r} is none of the {self.num_magnitude_bins} magnitudes"
            raise InputError(problem, f"it must be at most {self.num_magnitude_bins - 1}", at=("magnitude",))

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures changed, by two draws for each operation: which one, and which way it goes."""
        height, width = pictures.shape[2:]
        changes = build_changes(
            Strengths(
                slope=self._read(0.3),
                right=int(self._read(150 / 331 * width)),
                down=int(self._read(150 / 331 * height)),
                degrees=self._read(30.0),
                tone=self._read(0.9),
                bits=8 - round(4 * self.magnitude / (self.num_magnitude_bins - 1)),
                threshold=255 * self._read(0.0, low=1.0),
            )
        )
        for _ in range(self.num_ops):
            operation, way = draws.uniform(2).unbind(1)
            pictures = apply_changes(pictures, changes, 2 * (operation * NUM_OPERATIONS).long() + (way <= 0.5))
        return pictures

    def _read(self, high: float, low: float = 0.0) -> float:
        """Return the strength at this magnitude on a scale from `low` to `high`."""
        return float(torch.linspace(low, high, self.num_magnitude_bins)[self.magnitude])
