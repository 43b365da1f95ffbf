"""Which layers a method adapts where the recipe names none, and where a method cannot work, in a sentence."""

import inspect
from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from hf_tune.adapter.block_numbers import is_in_blocks
from hf_tune.adapter.bottleneck_targets import find_bottleneck_targets
from hf_tune.input_error import InputError


PROMPTS = ("PREFIX_TUNING", "CARTRIDGE", "PROMPT_TUNING", "P_TUNING")
"""Methods that put virtual tokens before a text."""

LINEAR_STARTS = ("pissa", "olora", "orthogonal", "mica")
"""Values of `init_lora_weights` that PEFT 0.21 knows for linear layers only."""

_EXCLUDED = MappingProxyType(
    {
        "ADALORA": "it cannot be loaded again where its task has a type (PEFT 0.21); use `lora`",
        "ADAPTION_PROMPT": "it knows only generation with a few decoders; use `prefix`",
        "CPT": "it knows only generation; use `prefix`",
        "GLORA": "some of its weights never get a gradient (PEFT 0.21); use `lora`",
        "MULTITASK_PROMPT_TUNING": "it needs the number of a task in every row; use `prefix`",
        "POLY": "it needs the number of a task in every row; use `lora`",
        "SHADOW": "its layers break the forward of classifiers (PEFT 0.21); use `lora`",
        "TRAINABLE_TOKENS": "it trains single token embeddings, for new words of a generator; use `lora`",
        "XLORA": "it mixes adapters that were trained before; use `lora`",
    }
)
_CONVOLUTIONS = ("LORA", "HIRA", "HRA", "IA3", "LOHA", "LOKR")
"""Methods that adapt convolutions of a ResNet, first one and all; PEFT 0.21, seen by running them."""
_CONV1D = (
    *("LORA", "DEFT", "FOURIERFT", "FROD", "GRALORA", "HIRA", "IA3", "PVERA", "RANDLORA", "TINYLORA", "UNILORA"),
    "VERA",
)
"""Methods that adapt GPT-2's own kind of linear layer."""

_QUANTISED = (
    *("LORA", "IA3", "OFT", "PVERA", "RANDLORA", "ROAD", "VERA"),  # PEFT 0.21 knows how to
    *("BOTTLENECK", "LN_TUNING", *PROMPTS),  # never look at the weights
)
"""Methods that train on a base in 8 or 4 bits; others would take packed bits for numbers, some without an error."""

_ASK_CONVOLUTIONS = ("mobilenet_v1", "mobilenet_v2")
"""Networks of transformers 5.23 that pad by hand, with the stride of the layer that a method would wrap."""


def check_quantised(peft_type: str) -> None:
    """Raise `InputError` where a method does not work on a quantised base."""
    if peft_type not in _QUANTISED:
        hint = f"these do: {', '.join(_QUANTISED)}"
        raise InputError(f"{peft_type.lower()} does not work on a quantised base", hint)


def find_reason(peft_type: str, model: Any, new_layers: Set[str]) -> str | None:
    """Return why a method cannot work on a network; None where it can."""
    if peft_type in _EXCLUDED:
        return _EXCLUDED[peft_type]
    if peft_type in PROMPTS:
        return _find_prompt_reason(peft_type, model)
    if model.config.model_type in _ASK_CONVOLUTIONS and peft_type not in ("BOTTLENECK", "LN_TUNING"):
        cure = "`probe`" if model.config.model_type == "mobilenet_v1" else "`bottleneck` or `probe`"
        return f"PEFT 0.21 hides the stride that this network's padding asks for; use timm's, {cure}"
    if peft_type != "BOTTLENECK" and not _find_layers(peft_type, {}, model, new_layers):
        kinds = "convolutions" if _has(model, torch.nn.Conv2d) else "Conv1D layers"
        return f"it cannot adapt {kinds}, and this network has no others; use `lora`"
    return None


def _find_prompt_reason(peft_type: str, model: Any) -> str | None:
    kind, takes_past = model.config.model_type, peft_type in ("PREFIX_TUNING", "CARTRIDGE")
    if getattr(model, "main_input_name", "") != "input_ids":
        return "it puts tokens before a text; for pictures use `lora`, `bottleneck` or `probe`"
    if kind in ("t5", "mt5", "umt5"):
        return "T5's classifier takes neither past keys and values nor embeddings; use `lora` or `bottleneck`"
    if takes_past and not _takes(model, "past_key_values"):
        if _takes(model, "cache"):  # the name since transformers 5.24, which PEFT 0.21 does not know
            return "PEFT 0.21 cannot give keys and values to this transformers; install 'transformers<5.24'"
        return f"{kind} takes no past keys and values; use PROMPT_TUNING, `lora` or `bottleneck`"
    if not takes_past and hasattr(model, "score"):  # heads of decoders, transformers 5.23
        return f"{kind}'s classifier gets embeddings, cannot see where a text ends, and reads padding; use `prefix`"
    return None


def _takes(model: Any, argument: str) -> bool:
    """Tell whether the forward of a network or of its backbone names an argument, as PEFT asks."""
    return any(argument in inspect.signature(part.forward).parameters for part in (model, model.base_model))


def find_targets(peft_type: str, block: Mapping[str, Any], model: Any, new_layers: Set[str]) -> dict[str, Any]:
    """Return `target_modules`, and what belongs to it, for a block that names none.

    PEFT's own `all-linear` (0.21) finds only the head of a ResNet and hits the head of a ViT. New layers are trained
    whole; depthwise and grouped convolutions are left out, as they take LoRA only where the rank divides the groups.
    """
    blocks, patterns = block.get("layers_to_transform"), block.get("layers_pattern")
    found = _find_layers(peft_type, block, model, new_layers)
    found = [name for name in found if is_in_blocks(name, blocks, patterns)]
    if not found:
        hint = "blocks count from 0; `layers_pattern` names their list"
        raise InputError(f"{blocks!r} stands for no block of this network", hint, at=("layers_to_transform",))
    rest: dict[str, Any] = {} if peft_type != "IA3" or "feedforward_modules" in block else {"feedforward_modules": []}
    return {"target_modules": found, **rest}


def _find_layers(peft_type: str, block: Mapping[str, Any], model: Any, new_layers: Set[str]) -> list[str]:
    if peft_type == "BOTTLENECK":
        found = find_bottleneck_targets(model, block.get("placement", "houlsby"))
    elif peft_type == "LN_TUNING":
        found = [name for name, layer in model.named_modules() if _is_norm(layer)]
    else:
        found = [name for name, layer in model.named_modules() if can_adapt(peft_type, layer)]
    if block.get("init_lora_weights") in LINEAR_STARTS:
        found = [name for name in found if isinstance(model.get_submodule(name), (torch.nn.Linear, Conv1D))]
    return [name for name in found if not is_inside(name, new_layers)]


def can_adapt(peft_type: str, layer: Any) -> bool:
    """Return whether a method has an adapter for this kind of layer."""
    if isinstance(layer, torch.nn.Conv2d):
        return layer.groups == 1 and peft_type in _CONVOLUTIONS
    return isinstance(layer, torch.nn.Linear) or (isinstance(layer, Conv1D) and peft_type in _CONV1D)


def _is_norm(layer: Any) -> bool:
    return "Norm" in type(layer).__name__ and getattr(layer, "weight", None) is not None


def _has(model: Any, kind: type) -> bool:
    return any(isinstance(layer, kind) for layer in model.modules())


def is_inside(name: str, layers: Set[str]) -> bool:
    """Return whether a module is one of these, or a part of one."""
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)
