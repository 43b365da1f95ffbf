"""Warps against torchvision's functional operations and its own transform at equal parameters."""

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from hf_tune.data.draws import Draws
from hf_tune.data.warping import Affine, Rotation
from hf_tune.input_error import InputError


ROWS = 24
BILINEAR = functional.InterpolationMode.BILINEAR


def blurred_noise(height: int, width: int) -> torch.Tensor:
    shape = (ROWS, 3, height, width)
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return functional.gaussian_blur(pictures, [5, 5])


def draws() -> Draws:
    return Draws(1, 2, np.arange(ROWS))


def check_alike(result: torch.Tensor, expected: torch.Tensor) -> None:
    """Check that pixels differ by one grey level at most, where a sum was rounded the other way, and only a few do."""
    difference = (result.int() - expected.int()).abs()
    assert difference.max() <= 1 and difference.float().mean() < 0.001


@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
def test_a_rotation_is_torchvisions(shape: tuple[int, int]) -> None:
    pictures = blurred_noise(*shape)
    turned = Rotation(degrees=30)(pictures, draws())
    for picture, result, draw in zip(pictures, turned, draws().uniform(1)[:, 0].tolist(), strict=True):
        check_alike(result, functional.rotate(picture, (draw * 2 - 1) * 30, interpolation=BILINEAR))


def torchvisions(picture: torch.Tensor, options: dict[str, Any], numbers: list[float]) -> torch.Tensor:
    """Return what torchvision's transform makes of a picture with these numbers for what it draws."""
    left = iter(numbers)

    class Empty:
        def uniform_(self, low: float, high: float) -> torch.Tensor:
            return torch.tensor(low + next(left) * (high - low), dtype=torch.float64)

    transform = v2.RandomAffine(interpolation=BILINEAR, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "empty", lambda *_: Empty())
        params = transform.make_params([picture])
    assert next(left, None) is None
    # Not `transform.transform`: with its default `fill=0` torchvision 0.29 darkens the edge of the picture twice.
    return functional.affine(picture, interpolation=BILINEAR, **params)


@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"degrees": 30}, [0]),
        ({"degrees": [-10, 60]}, [0]),
        ({"degrees": 0, "translate": [0.2, 0.4]}, [0, 1, 2]),
        ({"degrees": 0, "scale": [0.5, 2]}, [0, 3]),
        ({"degrees": 0, "shear": 20}, [0, 4]),
        ({"degrees": 0, "shear": [5, 20]}, [0, 4]),
        ({"degrees": 45, "translate": [0.1, 0.1], "scale": [0.8, 1.2], "shear": [-9, 9, -5, 5]}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_an_affine_change_is_torchvisions(shape: tuple[int, int], options: dict[str, Any], columns: list[int]) -> None:
    pictures = blurred_noise(*shape)
    changed = Affine(**options)(pictures, draws())
    own = draws()
    numbers = torch.cat([own.uniform(1) for _ in range(6)], dim=1)  # angle, right, down, scale, shear of x and y
    assert not torch.equal(changed, pictures)
    for picture, result, row in zip(pictures, changed, numbers, strict=True):
        check_alike(result, torchvisions(picture, options, row[columns].tolist()))


@pytest.mark.parametrize(
    ("options", "key", "hint"),
    [
        ({"degrees": 200}, "degrees", "at most 180"),
        ({"degrees": [10, -10]}, "degrees", "smallest, largest"),
        ({"degrees": 0, "translate": [0.1]}, "translate", r"as \[0.1, 0.1\]"),
        ({"degrees": 0, "translate": [0.1, 1.5]}, "translate", "at most 1"),
        ({"degrees": 0, "scale": [0, 1]}, "scale", "above 0"),
        ({"degrees": 0, "shear": 90}, "shear", "at most 89"),
    ],
)
def test_an_option_out_of_range_is_told_with_its_name(options: dict[str, Any], key: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        Affine(**options)
    assert caught.value.at == (key,)
    with pytest.raises(InputError, match="at most 180"):
        Rotation(degrees=200)
