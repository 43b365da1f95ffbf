"""BatchNorm statistics."""

import copy

import torch

from hf_tune.adapter.batch_norm import find_batch_norms, freeze_batch_norms, has_moving_statistics


def test_frozen_statistics_stay_whatever_mode_the_model_is_put_into() -> None:
    """TRAPS P1b: the Trainer calls `model.train()` at every step."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Dropout())
    assert find_batch_norms(model) == ["1"]
    moving = copy.deepcopy(model)
    freeze_batch_norms(model)
    for each in (model, moving):
        each.train()
        each(torch.randn(8, 3, 5, 5) + 3)
    assert torch.equal(model[1].running_mean, torch.zeros(4)) and not torch.equal(
        moving[1].running_mean, torch.zeros(4)
    )
    assert model[2].training  # the rest does train


def test_a_norm_without_statistics_is_left_alone() -> None:
    assert find_batch_norms(torch.nn.Sequential(torch.nn.GroupNorm(1, 4), torch.nn.InstanceNorm2d(4))) == []


def test_statistics_move_until_they_are_frozen() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).eval()
    assert has_moving_statistics(model)
    freeze_batch_norms(model)
    assert not has_moving_statistics(model) and not has_moving_statistics(model[0])
