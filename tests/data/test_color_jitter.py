"""Colour jitter against torchvision's own transform at equal draws."""

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from hf_tune.data.color_jitter import ColorJitter
from hf_tune.data.draws import Draws
from hf_tune.input_error import InputError


ROWS = 24


def noise() -> torch.Tensor:
    shape = (ROWS, 3, 16, 20)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def torchvisions(picture: torch.Tensor, options: dict[str, Any], order: list[int], factors: list[float]) -> Any:
    """Return what torchvision's transform makes of a picture in this order, with these numbers for its draws."""
    transform = v2.ColorJitter(**options)
    names = ("brightness", "contrast", "saturation", "hue")
    left = iter([factor for name, factor in zip(names, factors, strict=True) if getattr(transform, name) is not None])

    class Empty:
        def uniform_(self, low: float, high: float) -> torch.Tensor:
            return torch.tensor(low + next(left) * (high - low), dtype=torch.float64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "empty", lambda *_: Empty())
        patch.setattr(torch, "randperm", lambda _: torch.tensor(order))
        params = transform.make_params([picture])
    return transform.transform(picture, params)


@pytest.mark.parametrize(
    "options",
    [
        {"brightness": 0.4},
        {"contrast": [0.5, 0.9]},
        {"saturation": 2},
        {"hue": 0.5},
        {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": [-0.1, 0.2]},
    ],
)
def test_each_picture_is_changed_as_torchvision_does_it(options: dict[str, Any]) -> None:
    pictures = noise()
    changed = ColorJitter(**options)(pictures, Draws(1, 2, np.arange(ROWS)))
    own = Draws(1, 2, np.arange(ROWS))
    orders, factors = own.uniform(4).argsort(dim=1).tolist(), own.uniform(4).tolist()
    assert len({tuple(order) for order in orders}) > 10
    for picture, result, order, factor in zip(pictures, changed, orders, factors, strict=True):
        assert torch.equal(result, torchvisions(picture, options, order, factor))


@pytest.mark.parametrize(
    ("options", "at", "words"),
    [
        ({}, (), "it changes nothing"),
        ({"brightness": -1}, ("brightness",), "at least 0"),
        ({"hue": 0.6}, ("hue",), "at most 0.5"),
        ({"contrast": [1.2, 0.8]}, ("contrast",), "smallest, largest"),
    ],
)
def test_an_option_out_of_range_is_told(options: dict[str, Any], at: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        ColorJitter(**options)
    assert caught.value.at == at
