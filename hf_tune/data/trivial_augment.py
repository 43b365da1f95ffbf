"""TrivialAugment Wide (Müller, Hutter 2021, arXiv:2103.10158) on a batch: torchvision's operations and magnitudes."""

from dataclasses import dataclass

import torch

from hf_tune.data.auto_operations import NUM_OPERATIONS, Strengths, apply_changes, build_changes
from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import check_least


@dataclass(frozen=True, kw_only=True)
class TrivialAugment:
    """Change each picture by one of 14 operations, of a magnitude of its own, drawn with equal chances.

    The nearest pixel is taken, black outside.
    """

    num_magnitude_bins: int = 31

    def __post_init__(self) -> None:
        """Check the range."""
        check_least("num_magnitude_bins", self.num_magnitude_bins, 2)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures changed, by three draws each: operation, magnitude, and which way it goes."""
        operation, strength, way = draws.uniform(3).unbind(1)
        drawn = 2 * (operation * NUM_OPERATIONS).long() + (way <= 0.5)
        magnitudes = (strength * self.num_magnitude_bins).long()
        changed = pictures.clone()
        for magnitude in magnitudes.unique().tolist():
            rows = (magnitudes == magnitude).nonzero()[:, 0]
            place, changes = rows.to(pictures.device), build_changes(self._read_strengths(magnitude))
            changed.index_copy_(0, place, apply_changes(pictures.index_select(0, place), changes, drawn[rows]))
        return changed

    def _read_strengths(self, magnitude: int) -> Strengths:
        bins = self.num_magnitude_bins

        def read(high: float, low: float = 0.0) -> float:
            return float(torch.linspace(low, high, bins)[magnitude])

        return Strengths(
            slope=read(0.99),
            right=int(read(32.0)),
            down=int(read(32.0)),
            degrees=read(135.0),
            tone=read(0.99),
            bits=round(8 - magnitude / ((bins - 1) / 6)),
            threshold=255 * read(0.0, low=1.0),
        )
