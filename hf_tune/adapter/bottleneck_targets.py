"""Which layers get a bottleneck adapter: the last of every attention and feed-forward part, or of every block."""

import re
from collections.abc import Iterable
from typing import Any

from hf_tune.input_error import InputError


_ATTENTION = re.compile(
    r".*(?:attention\.output\.dense|(?<!bottleneck\.)attention\.(?:out_lin|o_proj|out_proj|dense|attn\.o)"
    r"|attn\.(?:c_proj|o_proj|out_proj|proj|dense)|(?:SelfAttention|EncDecAttention)\.o)"
)
_FEED_FORWARD = re.compile(
    r".*(?:(?<!attention\.)output\.dense|ffn\.lin2|ffn_output|mlp\.(?:c_proj|down_proj|fc2|dense_4h_to_h)"
    r"|DenseReluDense\.wo|pwconv2|layers\.\d+\.fc2)"
)
_LAST_OF_BLOCK = re.compile(r".*(?:conv_pwl|reduce_1x1\.convolution)")
_NUMBERED = (re.compile(r"(.*layer\d+\.\d+)\.conv(\d)"), re.compile(r"(.*layers\.\d+\.layer)\.(\d+)\.convolution"))
"""Convolutions of a residual block, of timm's and transformers' ResNets: the one with the highest number is last."""


def find_bottleneck_targets(model: Any, placement: str) -> list[str]:
    """Return the full names of the layers after which an adapter goes.

    `houlsby` is after attention and feed-forward, `pfeiffer` after feed-forward only. In a convolutional network both
    are after the last convolution of each block. Raises `InputError` where the architecture has no such layer.
    """
    leaves = (name for name, layer in model.named_modules() if name and not list(layer.children()))
    names = [name.removesuffix(".base_layer") for name in leaves]  # where another adapter wraps the layer already
    found = [name for name in names if _FEED_FORWARD.fullmatch(name)]
    attention = [name for name in names if _ATTENTION.fullmatch(name)]
    if bool(found) != bool(attention) and any("Attention" in type(layer).__name__ for layer in model.modules()):
        found = []  # half of the blocks' parts are called otherwise: a rule that finds the rest would be no Houlsby
    elif placement == "houlsby":
        found += attention
    found = found or [*(name for name in names if _LAST_OF_BLOCK.fullmatch(name)), *_find_last(names)]
    if not found:
        hint = "give `target_modules`: the names of the layers after which an adapter goes"
        problem = f"no rule says where {type(model).__name__} takes bottleneck adapters"
        raise InputError(problem, hint, at=("target_modules",))
    return sorted(found)


def _find_last(names: Iterable[str]) -> list[str]:
    last: dict[str, tuple[int, str]] = {}
    for name in names:
        for pattern in _NUMBERED:
            match = pattern.fullmatch(name)
            if match:
                last[match.group(1)] = max(last.get(match.group(1), (-1, "")), (int(match.group(2)), name))
    return [name for _, name in last.values()]
