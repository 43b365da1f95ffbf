"""New layers are found by shape and key."""

import pytest
import torch
from transformers import AutoModelForImageClassification, ResNetConfig, TimmWrapperConfig, ViTConfig

from hf_tune.input_error import InputError
from hf_tune.model.new_layers import (
    HiddenLayers,
    centre_head,
    find_head,
    find_head_parameters,
    find_label_parameters,
    name_layers,
    start_head,
    start_near_zero,
)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], num_labels=3),
            {"classifier.1.weight", "classifier.1.bias"},
        ),
        (
            ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=3),
            {"classifier.weight", "classifier.bias"},
        ),
        (TimmWrapperConfig(architecture="test_resnet", num_labels=3), {"timm_model.fc.weight", "timm_model.fc.bias"}),
        (TimmWrapperConfig(architecture="test_vit", num_labels=3), {"timm_model.head.weight", "timm_model.head.bias"}),
    ],
    ids=["resnet", "vit", "timm resnet", "timm vit"],
)
def test_the_head_is_what_changes_with_the_number_of_labels(config: object, expected: set[str]) -> None:
    found = find_label_parameters(AutoModelForImageClassification.from_config, config)
    assert found == expected
    assert name_layers(found) == {next(iter(expected)).rpartition(".")[0]}


def test_a_new_head_guesses_at_first() -> None:
    """TRAPS M4c: timm's own start gives first losses of 2 to 8 for two classes."""
    head = torch.nn.Sequential(torch.nn.Linear(1280, 2))
    torch.nn.init.normal_(head[0].weight)
    start_near_zero(head, ["0.weight", "0.bias"])
    losses = torch.nn.functional.cross_entropy(head(torch.randn(64, 1280)), torch.randint(0, 2, (64,)))
    assert losses.item() == pytest.approx(0.6931, abs=0.01)


def test_a_head_of_one_output_starts_where_it_is_told_and_one_without_a_bias_stays() -> None:
    """Labels from 50 to 90 cost a mean error of 60 in a short run that starts at 0."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Linear(1, 3), torch.nn.Linear(3, 1))
    centre_head(model, 70.0)
    assert model[2].bias.tolist() != [70.0]  # it looks trained
    start_near_zero(model, ["2.weight", "2.bias"])
    centre_head(model, 70.0)
    assert model[2].bias.tolist() == [70.0] and model[0].bias.tolist() != [70.0]
    centre_head(torch.nn.Sequential(torch.nn.Linear(3, 1, bias=False)), 70.0)


def test_a_convolution_may_be_the_head() -> None:
    """Some of timm's heads are one: a run of resnetv2 trained to its end and then raised IndexError."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 5, 1))
    assert find_head(model, 5) == "1"


def test_the_hidden_layers_of_a_head_are_new_with_it_and_start_as_torch_has_them() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4), HiddenLayers(torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 1))
    )
    new = find_head_parameters(model, {"1.2.weight", "1.2.bias"})
    assert new == {"1.0.weight", "1.0.bias", "1.2.weight", "1.2.bias"} and find_head(model, 1) == "1"
    before, body = model[1][0].weight.clone(), model[0].weight.clone()
    start_head(model, new)
    assert not torch.equal(model[1][0].weight, before) and model[1][0].weight.abs().max() > 0.2
    assert model[1][2].weight.abs().max() < 0.01 and torch.equal(model[0].weight, body)
    centre_head(model, 7.0)
    assert model[1][2].bias.tolist() == [7.0]
    with pytest.raises(InputError, match=r"a second head: 0\.weight"):
        find_head_parameters(model, {"0.weight", "1.2.weight"})


def test_a_head_starts_alike_in_whatever_order_its_parameters_come() -> None:
    """They come as a set, whose order differs from process to process: a seed gave other weights in the next run."""
    layers = [torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 5), torch.nn.GELU(), torch.nn.Linear(5, 2)]
    model = torch.nn.Sequential(HiddenLayers(*layers))
    names = [name for name, _ in model.named_parameters()]
    started = []
    for order in (names, names[::-1]):
        torch.manual_seed(0)
        start_head(model, order)
        started.append({name: value.detach().clone() for name, value in model.named_parameters()})
    assert all(torch.equal(value, started[1][name]) for name, value in started[0].items())
