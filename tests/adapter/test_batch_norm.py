"""BatchNorm statistics."""

import copy

import pytest
import timm
import torch

from hf_tune.adapter.batch_norm import (
    find_batch_norms,
    freeze_batch_norms,
    has_moving_statistics,
    synchronise_batch_norms,
)
from hf_tune.input_error import InputError


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


def test_synchronised_layers_evaluate_as_before_under_the_same_names_and_are_refused_on_a_cpu() -> None:
    model = timm.create_model("test_resnet", num_classes=3).eval()
    pictures = torch.randn(2, 3, 32, 32)
    before, names = model(pictures), list(model.state_dict())
    with pytest.raises(InputError, match="CUDA devices alone, and this run is on cpu; write `batch_norm: trained`"):
        synchronise_batch_norms(model, "cpu")
    synced = synchronise_batch_norms(model, "cuda").eval()
    assert find_batch_norms(synced) and list(synced.state_dict()) == names
    assert all("Sync" in type(synced.get_submodule(name)).__name__ for name in find_batch_norms(synced))
    assert torch.equal(synced(pictures), before)


def test_statistics_move_until_they_are_frozen() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).eval()
    assert has_moving_statistics(model)
    freeze_batch_norms(model)
    assert not has_moving_statistics(model) and not has_moving_statistics(model[0])
