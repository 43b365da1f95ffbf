"""Networks that are cut over processes; test_processes.py trains some."""

from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
import transformers

from hf_tune.training.sharding import choose_blocks, is_sharded


SMALL: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
NETWORKS = {
    "BasicBlock, Bottleneck": lambda: timm.create_model("test_resnet"),
    "Block": lambda: timm.create_model("test_vit"),
    "BertLayer": lambda: transformers.BertModel(transformers.BertConfig(**SMALL)),
    "ViTLayer": lambda: transformers.ViTModel(transformers.ViTConfig(**SMALL)),
    "GPT2Block": lambda: transformers.GPT2Model(transformers.GPT2Config(n_embd=8, n_layer=2, n_head=2)),
    "T5Block": lambda: transformers.T5Model(transformers.T5Config(d_model=8, num_layers=2, d_ff=8)),
}


def build_trainer(model: Any, plugin: Any) -> Any:
    state = SimpleNamespace(fsdp_plugin=plugin)
    return SimpleNamespace(model=model, accelerator=SimpleNamespace(state=state))


@pytest.mark.parametrize("block", NETWORKS)
def test_the_layers_of_a_network_are_cut(block: str) -> None:
    plugin = SimpleNamespace(transformer_cls_names_to_wrap=None)
    choose_blocks(build_trainer(NETWORKS[block](), plugin))
    assert plugin.transformer_cls_names_to_wrap == block.split(", ")


def test_what_the_config_names_stays_and_without_fsdp_nothing_is_cut() -> None:
    plugin = SimpleNamespace(transformer_cls_names_to_wrap=["BertAttention"])
    choose_blocks(build_trainer(NETWORKS["BertLayer"](), plugin))
    assert plugin.transformer_cls_names_to_wrap == ["BertAttention"]
    choose_blocks(build_trainer(torch.nn.Linear(2, 2), None))


def test_a_trainer_says_whether_it_is_sharded() -> None:
    assert not is_sharded(SimpleNamespace(is_fsdp_enabled=False, is_deepspeed_enabled=False))
    assert is_sharded(SimpleNamespace(is_fsdp_enabled=True, is_deepspeed_enabled=False))
