"""Values in a PEFT config that cannot work on a network."""

from typing import Any

import pytest
import timm
import torch
import transformers

from hf_tune.adapter.attach import attach_adapter
from hf_tune.adapter.method_values import check_values
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.text_checkpoint import load_text_classifier, outline_text_classifier
from hf_tune.model.text_processor import TextOptions


SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 9}


def build(config: Any) -> Any:
    return transformers.AutoModelForSequenceClassification.from_config(config)


def test_targets_that_match_nothing_list_what_there_is() -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    for wanted in (["query"], "query.*", ["conv1", "query"]):
        with pytest.raises(InputError, match=r"'query.*' matches no layer; layers end in: .*conv2") as caught:
            check_values({"target_modules": wanted}, model, frozenset({"fc"}))
        assert caught.value.at == ("target_modules",)
    check_values({"target_modules": ["conv1", "conv2"]}, model, frozenset({"fc"}))
    check_values({"target_modules": r".*\.conv[12]"}, model, frozenset({"fc"}))


def test_a_rank_larger_than_the_layers_is_told() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 4))
    check_values({"r": 6, "target_modules": ["0", "1"]}, model, frozenset())
    with pytest.raises(InputError, match=r"rank 7 is larger .* the largest takes 6"):
        check_values({"r": 7, "target_modules": ["0", "1"]}, model, frozenset())


def test_the_new_head_is_no_target() -> None:
    with pytest.raises(InputError, match="'fc' matches no layer"):
        check_values({"target_modules": ["fc"]}, timm.create_model("test_resnet", num_classes=3), frozenset({"fc"}))


@pytest.mark.parametrize(
    ("block", "key", "words"),
    [
        ({"target_modules": "*query"}, "target_modules", "'*query' is no regular expression: nothing to repeat"),
        ({"r": 99, "target_modules": ".*query"}, "r", "rank 99 is larger than every layer"),
        ({"r": 99}, "r", "rank 99 is larger than every layer"),
        ({"modules_to_save": ["nope"]}, "modules_to_save", "'nope' matches no layer"),
        ({"rank_pattern": {"nope": 4}}, "rank_pattern", "'nope' matches no layer"),
        ({"alpha_pattern": {"quer": 4}}, "alpha_pattern", "'quer' matches no layer"),
        ({"target_parameters": ["foo.weight"]}, "target_parameters", "'foo.weight' matches no parameter"),
        ({"init_lora_weights": "eva"}, "init_lora_weights", "which hf_tune does not make"),
        ({"init_lora_weights": "corda"}, "init_lora_weights", "which hf_tune does not make"),
        ({"init_lora_weights": "lora_ga"}, "init_lora_weights", "which hf_tune does not make"),
        (
            {"init_lora_weights": "pissa_niter_4"},
            "init_lora_weights",
            "at random, and cannot be loaded again to the same",
        ),
        ({"init_lora_weights": "pisa"}, "init_lora_weights", "is no start of LoRA; true, false, gaussian,"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights", "use `model.quantization_config`"),
    ],
    ids=str,
)
def test_what_cannot_work_is_told_with_its_key(block: dict[str, Any], key: str, words: str) -> None:
    """PEFT 0.21 starts `eva` at random without its pass over the data, and says nothing."""
    with pytest.raises(InputError) as caught:
        check_values(block, build(transformers.BertConfig(**SMALL)), {"classifier"})
    assert words in str(caught.value) and caught.value.at[0] == key


def test_patterns_are_matched_as_peft_matches_them() -> None:
    block = {"rank_pattern": {"query": 4, r".*\.0\.output\.dense": 2}, "target_parameters": ["query.weight"]}
    check_values(block, build(transformers.BertConfig(**SMALL)), {"classifier"})


def test_new_layers_may_be_named_as_saved_whole() -> None:
    check_values(
        {"modules_to_save": ["classifier", "pooler"]}, build(transformers.BertConfig(**SMALL)), {"classifier"}
    )


def test_grouped_convolutions_are_told_where_their_groups_do_not_divide_the_rank() -> None:
    model = timm.create_model("mobilenetv2_035", num_classes=3)
    with pytest.raises(InputError, match="a convolution of 16 groups, which do not divide the rank 6"):
        check_values({"r": 6, "target_modules": ["blocks.0.0.conv_dw"]}, model, {"classifier"})


def test_starts_that_a_network_cannot_have_are_told() -> None:
    gpt2 = build(transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9))
    with pytest.raises(InputError, match="'olora' cannot start Conv1D"):
        check_values({"init_lora_weights": "olora"}, gpt2, {"score"})
    with pytest.raises(InputError, match="starts linear layers only"):
        check_values({"init_lora_weights": "pissa"}, torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1)), frozenset())
    with pytest.raises(InputError, match="rounds the base off in half precision"):
        check_values(
            {"init_lora_weights": "pissa"}, build(transformers.BertConfig(**SMALL)).bfloat16(), {"classifier"}
        )


@pytest.mark.parametrize("start", ["gaussian", "pissa", "olora", "orthogonal", "mica"])
def test_every_other_start_can_be_attached_and_outlined(start: str, tiny_text_checkpoints: dict[str, str]) -> None:
    source = ModelSource(pretrained_model_name_or_path=tiny_text_checkpoints["bert"])
    for load in (load_text_classifier, outline_text_classifier):
        loaded = load(source, TextOptions(), ["a", "b", "c"])
        model = attach_adapter(loaded, {"peft_type": "LORA", "r": 4, "init_lora_weights": start}, None, "SEQ_CLS")
        assert any("lora_A" in name for name, _ in model.named_parameters())
