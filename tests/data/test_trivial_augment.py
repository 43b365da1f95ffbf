"""TrivialAugment against torchvision's own at equal draws, picture by picture."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from hf_tune.data.draws import Draws
from hf_tune.data.trivial_augment import TrivialAugment
from hf_tune.input_error import InputError


def torchvisions(picture: torch.Tensor, operation: int, magnitude: int, way: float, bins: int) -> torch.Tensor:
    """Return what torchvision's transform makes of one picture, with these draws in place of its random ones."""
    with pytest.MonkeyPatch.context() as patch:
        drawn = iter([torch.tensor(operation), torch.tensor(magnitude)])
        patch.setattr(torch, "randint", lambda *_: next(drawn))
        patch.setattr(torch, "rand", lambda *_: torch.tensor(way))
        changed: torch.Tensor = v2.TrivialAugmentWide(num_magnitude_bins=bins)(picture)
    return changed


class Script:
    """Draws that are given: operation, magnitude and way of each picture."""

    def __init__(self, columns: torch.Tensor) -> None:
        self.columns = columns

    def uniform(self, count: int) -> torch.Tensor:
        assert count == 3
        return self.columns


@pytest.mark.parametrize("bins", [31, 8])
@pytest.mark.parametrize("shape", [(32, 32), (24, 41)])
def test_every_operation_at_every_magnitude_is_torchvisions(shape: tuple[int, int], bins: int) -> None:
    cells = [(operation, bin_, way) for operation in range(14) for bin_ in range(bins) for way in (0.25, 0.75)]
    one = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one[1] = functional.gaussian_blur(one[1], [9, 9]) // 2 + 50
    pictures = one[[number % 2 for number in range(len(cells))]]
    columns = torch.tensor([((op + 0.5) / 14, (bin_ + 0.5) / bins, way) for op, bin_, way in cells]).double()
    changed = TrivialAugment(num_magnitude_bins=bins)(pictures, Script(columns))  # type: ignore[arg-type]
    for row, (operation, bin_, way) in enumerate(cells):
        expected = torchvisions(pictures[row], operation, bin_, way, bins)
        assert torch.equal(changed[row], expected), (operation, bin_, way)


def test_a_picture_alone_and_in_a_batch_is_changed_alike() -> None:
    pictures = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = TrivialAugment()(pictures, Draws(1, 2, np.arange(64)))
    assert not torch.equal(whole, pictures)
    for row in range(0, 64, 7):
        alone = TrivialAugment()(pictures[[row]], Draws(1, 2, np.asarray([row])))
        assert torch.equal(alone, whole[[row]])


def test_too_few_magnitudes_are_told() -> None:
    with pytest.raises(InputError, match="at least 2") as caught:
        TrivialAugment(num_magnitude_bins=1)
    assert caught.value.at == ("num_magnitude_bins",)
