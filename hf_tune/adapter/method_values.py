"""Values in a PEFT config that cannot work on a network, each told in a sentence before PEFT sees them."""

import re
from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from hf_tune.adapter.method_targets import LINEAR_STARTS, can_adapt, is_inside
from hf_tune.input_error import InputError


_STARTS = ("gaussian", *LINEAR_STARTS)
_NO_START = MappingProxyType(
    {
        **dict.fromkeys(
            ("eva", "corda", "lora_ga"),
            "PEFT starts it from a pass over the data, which hf_tune does not make; use `pissa` or `olora`",
        ),
        "loftq": "it quantises the base in its own way, on a GPU only; use `model.quantization_config`",
    }
)
"""Values of `init_lora_weights` that PEFT 0.21 takes and then starts at random, or fails on."""
FROM_WEIGHTS = ("pissa", "olora", "mica")
"""Values that are computed from the weights of the base, and again when the adapter is loaded."""


def check_values(block: Mapping[str, Any], model: Any, new_layers: Set[str]) -> None:
    """Raise `InputError` for targets that match nothing, a rank that is too large, or a start that cannot be made.

    `block` are the fields of a PEFT config, its targets still as the recipe has them.
    """
    layers = [(name, layer) for name, layer in model.named_modules() if name and not is_inside(name, new_layers)]
    _check_targets(block, layers)
    _check_whole(block.get("modules_to_save") or (), [*layers, *((name, None) for name in new_layers)])
    _check_rank(block, layers)
    _check_patterns(block, model)
    _check_start(block, model)


def _find_targets(wanted: Any, layers: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the layers that a regular expression, or one of a list of names, matches as PEFT does."""
    if not isinstance(wanted, str):
        return [each for each in layers if any(f".{each[0]}".endswith(f".{item}") for item in wanted)]
    pattern = _compile(wanted, "target_modules")
    return [each for each in layers if pattern.fullmatch(each[0])]


def _check_targets(block: Mapping[str, Any], layers: list[tuple[str, Any]]) -> None:
    wanted = block.get("target_modules")
    if wanted is None or wanted == "all-linear":
        return
    for item in [wanted] if isinstance(wanted, str) else wanted:
        found = _find_targets(wanted if isinstance(wanted, str) else [item], layers)
        if not found:
            ends = sorted({name.rpartition(".")[2] for name, layer in layers if can_adapt("LORA", layer)})
            raise InputError(f"{item!r} matches no layer", f"layers end in: {', '.join(ends)}", at=("target_modules",))
        _check_groups(item, found, block.get("r"))


def _check_groups(item: str, found: Iterable[tuple[str, Any]], rank: Any) -> None:
    for name, layer in found:
        groups = getattr(layer, "groups", 1)
        if groups > 1 and isinstance(rank, int) and rank % groups:
            problem = f"{item!r} matches {name}, a convolution of {groups} groups, which do not divide the rank {rank}"
            raise InputError(problem, "leave depthwise convolutions out", at=("target_modules",))


def _check_whole(wanted: Iterable[str], layers: list[tuple[str, Any]]) -> None:
    for item in wanted:
        if not _find_targets([item], layers):
            raise InputError(f"{item!r} matches no layer", "name a layer of this network", at=("modules_to_save",))


def _check_rank(block: Mapping[str, Any], layers: list[tuple[str, Any]]) -> None:
    """Raise where the rank is larger than every layer that it adapts."""
    rank, wanted = block.get("r"), block.get("target_modules")
    if not isinstance(rank, int):
        return
    found = [each for each in layers if can_adapt("LORA", each[1])]
    if wanted is not None and wanted != "all-linear":
        found = _find_targets(wanted, layers)
    weights = [layer.weight for _, layer in found if hasattr(layer, "weight")]
    largest = max((min(weight.shape[0], weight[0].numel()) for weight in weights), default=rank)
    if rank > largest:
        problem = f"rank {rank} is larger than every layer that it adapts: the largest takes {largest}"
        raise InputError(problem, "give a smaller one", at=("r",))


def _check_patterns(block: Mapping[str, Any], model: Any) -> None:
    """Raise where a key of a pattern, or a parameter, is found nowhere; PEFT 0.21 warns at most."""
    names = [name for name, _ in model.named_modules()]
    for field in ("rank_pattern", "alpha_pattern"):
        for item in block.get(field) or {}:
            if not any(re.fullmatch(rf"(?:.*\.)?{_compile(item, field).pattern}", name) for name in names):
                raise InputError(f"{item!r} matches no layer", "name a layer of this network", at=(field, item))
    parameters = [name for name, _ in model.named_parameters()]
    for item in block.get("target_parameters") or ():
        if not any(f".{name}".endswith(f".{item}") for name in parameters):
            hint = "name a parameter of this network"
            raise InputError(f"{item!r} matches no parameter", hint, at=("target_parameters",))


def _compile(pattern: str, field: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"{pattern!r} is no regular expression: {error}", at=(field,)) from None


def _check_start(block: Mapping[str, Any], model: Any) -> None:
    start, at = block.get("init_lora_weights"), ("init_lora_weights",)
    if isinstance(start, str) and start in _NO_START:
        raise InputError(f"{start!r} cannot be had here: {_NO_START[start]}", at=at)
    if isinstance(start, str) and start.startswith("pissa_niter_"):
        problem = f"{start!r} draws its decomposition at random, and cannot be loaded again to the same outputs"
        raise InputError(problem, "use `pissa`", at=at)
    if isinstance(start, str) and start not in _STARTS:
        raise InputError(f"{start!r} is no start of LoRA", f"true, false, {', '.join(_STARTS)}", at=at)
    kinds = {type(layer) for layer in model.modules()}
    if start in LINEAR_STARTS and torch.nn.Linear not in kinds and Conv1D not in kinds:
        raise InputError(f"{start!r} starts linear layers only, and this network has none", "leave it out", at=at)
    if start == "olora" and Conv1D in kinds:
        raise InputError("'olora' cannot start Conv1D layers (PEFT 0.21)", "use `pissa`", at=at)
    if start in FROM_WEIGHTS and model.dtype != torch.float32:
        problem = f"{start!r} rounds the base off in half precision, and cannot be loaded again to the same outputs"
        raise InputError(problem, "leave `model.dtype` out", at=at)
