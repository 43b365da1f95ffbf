"""Augmentations that turn, move, stretch and slant: every picture of a batch by its own matrix, in one call."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from hf_tune.data.draws import Draws
from hf_tune.data.option_ranges import check_above, check_interval, check_range
from hf_tune.input_error import InputError


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Turn about the centre by a random angle, bilinear, black outside."""

    degrees: float = 15.0
    """Largest angle in either direction."""

    def __post_init__(self) -> None:
        """Check the range."""
        check_range("degrees", self.degrees, 0, 180)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures turned, anticlockwise for a draw above one half."""
        return warp(pictures, Moves(angle=-_draw_between(draws, -self.degrees, self.degrees)))


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Turn, move, stretch and slant about the centre, bilinear, black outside."""

    degrees: float | list[float]
    """Largest angle in either direction, or [smallest, largest]; clockwise is positive. 0: not turned."""
    translate: list[float] | None = None
    """Largest moves to the sides and up or down, as fractions of width and height."""
    scale: list[float] | None = None
    """Smallest and largest factor of the size."""
    shear: float | list[float] | None = None
    """Largest angle of slant along x, or [smallest, largest] along x, or those along x and then along y."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        _read_angles("degrees", self.degrees, 180)
        if self.translate is not None:
            if len(self.translate) != 2:
                raise InputError(
                    f"{self.translate!r} is not one part of each side", "as [0.1, 0.1]", at=("translate",)
                )
            for each in self.translate:
                check_range("translate", each, 0, 1)
        if self.scale is not None:
            check_interval("scale", self.scale, 0)
            check_above("scale", self.scale[0], 0)
        if self.shear is not None:
            self._read_shears(self.shear)

    def __call__(self, pictures: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return the pictures changed, by six draws each."""
        height, width = pictures.shape[2:]
        right, down = (self.translate[0] * width, self.translate[1] * height) if self.translate else (0.0, 0.0)
        along_x, along_y = ((0.0, 0.0), (0.0, 0.0)) if self.shear is None else self._read_shears(self.shear)
        angle = _draw_between(draws, *_read_angles("degrees", self.degrees, 180))
        x, y = _draw_between(draws, -right, right).round(), _draw_between(draws, -down, down).round()
        scale = _draw_between(draws, *(self.scale or (1.0, 1.0)))
        shear = _draw_between(draws, *along_x), _draw_between(draws, *along_y)
        return warp(pictures, Moves(angle=angle, translate=(x, y), scale=scale, shear=shear))

    def _read_shears(self, shear: float | list[float]) -> tuple[tuple[float, float], tuple[float, float]]:
        if isinstance(shear, list) and len(shear) == 4:
            return _read_angles("shear", shear[:2], 89), _read_angles("shear", shear[2:], 89)
        return _read_angles("shear", shear, 89), (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Moves:
    """How each picture is moved, in torchvision's terms: float64, shape (batch,)."""

    angle: torch.Tensor
    """Degrees, clockwise."""
    translate: tuple[torch.Tensor, torch.Tensor] | None = None
    """Pixels to the right and down."""
    scale: torch.Tensor | None = None
    shear: tuple[torch.Tensor, torch.Tensor] | None = None
    """Degrees along x and y."""

    def invert(self) -> torch.Tensor:
        """Return the matrices from places in the result to places in the picture: float64, shape (batch, 2, 3).

        The origin is the picture's centre; the formula is that of torchvision's `_get_inverse_affine_matrix`.
        """
        nought = torch.zeros_like(self.angle)
        x, y = self.translate or (nought, nought)
        scale = torch.ones_like(self.angle) if self.scale is None else self.scale
        turn = self.angle.deg2rad()
        slant_x, slant_y = (each.deg2rad() for each in self.shear or (nought, nought))
        a, c = (turn - slant_y).cos() / slant_y.cos(), (turn - slant_y).sin() / slant_y.cos()
        b, d = -(a * slant_x.tan() + turn.sin()), turn.cos() - c * slant_x.tan()
        first, second = (d / scale, -b / scale), (-c / scale, a / scale)
        return torch.stack([*first, -first[0] * x - first[1] * y, *second, -second[0] * x - second[1] * y], 1).view(
            -1, 2, 3
        )


def warp(pictures: torch.Tensor, moves: Moves) -> torch.Tensor:
    """Return the pictures moved: bilinear, black outside, uint8."""
    _, _, height, width = pictures.shape
    matrices = moves.invert().float()[..., None, None].to(pictures.device)
    x = torch.linspace((1 - width) / 2, (width - 1) / 2, width, device=pictures.device)
    y = torch.linspace((1 - height) / 2, (height - 1) / 2, height, device=pictures.device)[:, None]
    # Element by element: the last bit of a matrix product could depend on how many pictures there are.
    grid_x = (matrices[:, 0, 0] * x + matrices[:, 0, 1] * y + matrices[:, 0, 2]) / (width / 2)
    grid_y = (matrices[:, 1, 0] * x + matrices[:, 1, 1] * y + matrices[:, 1, 2]) / (height / 2)
    moved = F.grid_sample(pictures.float(), torch.stack([grid_x, grid_y], 3), mode="bilinear", align_corners=False)
    return moved.round_().clamp_(0, 255).to(torch.uint8)


def _draw_between(draws: Draws, low: float, high: float) -> torch.Tensor:
    return low + draws.uniform(1)[:, 0] * (high - low)


def _read_angles(name: str, value: float | list[float], largest: float) -> tuple[float, float]:
    if isinstance(value, list):
        check_interval(name, value, -largest, largest)
        return value[0], value[1]
    check_range(name, value, 0, largest)
    return -value, value
