"""Augmentations of a batch of pictures, each with one draw per picture.

torchvision's tensor transforms draw once for a whole batch and from the global generator; here every picture has its
own draws, keyed by (seed, epoch, row).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
import torch.nn.functional as F

from hf_tune.data.color_jitter import ColorJitter
from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import check_range
from hf_tune.data.rand_augment import RandAugment
from hf_tune.data.random_boxes import RandomErasing, ResizedCrop
from hf_tune.data.trivial_augment import TrivialAugment
from hf_tune.data.warping import Affine, Rotation


class Augmentation(Protocol):
    """One change of a batch of pictures: uint8, shape (batch, channels, height, width), in and out."""

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures changed by their draws."""
        ...


@dataclass(frozen=True, kw_only=True)
class RandomCrop:
    """Pad with black on all sides, then cut out a window of the old size at a random place."""

    padding: float = 0.125
    """Padding on each side as a fraction of the side: 4 pixels of 32."""

    def __post_init__(self) -> None:
        """Check the range."""
        check_range("padding", self.padding, 0, 1)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return windows of the padded pictures."""
        _, _, height, width = pictures.shape
        pad_y, pad_x = round(height * self.padding), round(width * self.padding)
        padded = F.pad(pictures, (pad_x, pad_x, pad_y, pad_y))
        place = draws.uniform(2)
        top, left = (place[:, 0] * (2 * pad_y + 1)).long(), (place[:, 1] * (2 * pad_x + 1)).long()
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: every place of the window
        return windows[torch.arange(len(pictures)), :, top, left]


@dataclass(frozen=True, kw_only=True)
class HorizontalFlip:
    """Mirror left and right."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        """Check the range."""
        check_range("probability", self.probability, 0, 1)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures, some mirrored."""
        return _flip(pictures, draws.uniform(1)[:, 0] < self.probability, 3)


@dataclass(frozen=True, kw_only=True)
class VerticalFlip:
    """Mirror top and bottom."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        """Check the range."""
        check_range("probability", self.probability, 0, 1)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures, some mirrored."""
        return _flip(pictures, draws.uniform(1)[:, 0] < self.probability, 2)


AUGMENTATIONS: Mapping[str, type] = MappingProxyType(
    {
        "random_crop": RandomCrop,
        "horizontal_flip": HorizontalFlip,
        "vertical_flip": VerticalFlip,
        "rotation": Rotation,
        "affine": Affine,
        "resized_crop": ResizedCrop,
        "color_jitter": ColorJitter,
        "rand_augment": RandAugment,
        "trivial_augment": TrivialAugment,
        "random_erasing": RandomErasing,
    }
)


def augment_pictures(pictures: torch.Tensor, augmentations: Sequence[Augmentation], draws: Draws) -> torch.Tensor:
    """Return the pictures after every augmentation in turn: uint8, shape (batch, channels, height, width)."""
    for augmentation in augmentations:
        pictures = augmentation(pictures, draws)
    return pictures


def _flip(pictures: torch.Tensor, flipped: torch.Tensor, side: int) -> torch.Tensor:
    """Return the pictures, some of them mirrored along a side; only those are touched."""
    rows = flipped.nonzero()[:, 0].to(pictures.device)
    return pictures.index_copy(0, rows, pictures.index_select(0, rows).flip(side))
