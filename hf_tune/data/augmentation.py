"""Augmentations of a batch of pictures, each with one draw per picture.

torchvision's tensor transforms draw once for a whole batch and from the global generator; here every picture has its
own draws, keyed by (seed, epoch, row).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
import torch.nn.functional as F

from hf_tune.data.draws import Draws
from hf_tune.data.rand_augment import RandAugment
from hf_tune.input_error import InputError


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
        _check_range("padding", self.padding, 0, 1)

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
        _check_range("probability", self.probability, 0, 1)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures, some mirrored."""
        return _flip(pictures, draws.uniform(1)[:, 0] < self.probability, 3)


@dataclass(frozen=True, kw_only=True)
class VerticalFlip:
    """Mirror top and bottom."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range("probability", self.probability, 0, 1)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures, some mirrored."""
        return _flip(pictures, draws.uniform(1)[:, 0] < self.probability, 2)


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Turn about the centre by a random angle, bilinear, black outside."""

    degrees: float = 15.0
    """Largest angle in either direction."""

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range("degrees", self.degrees, 0, 180)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures turned, anticlockwise for a draw above one half."""
        _, _, height, width = pictures.shape
        angle = (draws.uniform(1)[:, 0].float() * 2 - 1) * math.radians(self.degrees)
        turn = torch.zeros(len(pictures), 2, 3)
        # affine_grid works in units of half a side, so a picture that is not square needs its aspect ratio here.
        turn[:, 0, 0], turn[:, 0, 1] = angle.cos(), -angle.sin() * height / width
        turn[:, 1, 0], turn[:, 1, 1] = angle.sin() * width / height, angle.cos()
        grid = F.affine_grid(turn.to(pictures.device), list(pictures.shape), align_corners=False)
        turned = F.grid_sample(pictures.float(), grid, mode="bilinear", align_corners=False)
        return turned.round_().clamp_(0, 255).to(torch.uint8)


AUGMENTATIONS: Mapping[str, type] = MappingProxyType(
    {
        "random_crop": RandomCrop,
        "horizontal_flip": HorizontalFlip,
        "vertical_flip": VerticalFlip,
        "rotation": Rotation,
        "rand_augment": RandAugment,
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


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{value!r} is out of range", f"it must be at least {low} and at most {high}", at=(name,))
