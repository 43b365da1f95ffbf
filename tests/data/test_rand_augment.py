"""RandAugment against torchvision's own at equal draws, picture by picture."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from hf_tune.data.draws import Draws
from hf_tune.data.rand_augment import RandAugment
from hf_tune.input_error import InputError


class Script:
    """The draws of a test: for each picture and operation its number and its way."""

    def __init__(self, operations: list[list[int]], backwards: list[list[bool]]) -> None:
        self.columns = [
            torch.tensor([[(number + 0.5) / 14, 0.25 if back else 0.75] for number, back in zip(*step, strict=True)])
            for step in zip(zip(*operations, strict=True), zip(*backwards, strict=True), strict=True)
        ]

    def uniform(self, count: int) -> torch.Tensor:
        return self.columns.pop(0).double()


def noise(number: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (number, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def torchvisions(
    picture: torch.Tensor, numbers: list[int], backwards: list[bool], monkeypatch: pytest.MonkeyPatch, **options: int
) -> torch.Tensor:
    """Return what torchvision's transform makes of one picture, with these draws in place of its random ones."""
    now: list[bool] = []
    left = list(zip(numbers, backwards, strict=True))

    def draw_operation(*_: object) -> torch.Tensor:
        number, back = left.pop(0)
        now[:] = [back]
        return torch.tensor(number)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "randint", draw_operation)
        patch.setattr(torch, "rand", lambda *_: torch.tensor(0.25 if now[0] else 0.75))
        return v2.RandAugment(**options)(picture)


@pytest.mark.parametrize("bins", [31, 9])
@pytest.mark.parametrize("shape", [(32, 32), (24, 41)])
@pytest.mark.parametrize("smooth", [False, True])
def test_each_operation_at_each_magnitude_is_torchvisions(
    shape: tuple[int, int], smooth: bool, bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = noise(28, *shape)
    if smooth:
        pictures = functional.gaussian_blur(pictures, [9, 9]) // 2 + 50
    numbers, backwards = [[row // 2] for row in range(28)], [[row % 2 == 1] for row in range(28)]
    for magnitude in range(0, bins, 4):
        options = {"num_ops": 1, "magnitude": magnitude, "num_magnitude_bins": bins}
        changed = RandAugment(**options)(pictures, Script(numbers, backwards))  # type: ignore[arg-type]
        for row, picture in enumerate(pictures):
            expected = torchvisions(picture, numbers[row], backwards[row], monkeypatch, **options)
            assert torch.equal(changed[row], expected), (magnitude, numbers[row], backwards[row])


def test_two_operations_follow_each_other_in_the_order_of_their_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = noise(40, 32, 32)
    draws = Draws(3, 1, np.arange(40))
    drawn = torch.cat([draws.uniform(2), draws.uniform(2)], dim=1).tolist()
    changed = RandAugment()(pictures, Draws(3, 1, np.arange(40)))
    assert changed.dtype == torch.uint8 and not torch.equal(changed, pictures)
    for picture, result, (first, way, second, other_way) in zip(pictures, changed, drawn, strict=True):
        numbers = [int(first * 14), int(second * 14)]
        expected = torchvisions(picture, numbers, [way <= 0.5, other_way <= 0.5], monkeypatch)
        assert torch.equal(result, expected)


@pytest.mark.parametrize("side", [32, 280])  # the grey of 280 x 280 pixels adds up to more than float32 counts
def test_a_picture_alone_and_in_a_batch_is_changed_alike(side: int) -> None:
    number = 128 if side == 32 else 24
    pictures, augment = noise(number, side, side), RandAugment(num_ops=3)
    whole = augment(pictures, Draws(1, 2, np.arange(number)))
    order = np.random.default_rng(0).permutation(number)
    assert torch.equal(augment(pictures[order], Draws(1, 2, order)), whole[order])
    for row in range(0, number, 7):
        assert torch.equal(augment(pictures[[row]], Draws(1, 2, np.asarray([row]))), whole[[row]])


def test_the_draws_that_it_takes_do_not_depend_on_the_operations() -> None:
    draws = Draws(1, 2, np.arange(8))
    RandAugment(num_ops=3)(noise(8, 8, 8), draws)
    assert draws.taken == 6


def test_the_pictures_given_stay_as_they_are() -> None:
    pictures = noise(16, 16, 16)
    RandAugment()(pictures, Draws(1, 2, np.arange(16)))
    assert torch.equal(pictures, noise(16, 16, 16))


@pytest.mark.parametrize(
    ("options", "key", "hint"),
    [
        ({"num_ops": 0}, "num_ops", "at least 1"),
        ({"magnitude": 31}, "magnitude", "at most 30"),
        ({"magnitude": -1}, "magnitude", "at least 0"),
        ({"num_magnitude_bins": 1, "magnitude": 0}, "num_magnitude_bins", "at least 2"),
    ],
)
def test_an_option_out_of_range_is_told_with_its_name(options: dict[str, int], key: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        RandAugment(**options)
    assert caught.value.at == (key,)
