"""Where bottleneck adapters go."""

from typing import Any

import pytest
import timm
import torch
import transformers

from hf_tune.adapter.bottleneck_targets import find_bottleneck_targets
from hf_tune.input_error import InputError


def outline(config_class: str, **sizes: Any) -> torch.nn.Module:
    config = getattr(transformers, config_class)(**sizes)
    with torch.device("meta"):
        return transformers.AutoModel.from_config(config)


@pytest.mark.parametrize(
    ("config_class", "sizes", "houlsby", "pfeiffer"),
    [
        ("BertConfig", {"num_hidden_layers": 3}, 6, 3),
        ("RobertaConfig", {"num_hidden_layers": 3}, 6, 3),
        ("ElectraConfig", {"num_hidden_layers": 3}, 6, 3),
        ("DistilBertConfig", {"n_layers": 3}, 6, 3),
        ("GPT2Config", {"n_layer": 3}, 6, 3),
        ("LlamaConfig", {"num_hidden_layers": 3}, 6, 3),
        ("Qwen2Config", {"num_hidden_layers": 3}, 6, 3),
        ("ViTConfig", {"num_hidden_layers": 3}, 6, 3),
        ("T5Config", {"num_layers": 3}, 15, 6),  # the decoder attends twice
        ("MPNetConfig", {"num_hidden_layers": 3}, 6, 3),
        ("PhiConfig", {"num_hidden_layers": 3}, 6, 3),
        ("GPTNeoConfig", {"num_layers": 2, "attention_types": [[["global", "local"], 1]]}, 4, 2),
        ("BartConfig", {"encoder_layers": 3, "decoder_layers": 3}, 15, 6),
        ("OPTConfig", {"num_hidden_layers": 3}, 6, 3),
    ],
)
def test_transformers_get_one_or_two_for_each_block(
    config_class: str, sizes: dict[str, Any], houlsby: int, pfeiffer: int
) -> None:
    model = outline(config_class, **sizes)
    after_both = find_bottleneck_targets(model, "houlsby")
    after_feed_forward = find_bottleneck_targets(model, "pfeiffer")
    assert (len(after_both), len(after_feed_forward)) == (houlsby, pfeiffer)
    assert set(after_feed_forward) < set(after_both)
    assert not any("attention.output" in name or "attn" in name for name in after_feed_forward)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", {f"layer{stage}.{block}.conv2" for stage in range(1, 5) for block in range(2)}),
        ("resnet26", {f"layer{stage}.{block}.conv3" for stage in range(1, 5) for block in range(2)}),
    ],
)
def test_residual_networks_get_one_behind_the_last_convolution_of_each_block(name: str, expected: set[str]) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    assert set(find_bottleneck_targets(model, "houlsby")) == expected


def test_mobile_networks_get_one_behind_each_projection() -> None:
    with torch.device("meta"):
        model = timm.create_model("mobilenetv2_035")
    found = find_bottleneck_targets(model, "pfeiffer")
    assert len(found) == 16 and all(name.endswith("conv_pwl") for name in found)


def test_a_network_of_which_a_rule_finds_half_asks_for_targets() -> None:
    """Mixtral's experts are no linear layers: Houlsby's places would be those after attention alone."""
    sizes = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    model = outline("MixtralConfig", **sizes, num_key_value_heads=1)
    with pytest.raises(InputError, match="no rule says where MixtralModel"):
        find_bottleneck_targets(model, "houlsby")


def test_a_network_without_a_rule_asks_for_targets() -> None:
    with pytest.raises(InputError, match="no rule says where Sequential") as caught:
        find_bottleneck_targets(torch.nn.Sequential(torch.nn.Linear(2, 2)), "houlsby")
    assert caught.value.at == ("target_modules",)
