"""Which method works on which family of networks: what `hf-tune methods` prints and `attach_adapter` refuses by.

tests/adapter/test_method_table.py runs every cell: it trains, saves and loads back, or is refused with this reason.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch

from hf_tune.adapter.method_targets import find_reason
from hf_tune.adapter.method_words import WORDS, get_block


FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "bert": ("BertConfig", {"num_hidden_layers": 1}),
        "roberta": ("RobertaConfig", {"num_hidden_layers": 1}),
        "distilbert": ("DistilBertConfig", {"n_layers": 1}),
        "gpt2": ("GPT2Config", {"n_layer": 1}),
        "llama": ("LlamaConfig", {"num_hidden_layers": 1}),
        "t5": ("T5Config", {"num_layers": 1}),
        "vit": ("ViTConfig", {"num_hidden_layers": 1}),
        "timm": ("TimmWrapperConfig", {"architecture": "resnet18"}),
    }
)
"""Name → transformers config of the smallest network of the family; `timm` stands for its ResNets."""


def list_methods() -> list[str]:
    """Return the words, then every type of PEFT."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    return [*WORDS, *sorted(str(getattr(name, "value", name)) for name in PEFT_TYPE_TO_CONFIG_MAPPING)]


def find_cell(method: str, family: str) -> str | None:
    """Return why a word or PEFT type cannot work on a family; None where it works."""
    block = get_block(method) if method in WORDS else {"peft_type": method}
    if not block:
        return None
    return find_reason(block["peft_type"], *_outline(family))


@lru_cache
def _outline(family: str) -> tuple[Any, frozenset[str]]:
    """Return a network of the family on the meta device, and its head."""
    import transformers

    config_class, sizes = FAMILIES[family]
    config = getattr(transformers, config_class)(**sizes)
    head = "ImageClassification" if family in ("vit", "timm") else "SequenceClassification"
    with torch.device("meta"):
        model = getattr(transformers, f"AutoModelFor{head}").from_config(config)
    heads = ("classifier", "score", "pre_classifier", "classification_head", "timm_model.fc")
    return model, frozenset(heads)
