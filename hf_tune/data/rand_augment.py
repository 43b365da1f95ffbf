"""RandAugment (Cubuk et al. 2020, arXiv:1909.13719) on a batch: torchvision's operations, magnitudes and options.

torchvision's own transform draws one operation for a whole batch. Here every picture draws its own, and torchvision's
function is called once for all pictures that drew the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from hf_tune.data.draws import Draws
from hf_tune.input_error import InputError


_Change = Callable[[torch.Tensor], torch.Tensor]


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
        _check_least("num_ops", self.num_ops, 1)
        _check_least("num_magnitude_bins", self.num_magnitude_bins, 2)
        _check_least("magnitude", self.magnitude, 0)
        if self.magnitude >= self.num_magnitude_bins:
            problem = f"{self.magnitude!r} is none of the {self.num_magnitude_bins} magnitudes"
            raise InputError(problem, f"it must be at most {self.num_magnitude_bins - 1}", at=("magnitude",))

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures changed, by two draws for each operation: which one, and which way it goes."""
        changes = self._build_changes(*pictures.shape[2:])
        changed = pictures.clone()
        for _ in range(self.num_ops):
            operation, way = draws.uniform(2).unbind(1)
            drawn = 2 * (operation * (len(changes) // 2)).long() + (way <= 0.5)
            counts = torch.bincount(drawn, minlength=len(changes)).tolist()
            for change, rows in zip(changes, drawn.argsort().to(pictures.device).split(counts), strict=True):
                if len(rows):
                    changed.index_copy_(0, rows, change(changed.index_select(0, rows)))
        return changed

    def _build_changes(self, height: int, width: int) -> list[_Change]:
        """Return the operations in torchvision's order, each forwards and backwards, where it has two ways."""
        from torchvision.transforms.v2 import functional

        slope, degrees, tone = math.degrees(math.atan(self._read(0.3))), self._read(30.0), self._read(0.9)
        right, down = int(self._read(150 / 331 * width)), int(self._read(150 / 331 * height))
        bits = 8 - round(4 * self.magnitude / (self.num_magnitude_bins - 1))
        threshold = 255 * self._read(0.0, low=1.0)
        affine = partial(functional.affine, angle=0.0, scale=1.0)
        shear, translate = partial(affine, translate=[0, 0], center=[0, 0]), partial(affine, shear=[0.0, 0.0])
        return [
            *2 * [torch.clone],
            *[partial(shear, shear=[sign * slope, 0.0]) for sign in (1, -1)],
            *[partial(shear, shear=[0.0, sign * slope]) for sign in (1, -1)],
            *[partial(translate, translate=[sign * right, 0]) for sign in (1, -1)],
            *[partial(translate, translate=[0, sign * down]) for sign in (1, -1)],
            *[partial(functional.rotate, angle=sign * degrees) for sign in (1, -1)],
            *[partial(functional.adjust_brightness, brightness_factor=1 + sign * tone) for sign in (1, -1)],
            *[partial(functional.adjust_saturation, saturation_factor=1 + sign * tone) for sign in (1, -1)],
            *[partial(_adjust_contrast, factor=1 + sign * tone) for sign in (1, -1)],
            *[partial(functional.adjust_sharpness, sharpness_factor=1 + sign * tone) for sign in (1, -1)],
            *2 * [partial(functional.posterize, bits=bits)],
            *2 * [partial(functional.solarize, threshold=threshold)],
            *2 * [functional.autocontrast],
            *2 * [functional.equalize],
        ]

    def _read(self, high: float, low: float = 0.0) -> float:
        """Return the strength at this magnitude on a scale from `low` to `high`."""
        return float(torch.linspace(low, high, self.num_magnitude_bins)[self.magnitude])


def _adjust_contrast(pictures: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the pictures blended with their mean grey, as torchvision does it.

    Its mean is a float32 sum, whose last bit could depend on the batch in pictures of more than 256 x 256 pixels.
    """
    from torchvision.transforms.v2 import functional

    mean = functional.rgb_to_grayscale(pictures).mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float64).float()
    return pictures.mul(factor).add_(mean, alpha=1 - factor).clamp_(0, 255).to(torch.uint8)


def _check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{value!r} is out of range", f"it must be at least {least}", at=(name,))
