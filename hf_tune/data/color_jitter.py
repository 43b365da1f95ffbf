"""Colour jitter: brightness, contrast, saturation and hue by random factors in random order, as torchvision has it."""

from dataclasses import dataclass

import torch

from hf_tune.data.auto_operations import adjust_contrast
from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import read_span
from hf_tune.input_error import InputError


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Change the colours of each picture by itself, by torchvision's own functions."""

    brightness: float | list[float] = 0.0
    """Largest change of the factor from 1, or [smallest, largest] factor."""
    contrast: float | list[float] = 0.0
    """The same."""
    saturation: float | list[float] = 0.0
    """The same."""
    hue: float | list[float] = 0.0
    """Largest turn of the hue, at most 0.5, or [smallest, largest] from -0.5 to 0.5."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if all(low == high == still for (low, high), still in zip(self._read_spans(), (1, 1, 1, 0), strict=True)):
            raise InputError(
                "it changes nothing", "give brightness, contrast, saturation or hue, as `brightness: 0.2`"
            )

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures changed, by eight draws each: the order, and the factors."""
        spans = self._read_spans()
        orders, chances = draws.uniform(4).argsort(dim=1).tolist(), draws.uniform(4).tolist()
        changed = []
        for picture, order, chance in zip(pictures.split(1), orders, chances, strict=True):
            for number in order:
                low, high = spans[number]
                if not low == high == (0.0 if number == 3 else 1.0):
                    picture = _adjust(picture, number, low + chance[number] * (high - low))  # noqa: PLW2901
            changed.append(picture)
        return torch.cat(changed)

    def _read_spans(self) -> list[tuple[float, float]]:
        factors = [(name, getattr(self, name)) for name in ("brightness", "contrast", "saturation")]
        return [
            *(read_span(name, value, 1.0, 0.0) for name, value in factors),
            read_span("hue", self.hue, 0, -0.5, 0.5),
        ]


def _adjust(picture: torch.Tensor, number: int, factor: float) -> torch.Tensor:
    from torchvision.transforms.v2 import functional

    functions = functional.adjust_brightness, adjust_contrast, functional.adjust_saturation, functional.adjust_hue
    changed: torch.Tensor = functions[number](picture, factor)
    return changed
