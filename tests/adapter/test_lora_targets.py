"""Targets of LoRA."""

import pytest
import timm
import torch

from hf_tune.adapter.lora_targets import check_targets, find_lora_targets
from hf_tune.input_error import InputError


def test_convolutions_and_linear_layers_are_found_but_no_depthwise_one_and_not_the_head() -> None:
    """TRAPS P3, P4."""
    model = timm.create_model("mobilenetv2_035", num_classes=3)
    targets = find_lora_targets(model, frozenset({"classifier"}))
    layers = dict(model.named_modules())
    assert "classifier" not in targets and "conv_stem" in targets
    assert not any(".conv_dw" in name for name in targets)
    ungrouped = [name for name, layer in layers.items() if isinstance(layer, torch.nn.Conv2d) and layer.groups == 1]
    assert targets == ungrouped


def test_targets_that_match_nothing_list_what_there_is() -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    for wanted in (["query"], "query.*", ["conv1", "query"]):
        with pytest.raises(InputError, match=r"'query.*' matches no layer; layers end in: .*conv2") as caught:
            check_targets(model, {"target_modules": wanted}, frozenset({"fc"}))
        assert caught.value.at == ("target_modules",)
    check_targets(model, {"target_modules": ["conv1", "conv2"]}, frozenset({"fc"}))
    check_targets(model, {"target_modules": r".*\.conv[12]"}, frozenset({"fc"}))


def test_the_new_head_is_no_target() -> None:
    with pytest.raises(InputError, match="'fc' matches no layer"):
        check_targets(timm.create_model("test_resnet", num_classes=3), {"target_modules": ["fc"]}, frozenset({"fc"}))
