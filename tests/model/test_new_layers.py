"""New layers are found by shape and key."""

import pytest
import torch
from transformers import AutoModelForImageClassification, ResNetConfig, TimmWrapperConfig, ViTConfig

from hf_tune.model.new_layers import find_label_parameters, name_layers, start_near_zero


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
