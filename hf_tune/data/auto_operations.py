"""The 14 operations of RandAugment and TrivialAugment: torchvision's functions, each for all pictures that drew it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch


Change: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""uint8 pictures, shape (batch, channels, height, width), in and out."""
NUM_OPERATIONS = 14


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """How strong each operation is."""

    slope: float
    """Of a slant: pixels to the side for each pixel down."""
    right: int
    """Pixels of a move to the side."""
    down: int
    degrees: float
    tone: float
    """How far the factors of brightness, saturation, contrast and sharpness are from 1."""
    bits: int
    """That posterising leaves of 8."""
    threshold: float
    """Pixels from it on are inverted by solarising."""


def build_changes(strengths: Strengths) -> list[Change]:
    """Return the operations in torchvision's order, each forwards and backwards, where it has two ways."""
    from torchvision.transforms.v2 import functional

    slant, right, down = math.degrees(math.atan(strengths.slope)), strengths.right, strengths.down
    degrees, tone = strengths.degrees, strengths.tone
    affine = partial(functional.affine, angle=0.0, scale=1.0)
    shear, translate = partial(affine, translate=[0, 0], center=[0, 0]), partial(affine, shear=[0.0, 0.0])
    return [
        *2 * [torch.clone],
        *[partial(shear, shear=[sign * slant, 0.0]) for sign in (1, -1)],
        *[partial(shear, shear=[0.0, sign * slant]) for sign in (1, -1)],
        *[partial(translate, translate=[sign * right, 0]) for sign in (1, -1)],
        *[partial(translate, translate=[0, sign * down]) for sign in (1, -1)],
        *[partial(functional.rotate, angle=sign * degrees) for sign in (1, -1)],
        *[partial(functional.adjust_brightness, brightness_factor=1 + sign * tone) for sign in (1, -1)],
        *[partial(functional.adjust_saturation, saturation_factor=1 + sign * tone) for sign in (1, -1)],
        *[partial(adjust_contrast, factor=1 + sign * tone) for sign in (1, -1)],
        *[partial(functional.adjust_sharpness, sharpness_factor=1 + sign * tone) for sign in (1, -1)],
        *2 * [partial(functional.posterize, bits=strengths.bits)],
        *2 * [partial(functional.solarize, threshold=strengths.threshold)],
        *2 * [functional.autocontrast],
        *2 * [functional.equalize],
    ]


def apply_changes(pictures: torch.Tensor, changes: list[Change], drawn: torch.Tensor) -> torch.Tensor:
    """Return the pictures, each after the change whose number it drew; `drawn` is int64, shape (batch,)."""
    changed = pictures.clone()
    counts = torch.bincount(drawn, minlength=len(changes)).tolist()
    for change, rows in zip(changes, drawn.argsort().to(pictures.device).split(counts), strict=True):
        if len(rows):
            changed.index_copy_(0, rows, change(changed.index_select(0, rows)))
    return changed


def adjust_contrast(pictures: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the pictures blended with their mean grey, as torchvision does it.

    Its mean is a float32 sum, whose last bit could depend on the batch in pictures of more than 256 x 256 pixels.
    """
    from torchvision.transforms.v2 import functional

    mean = functional.rgb_to_grayscale(pictures).mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64).float()
    return pictures.mul(factor).add_(mean, alpha=1 - factor).clamp_(0, 255).to(torch.uint8)
