"""The operations by themselves; that they are torchvision's is tested where they are used."""

import torch
from torchvision.transforms.v2 import functional

from hf_tune.data.auto_operations import NUM_OPERATIONS, Strengths, adjust_contrast, apply_changes, build_changes


def test_each_operation_has_two_ways_and_the_first_changes_nothing() -> None:
    strengths = Strengths(slope=0.1, right=2, down=3, degrees=10, tone=0.5, bits=4, threshold=100)
    changes = build_changes(strengths)
    pictures = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert len(changes) == 2 * NUM_OPERATIONS
    assert torch.equal(changes[0](pictures), pictures) and torch.equal(changes[1](pictures), pictures)
    assert torch.equal(changes[6](pictures)[:, :, :, 2:], pictures[:, :, :, :-2])  # two pixels to the right
    assert torch.equal(changes[9](pictures)[:, :, :-3], pictures[:, :, 3:])  # three pixels up


def test_each_picture_gets_the_change_that_it_drew() -> None:
    pictures = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)
    changed = apply_changes(pictures, [lambda each: each + 1, lambda each: each + 7], torch.tensor([1, 0, 0, 1]))
    assert changed[:, 0, 0, 0].tolist() == [7, 1, 1, 7] and pictures.max() == 0


def test_contrast_is_torchvisions() -> None:
    picture = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(adjust_contrast(picture, 0.3), functional.adjust_contrast(picture, 0.3))
