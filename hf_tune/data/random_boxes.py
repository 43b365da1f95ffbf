"""Augmentations of a box at a random place: a crop that fills the picture again, and a box that is erased.

Areas, ratios and places are drawn as torchvision's `RandomResizedCrop` and `RandomErasing` draw them.
"""

import math
from dataclasses import dataclass, field

import torch

from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import check_above, check_interval, check_range
from hf_tune.input_error import InputError


TRIES = 10
"""Boxes that are drawn for each picture; the first one that fits into it is taken."""


@dataclass(frozen=True, kw_only=True)
class ResizedCrop:
    """Cut out a box of random area and ratio and resize it to the old size, bilinear with antialias.

    Each picture by itself, by torchvision's own function.
    """

    scale: list[float] = field(default_factory=lambda: [0.08, 1.0])
    """Smallest and largest area, as fractions of the picture's."""
    ratio: list[float] = field(default_factory=lambda: [3 / 4, 4 / 3])
    """Smallest and largest width over height."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_interval("scale", self.scale, 0, 1)
        check_above("scale", self.scale[1], 0)
        _check_ratio(self.ratio)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the boxes at the size of the pictures."""
        from torchvision.transforms.v2 import functional

        height, width = pictures.shape[2:]
        widths, heights = _draw_sides(draws, self.scale, self.ratio, height * width)
        fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
        boxes = _place(draws, _take_first(fits, heights), _take_first(fits, widths), height, width)
        middle = self._cut_middle(height, width)
        boxes = [box if found else middle for box, found in zip(boxes, fits.any(1).tolist(), strict=True)]
        return torch.stack(
            [functional.resized_crop(each, *box, [height, width]) for each, box in zip(pictures, boxes, strict=True)]
        )

    def _cut_middle(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return the box where no box fitted: the whole picture, or of a long one its middle."""
        new_width, new_height = width, height
        if width / height < min(self.ratio):
            new_height = round(width / min(self.ratio))
        elif width / height > max(self.ratio):
            new_width = round(height * max(self.ratio))
        return (height - new_height) // 2, (width - new_width) // 2, new_height, new_width


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Paint a box of random area and ratio over (Zhong et al. 2017, arXiv:1708.04896)."""

    p: float = 0.5
    """Probability for each picture."""
    scale: list[float] = field(default_factory=lambda: [0.02, 0.33])
    """Smallest and largest area, as fractions of the picture's."""
    ratio: list[float] = field(default_factory=lambda: [0.3, 3.3])
    """Smallest and largest height over width."""
    value: int | list[int] = 0
    """Pixel of the box, 0 to 255: one number, or one for each of red, green and blue."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("p", self.p, 0, 1)
        check_interval("scale", self.scale, 0, 1)
        _check_ratio(self.ratio)
        values = self.value if isinstance(self.value, list) else [self.value] * 3
        if len(values) != 3:
            raise InputError(f"{values!r} is no pixel", "give one number, or three", at=("value",))
        for each in values:
            check_range("value", each, 0, 255)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures, some with a box in one colour."""
        height, width = pictures.shape[2:]
        chosen = draws.uniform(1)[:, 0] < self.p
        heights, widths = _draw_sides(draws, self.scale, self.ratio, height * width)
        fits = (heights < height) & (widths < width)
        boxes = _place(draws, _take_first(fits, heights), _take_first(fits, widths), height, width)
        inside = mask_boxes(boxes, height, width) & (chosen & fits.any(1))[:, None, None]
        colour = torch.tensor(self.value, dtype=torch.uint8, device=pictures.device).expand(3)[None, :, None, None]
        return torch.where(inside.to(pictures.device)[:, None], colour, pictures)


def mask_boxes(boxes: list[tuple[int, int, int, int]], height: int, width: int) -> torch.Tensor:
    """Return where boxes (top, left, height, width) are: bool, shape (boxes, height, width)."""
    top, left, box_height, box_width = torch.tensor(boxes, dtype=torch.long).reshape(-1, 4, 1).unbind(1)
    y, x = torch.arange(height)[None], torch.arange(width)[None]
    rows, columns = (y >= top) & (y < top + box_height), (x >= left) & (x < left + box_width)
    return rows[:, :, None] & columns[:, None, :]


def _draw_sides(draws: Draws, scale: list[float], ratio: list[float], area: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both sides of every try, the one that grows with the ratio first: int64, shape (batch, tries)."""
    chances = draws.uniform(2 * TRIES)
    areas = area * (scale[0] + chances[:, 0::2] * (scale[1] - scale[0]))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = (low + chances[:, 1::2] * (high - low)).exp()
    return (areas * ratios).sqrt().round().long(), (areas / ratios).sqrt().round().long()


def _take_first(fits: torch.Tensor, sides: torch.Tensor) -> torch.Tensor:
    """Return the side of the first try that fits; of the first try where none does."""
    return sides.gather(1, fits.int().argmax(dim=1, keepdim=True))[:, 0]


def _place(
    draws: Draws, heights: torch.Tensor, widths: torch.Tensor, height: int, width: int
) -> list[tuple[int, int, int, int]]:
    """Return top, left, height and width of a box of each size at a random place inside the picture."""
    place = draws.uniform(2)
    top = (place[:, 0] * (height - heights + 1)).long().clamp(min=0)
    left = (place[:, 1] * (width - widths + 1)).long().clamp(min=0)
    return list(zip(top.tolist(), left.tolist(), heights.tolist(), widths.tolist(), strict=True))


def _check_ratio(ratio: list[float]) -> None:
    check_interval("ratio", ratio, 0)
    check_above("ratio", ratio[0], 0)
