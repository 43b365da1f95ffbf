"""Bases in 8 or 4 bits: the config of the library that quantises them while they are loaded, and what stays in floats.

Seen on a CPU: 8 bits of bitsandbytes 0.50 and of torchao 0.18 train, and load back to the same outputs.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from hf_tune.input_error import InputError
from hf_tune.task import LoadedModel


LEFT_OUT = MappingProxyType({"bitsandbytes": "llm_int8_skip_modules", "torchao": "modules_to_not_convert"})
"""`quant_method` → its argument for layers that stay in floats."""


def resolve_quantization(block: Mapping[str, Any] | None, outline: LoadedModel) -> dict[str, Any] | None:
    """Return a `quantization_config:` block with every layer that must stay in floats; None where there is no block.

    Heads and poolers do: the checkpoint may not hold them, and they are trained. Raises `InputError` for a network
    that has no other linear layer.
    """
    if block is None:
        return None
    model, argument = outline.model, LEFT_OUT[block["quant_method"]]
    prefix = model.base_model_prefix
    linear = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    heads = {name.partition(".")[0] for name in linear if hasattr(model, prefix)} - {prefix}
    poolers = {name for name, _ in model.named_modules() if name.endswith("pooler")}
    left_out = sorted(heads | poolers | outline.new_layers | set(block.get(argument) or ()))
    if all(f"{name}.".startswith(tuple(f"{each}." for each in left_out)) for name in linear):
        problem = f"{type(model).__name__} has no linear layer that could be quantised"
        raise InputError(problem, "leave it out", at=("quantization_config",))
    return {**block, argument: left_out}


def build_load_arguments(block: Mapping[str, Any] | None, device: str | torch.device | None = None) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` that a resolved block stands for.

    `device` None: where this process trains. Raises `InputError` where the library is not installed or refuses.
    """
    if block is None:
        return {}
    _check_sharding(block)
    _check_device(block, device)
    arguments = {name: value for name, value in block.items() if name != "quant_method"}
    try:
        config = _build_torchao(arguments) if block["quant_method"] == "torchao" else _build_bitsandbytes(arguments)
    except ImportError as error:
        at = ("quantization_config", "quant_method")
        raise InputError(f"{error}", "pip install 'hf_tune[quantization]'", at=at) from None
    except (TypeError, ValueError) as error:
        raise InputError(f"refused: {error}", "see its documentation", at=("quantization_config",)) from None
    return {"quantization_config": config, "device_map": {"": _find_device(device)}}


def count_saved_bytes(model: Any, block: Mapping[str, Any] | None) -> int:
    """Return the bytes that a quantised base, with its adapter around it, will do without."""
    if block is None:
        return 0
    left_out = tuple(f"{each}." for each in block[LEFT_OUT[block["quant_method"]]])
    saved = 0
    for name, layer in model.named_modules():
        plain = name.removeprefix("base_model.model.").removesuffix(".base_layer")
        if isinstance(layer, torch.nn.Linear) and not f"{plain}.".startswith(left_out):
            weight = layer.weight
            packed = weight.numel() // (2 if block.get("load_in_4bit") else 1)
            saved += 0 if weight.requires_grad else weight.numel() * weight.element_size() - packed
    return saved


def forget_quantization(config: Any) -> None:
    """Take the quantisation out of a config that says how a float checkpoint was loaded.

    transformers 5.23 takes a saved config with one for that of a checkpoint stored quantised: it then loads the float
    weights as they are, without a word (bitsandbytes), or fails (torchao).
    """
    if hasattr(config, "quantization_config"):
        del config.quantization_config


def is_quantised(model: Any) -> bool:
    """Return whether a network, or the base under its adapter, is quantised."""
    return any(getattr(part, "is_quantized", False) for part in model.modules())


def cast_to_float32(model: Any) -> None:
    """Cast what is stored in floats to float32, and leave what is quantised as it is."""
    if not is_quantised(model):
        model.float()
        return
    for value in (*model.parameters(), *model.buffers()):
        if value.dtype in (torch.float16, torch.bfloat16) and type(value) in (torch.nn.Parameter, torch.Tensor):
            value.data = value.data.float()


def _build_bitsandbytes(arguments: Mapping[str, Any]) -> Any:
    import bitsandbytes  # noqa: F401  transformers 5.23 would notice only later, with a longer story
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**arguments)


def _build_torchao(arguments: Mapping[str, Any]) -> Any:
    import torchao.quantization
    from transformers import TorchAoConfig

    quant_type = getattr(torchao.quantization, arguments["quant_type"])()
    return TorchAoConfig(**{**arguments, "quant_type": quant_type})


def _find_device(device: str | torch.device | None) -> str:
    """Return the device of this process where none is given: a base is quantised as it reaches its device."""
    own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    return own if device is None else str(device)


def _check_device(block: Mapping[str, Any], device: str | torch.device | None) -> None:
    """Raise for 4 bits on a CPU.

    With AVX512-BF16 bitsandbytes 0.50 packs the weights anew at every evaluation, and undoes that wrongly for a
    state_dict: outputs of 3.5 at most then differ by 0.66.
    """
    if block.get("load_in_4bit") and _find_device(device) == "cpu":
        hint = "run it on a GPU, or write `quantization_config: {quant_method: bitsandbytes, load_in_8bit: true}`"
        problem = "4 bits need a GPU: on a CPU bitsandbytes loses weights when they are saved"
        raise InputError(problem, hint, at=("quantization_config", "load_in_4bit"))


def _check_sharding(block: Mapping[str, Any]) -> None:
    """Raise where DeepSpeed would cut quantised weights into pieces."""
    if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3":
        problem = f"{block['quant_method']}'s weights cannot be sharded by DeepSpeed's ZeRO stage 3"
        raise InputError(problem, "use stage 2, or leave it out", at=("quantization_config",))
