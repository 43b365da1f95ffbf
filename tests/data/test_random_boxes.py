"""Boxes against torchvision's own transforms at equal draws, picture by picture."""

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from hf_tune.data.draws import Draws
from hf_tune.data.random_boxes import TRIES, RandomErasing, ResizedCrop, mask_boxes
from hf_tune.input_error import InputError


ROWS = 48


def noise(height: int, width: int) -> torch.Tensor:
    shape = (ROWS, 3, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draws() -> Draws:
    return Draws(1, 2, np.arange(ROWS))


def torchvisions(transform: Any, picture: torch.Tensor, sides: list[float], place: list[float]) -> torch.Tensor:
    """Return what torchvision makes of a picture; numbers for the place come whenever it asks for an integer."""
    areas, places = iter(sides), iter(place)

    class Empty:
        def uniform_(self, low: float, high: float) -> torch.Tensor:
            return torch.as_tensor(low + next(areas) * (high - low), dtype=torch.float64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "empty", lambda *_, **__: Empty())
        patch.setattr(torch, "randint", lambda low, high, size: torch.tensor([int(next(places) * high)]))
        params = transform.make_params([picture])
    return transform.transform(picture, params)


@pytest.mark.parametrize("shape", [(32, 32), (20, 44), (60, 12)])
@pytest.mark.parametrize("options", [{}, {"scale": [0.6, 1.0], "ratio": [0.5, 2.0]}, {"ratio": [1.0, 1.0]}])
def test_a_resized_crop_is_torchvisions(shape: tuple[int, int], options: dict[str, Any]) -> None:
    pictures = noise(*shape)
    cropped = ResizedCrop(**options)(pictures, draws())
    own = draws()
    sides, place = own.uniform(2 * TRIES).tolist(), own.uniform(2).tolist()
    transform = v2.RandomResizedCrop(shape, antialias=True, **options)
    for row, picture in enumerate(pictures):
        assert torch.equal(cropped[row], torchvisions(transform, picture, sides[row], place[row])), row


def test_where_no_box_fits_the_middle_is_cut_out() -> None:
    pictures = noise(10, 60)
    cropped = ResizedCrop(scale=[1.0, 1.0], ratio=[1.0, 1.5])(pictures, draws())
    middle = functional.resized_crop(pictures, 0, 22, 10, 15, [10, 60])  # 15 = 10 x 1.5 wide, (60 - 15) // 2 from left
    assert torch.equal(cropped, middle)
    tall = ResizedCrop(scale=[1.0, 1.0], ratio=[1.0, 1.5])(noise(60, 10), draws())
    assert torch.equal(tall, functional.resized_crop(noise(60, 10), 25, 0, 10, 10, [60, 10]))


@pytest.mark.parametrize("shape", [(32, 32), (20, 44)])
@pytest.mark.parametrize("options", [{}, {"scale": [0.5, 1.0], "value": [10, 20, 30]}, {"ratio": [1.0, 1.0]}])
def test_erasing_is_torchvisions(shape: tuple[int, int], options: dict[str, Any]) -> None:
    pictures = noise(*shape)
    erased = RandomErasing(p=0.75, **options)(pictures, draws())
    own = draws()
    chosen = own.uniform(1)[:, 0] < 0.75
    sides, place = own.uniform(2 * TRIES).tolist(), own.uniform(2).tolist()
    assert 0 < chosen.sum() < ROWS
    transform = v2.RandomErasing(p=1.0, **options)
    for row, picture in enumerate(pictures):
        expected = torchvisions(transform, picture, sides[row], place[row]) if chosen[row] else picture
        assert torch.equal(erased[row], expected), row
    assert not torch.equal(erased, pictures)


def test_boxes_are_masked_by_hand() -> None:
    inside = mask_boxes([(1, 0, 1, 2), (0, 2, 3, 1), (0, 0, 0, 0)], 3, 3).int().tolist()
    assert inside[0] == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert inside[1] == [[0, 0, 1]] * 3
    assert inside[2] == [[0, 0, 0]] * 3


@pytest.mark.parametrize(
    ("cls", "options", "key", "hint"),
    [
        (ResizedCrop, {"scale": [0.5, 1.5]}, "scale", "at most 1"),
        (ResizedCrop, {"scale": [0, 0]}, "scale", "above 0"),
        (ResizedCrop, {"ratio": [0, 1]}, "ratio", "above 0"),
        (RandomErasing, {"p": 2}, "p", "at most 1"),
        (RandomErasing, {"value": 300}, "value", "at most 255"),
        (RandomErasing, {"value": [1, 2]}, "value", "one number, or three"),
    ],
)
def test_an_option_out_of_range_is_told_with_its_name(cls: Any, options: dict, key: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        cls(**options)
    assert caught.value.at == (key,)
