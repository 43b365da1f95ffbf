"""Augmentations against torchvision's functional operations at equal parameters."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from hf_tune.data.augmentation import (
    AUGMENTATIONS,
    HorizontalFlip,
    RandomCrop,
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


def test_the_result_does_not_depend_on_the_batch(batch: torch.Tensor) -> None:
    options: dict[str, dict] = {"affine": {"degrees": 20, "shear": 5}, "color_jitter": {"contrast": 0.5, "hue": 0.1}}
    chain = [augmentation(**options.get(name, {})) for name, augmentation in AUGMENTATIONS.items()]
    whole = augment_pictures(batch, chain, draws())
    part = augment_pictures(batch[5:7], chain, Draws(1, 2, np.asarray([5, 6])))
    assert torch.equal(whole[5:7], part)
    assert whole.dtype == torch.uint8 and whole.shape == batch.shape


def test_an_option_out_of_range_is_told_with_its_name() -> None:
    with pytest.raises(InputError, match="at most 1") as caught:
        RandomCrop(padding=2)
    assert caught.value.at == ("padding",)
