"""Targets of LoRA."""

import pytest
import timm
import torch
import transformers

from hf_tune.adapter.method_targets import check_rank, check_targets, find_reason, find_targets
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


def test_targets_that_match_nothing_list_what_there_is() -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    for wanted in (["query"], "query.*", ["conv1", "query"]):
        with pytest.raises(InputError, match=r"'query.*' matches no layer; layers end in: .*conv2") as caught:
            check_targets(model, {"target_modules": wanted}, frozenset({"fc"}))
        assert caught.value.at == ("target_modules",)
    check_targets(model, {"target_modules": ["conv1", "conv2"]}, frozenset({"fc"}))
    check_targets(model, {"target_modules": r".*\.conv[12]"}, frozenset({"fc"}))


def test_a_rank_larger_than_the_layers_is_told() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 4))
    check_rank(model, {"r": 6, "target_modules": ["0", "1"]})
    with pytest.raises(InputError, match=r"rank 7 is larger .* the largest takes 6"):
        check_rank(model, {"r": 7, "target_modules": ["0", "1"]})


def test_the_new_head_is_no_target() -> None:
    with pytest.raises(InputError, match="'fc' matches no layer"):
        check_targets(timm.create_model("test_resnet", num_classes=3), {"target_modules": ["fc"]}, frozenset({"fc"}))


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [("cache=None", "transformers<5.24"), ("input_ids=None", "takes no past keys"), ("past_key_values=None", None)],
)
def test_prefixes_ask_whether_the_network_takes_keys_and_values(signature: str, sentence: str | None) -> None:
    model = transformers.AutoModelForSequenceClassification.from_config(transformers.BertConfig(**SMALL))
    model.base_model.forward = eval(f"lambda {signature}: None")
    reason = find_reason("PREFIX_TUNING", model, {"classifier"})
    assert reason is None if sentence is None else sentence in str(reason)
