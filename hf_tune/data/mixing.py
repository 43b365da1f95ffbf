"""Mixup and CutMix: each training row mixed with another one, which is drawn by row and never by its place in a batch.

Mixup (Zhang et al. 2018, arXiv:1710.09412) adds two pictures up, CutMix (Yun et al. 2019, arXiv:1905.04899) puts a box
of one into the other. Everything that is drawn is keyed by (seed, epoch, row), so that batches, workers and processes
mix the same rows in the same way.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import betaincinv

from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import check_above
from hf_tune.data.random_boxes import mask_boxes
from hf_tune.task import Batch


_FIRST_DRAW = 2**20
"""Numbers that augmentations do not come to, however many there are: they and the mixing never move each other."""


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """Add two pictures up."""

    alpha: float = 1.0
    """The part of the row itself is drawn from Beta(alpha, alpha): small values seldom mix much."""

    def __post_init__(self) -> None:
        """Check the range."""
        check_above("alpha", self.alpha, 0)


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """Put a box of another picture into a picture."""

    alpha: float = 1.0
    """One minus the area of the box is drawn from Beta(alpha, alpha), before the box is cut at the edges."""

    def __post_init__(self) -> None:
        """Check the range."""
        check_above("alpha", self.alpha, 0)


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How rows are mixed; with both ways each row takes one, with equal chances, as timm's mode `elem` does."""

    mixup: Mixup | None = None
    cutmix: CutMix | None = None

    def draw_partners(self, seed: int, epoch: int, rows: np.ndarray, num_rows: int) -> np.ndarray:
        """Return for each row the number of another of `num_rows`, all with equal chances: int64, shape (batch,)."""
        chances = Draws(seed, epoch, rows, taken=_FIRST_DRAW).uniform(1)[:, 0].numpy()
        return (rows + 1 + (chances * (num_rows - 1)).astype(np.int64)) % num_rows

    def __call__(self, batch: Batch, partners: Batch, draws: Draws) -> Batch:
        """Return the batch with its `pixel_values` mixed.

        `labels` and `row` are those of the larger part of each row, `share` is how much of it that is (float32, shape
        (rows,)), and `partner_labels` and `partner_row` are those of the smaller part.
        """
        own, others = batch["pixel_values"], partners["pixel_values"]
        weights, share = self._draw_weights(replace(draws, taken=_FIRST_DRAW + 1), own.shape[2], own.shape[3])
        weights, is_smaller = weights.to(own.device), share < 0.5
        pixels = torch.lerp(others.float(), own.float(), weights).round_().to(torch.uint8)
        mixed = {**batch, "pixel_values": pixels}
        for name in ("labels", "row"):
            one, other = batch[name], partners[name]
            swaps = is_smaller.to(one.device)  # rows stay on the CPU
            mixed |= {name: torch.where(swaps, other, one), f"partner_{name}": torch.where(swaps, one, other)}
        return {**mixed, "share": torch.where(is_smaller, 1 - share, share).to(own.device)}

    def _draw_weights(self, draws: Draws, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how much of each pixel and of each picture is the row's own, by four draws: float32.

        The shapes are (batch, 1, height, width), or (batch, 1, 1, 1) where no box is cut, and (batch,).
        """
        way, chance, *place = draws.uniform(4).unbind(1)
        if self.cutmix is None:
            share = _draw_beta(self.mixup, chance).float()
            return share[:, None, None, None], share
        boxes = _place_boxes(_draw_beta(self.cutmix, chance), place[0], place[1], height, width)
        inside = mask_boxes(boxes, height, width)
        weights, share = (~inside).float(), 1 - inside.float().mean(dim=(1, 2))
        if self.mixup is not None:
            cuts, added = way < 0.5, _draw_beta(self.mixup, chance).float()
            weights = torch.where(cuts[:, None, None], weights, added[:, None, None])
            share = torch.where(cuts, share, added)
        return weights[:, None], share


def build_mixing(mixup: Mixup | None, cutmix: CutMix | None) -> Mixing | None:
    """Return how rows are mixed; None where they are not."""
    return None if mixup is None and cutmix is None else Mixing(mixup=mixup, cutmix=cutmix)


def _draw_beta(way: Mixup | CutMix | None, chances: torch.Tensor) -> torch.Tensor:
    """Return draws from Beta(alpha, alpha): its quantiles at uniform draws, float64, shape (batch,)."""
    assert way is not None
    return torch.from_numpy(betaincinv(way.alpha, way.alpha, chances.numpy()))


def _place_boxes(
    share: torch.Tensor, right: torch.Tensor, down: torch.Tensor, height: int, width: int
) -> list[tuple[int, int, int, int]]:
    """Return boxes (top, left, height, width) about a random pixel, cut at the edges, as torchvision's `CutMix`."""
    half = 0.5 * (1 - share).sqrt()
    x, y, half_width, half_height = (
        each.long() for each in (right * width, down * height, half * width, half * height)
    )
    left, top = (x - half_width).clamp(min=0), (y - half_height).clamp(min=0)
    box_width, box_height = (x + half_width).clamp(max=width) - left, (y + half_height).clamp(max=height) - top
    return list(zip(top.tolist(), left.tolist(), box_height.tolist(), box_width.tolist(), strict=True))
