"""Augmentations against torchvision's functional operations at equal parameters."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from hf_tune.data.augmentation import (
    AUGMENTATIONS,
    HorizontalFlip,
    RandomCrop,
    Rotation,
    VerticalFlip,
    augment_pictures,
)
from hf_tune.data.draws import Draws
from hf_tune.input_error import InputError


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.randint(0, 256, (16, 3, 24, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draws() -> Draws:
    return Draws(1, 2, np.arange(16))


def test_a_crop_is_torchvisions_pad_and_crop(batch: torch.Tensor) -> None:
    cropped = RandomCrop(padding=0.25)(batch, draws())
    place = draws().uniform(2)
    for picture, result, (top, left) in zip(batch, cropped, place.tolist(), strict=True):
        padded = functional.pad(picture, [8, 6])  # left and right, top and bottom
        assert torch.equal(result, functional.crop(padded, int(top * 13), int(left * 17), 24, 32))


@pytest.mark.parametrize(("flip", "mirror"), [(HorizontalFlip, functional.hflip), (VerticalFlip, functional.vflip)])
def test_a_flip_mirrors_the_pictures_whose_draw_is_below_its_probability(
    flip: type, mirror: object, batch: torch.Tensor
) -> None:
    flipped = flip(probability=0.5)(batch, draws())
    chosen = draws().uniform(1)[:, 0] < 0.5
    assert 0 < chosen.sum() < 16
    for picture, result, turned in zip(batch, flipped, chosen, strict=True):
        assert torch.equal(result, mirror(picture) if turned else picture)  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
def test_a_rotation_is_torchvisions(shape: tuple[int, int]) -> None:
    pictures = functional.gaussian_blur(torch.randint(0, 256, (16, 3, *shape), dtype=torch.uint8), [5, 5])
    turned = Rotation(degrees=30)(pictures, draws())
    for picture, result, draw in zip(pictures, turned, draws().uniform(1)[:, 0].tolist(), strict=True):
        angle = (draw * 2 - 1) * 30
        expected = functional.rotate(picture.float(), angle, interpolation=functional.InterpolationMode.BILINEAR)
        assert (result.float() - expected).abs().max() <= 1.0, angle


def test_the_result_does_not_depend_on_the_batch(batch: torch.Tensor) -> None:
    chain = [augmentation() for augmentation in AUGMENTATIONS.values()]
    whole = augment_pictures(batch, chain, draws())
    part = augment_pictures(batch[5:7], chain, Draws(1, 2, np.asarray([5, 6])))
    assert torch.equal(whole[5:7], part)
    assert whole.dtype == torch.uint8 and whole.shape == batch.shape


def test_an_option_out_of_range_is_told_with_its_name() -> None:
    with pytest.raises(InputError, match="at most 180") as caught:
        Rotation(degrees=200)
    assert caught.value.at == ("degrees",)
