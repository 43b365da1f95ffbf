"""Which layers LoRA adapts: every Linear and every ungrouped convolution of the base."""

import re
from collections.abc import Mapping, Set
from typing import Any

import torch

from hf_tune.input_error import InputError


def find_lora_targets(model: Any, new_layers: Set[str]) -> list[str]:
    """Return the names of the layers to adapt.

    PEFT's own `all-linear` (0.21) finds only the head of a ResNet and hits the head of a ViT. New layers are trained
    whole; depthwise and grouped convolutions are left out, as they take LoRA only where the rank divides the groups.
    """
    return [name for name, layer in model.named_modules() if _can_adapt(layer) and not _is_inside(name, new_layers)]


def check_targets(model: Any, block: Mapping[str, Any], new_layers: Set[str]) -> None:
    """Raise `InputError` where the `target_modules` of a block match no layer, or only new ones."""
    wanted = block.get("target_modules")
    if wanted is None or wanted == "all-linear":
        return
    names = [name for name, _ in model.named_modules() if name and not _is_inside(name, new_layers)]
    for item in [wanted] if isinstance(wanted, str) else wanted:
        if isinstance(wanted, str):
            found = any(re.fullmatch(item, name) for name in names)
        else:
            found = any(name == item or name.endswith(f".{item}") for name in names)
        if not found:
            ends = sorted({name.rpartition(".")[2] for name in find_lora_targets(model, new_layers)})
            raise InputError(f"{item!r} matches no layer", f"layers end in: {', '.join(ends)}", at=("target_modules",))


def _can_adapt(layer: Any) -> bool:
    return isinstance(layer, torch.nn.Linear) or (isinstance(layer, torch.nn.Conv2d) and layer.groups == 1)


def _is_inside(name: str, layers: Set[str]) -> bool:
    return any(name == layer or name.startswith(f"{layer}.") for layer in layers)
