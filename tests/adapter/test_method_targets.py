"""Targets of LoRA."""

import pytest
import timm
import torch
import transformers

from hf_tune.adapter.method_targets import find_reason, find_targets
from hf_tune.input_error import InputError


SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 9}


def test_convolutions_and_linear_layers_are_found_but_no_depthwise_one_and_not_the_head() -> None:
    """TRAPS P3, P4."""
    model = timm.create_model("mobilenetv2_035", num_classes=3)
    targets = find_targets("LORA", {}, model, frozenset({"classifier"}))["target_modules"]
    layers = dict(model.named_modules())
    assert "classifier" not in targets and "conv_stem" in targets
    assert not any(".conv_dw" in name for name in targets)
    ungrouped = [name for name, layer in layers.items() if isinstance(layer, torch.nn.Conv2d) and layer.groups == 1]
    assert targets == ungrouped


def test_blocks_that_are_named_limit_the_targets_that_are_found() -> None:
    """PEFT 0.21 does not look at `layers_to_transform` where targets are full names."""
    config = transformers.BertConfig(**{**SMALL, "num_hidden_layers": 3})
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    block = {"layers_to_transform": [1]}
    targets = find_targets("LORA", block, model, frozenset({"classifier"}))["target_modules"]
    assert len(targets) == 6 and all(".layer.1." in name for name in targets)
    with pytest.raises(InputError, match=r"\[7\] stands for no block") as caught:
        find_targets("LORA", {"layers_to_transform": [7]}, model, frozenset())
    assert caught.value.at == ("layers_to_transform",)


def test_starts_that_convolutions_do_not_have_leave_them_out() -> None:
    config = transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = transformers.AutoModelForImageClassification.from_config(config)
    whole, linear = (
        find_targets("LORA", block, model, {"classifier"})["target_modules"]
        for block in ({}, {"init_lora_weights": "pissa"})
    )
    assert len(whole) == len(linear) + 1 and not any("patch" in name for name in linear)


def test_networks_that_ask_convolutions_for_their_stride_are_refused() -> None:
    """transformers 5.23 and PEFT 0.21: AttributeError 'Conv2d' object has no attribute 'stride'."""
    model = transformers.AutoModelForImageClassification.from_config(transformers.MobileNetV2Config())
    assert "hides the stride" in str(find_reason("LORA", model, {"classifier"}))
    assert find_reason("BOTTLENECK", model, {"classifier"}) is None


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [("cache=None", "transformers<5.24"), ("input_ids=None", "takes no past keys"), ("past_key_values=None", None)],
)
def test_prefixes_ask_whether_the_network_takes_keys_and_values(signature: str, sentence: str | None) -> None:
    model = transformers.AutoModelForSequenceClassification.from_config(transformers.BertConfig(**SMALL))
    model.base_model.forward = eval(f"lambda {signature}: None")
    reason = find_reason("PREFIX_TUNING", model, {"classifier"})
    assert reason is None if sentence is None else sentence in str(reason)
