"""How many bytes an optimiser keeps for the weights that it trains, by its name under `training.optim`."""

from collections.abc import Iterable
from types import MappingProxyType

import torch


_COPIES = MappingProxyType(
    {"sgd": 0, "adagrad": 1, "rmsprop": 1, "lion_32bit": 1, "paged_lion_32bit": 1, "schedule_free_sgd": 1}
    | {"ademamix": 3, "paged_ademamix_32bit": 3}
)
"""Numbers in the weight's own precision for each of its values, without momentum."""

_BYTES = MappingProxyType(
    {"adamw_torch_4bit": 1, "lion_8bit": 1, "paged_lion_8bit": 1, "rmsprop_bnb_8bit": 1}
    | {"adamw_torch_8bit": 2, "adamw_bnb_8bit": 2, "adamw_8bit": 2, "paged_adamw_8bit": 2}
    | {"ademamix_8bit": 3, "paged_ademamix_8bit": 3}
)
"""Bytes for each value, of optimisers that pack their numbers into 4 or 8 bits."""


def count_state_bytes(optimiser: str, optim_args: str | None, weights: Iterable[torch.Tensor]) -> int:
    """Return the bytes of states beside these trained weights; an optimiser that is not known here counts as Adam.

    Adam keeps two means for each value: of its gradients and of their squares. Adafactor keeps for a matrix the means
    of its rows and columns alone (Shazeer and Stern, 2018, arXiv:1804.04235). `optim_args` are the recipe's
    (`momentum=0.9`): with momentum SGD and RMSprop keep one number more.
    """
    options = dict(each.partition("=")[::2] for each in (optim_args or "").replace(" ", "").split(","))
    momentum = optimiser in ("sgd", "rmsprop") and options.get("momentum", "0").strip("0.") != ""
    return sum(_count_one(optimiser, int(momentum), weight) for weight in weights)


def _count_one(optimiser: str, momentum: int, weight: torch.Tensor) -> int:
    if optimiser == "adafactor" and weight.ndim >= 2:
        rows, columns = weight.shape[:-1], (*weight.shape[:-2], weight.shape[-1])
        return 4 * (rows.numel() + torch.Size(columns).numel())
    if optimiser == "adafactor":
        return 4 * weight.numel()
    if optimiser in _BYTES:
        return _BYTES[optimiser] * weight.numel()
    return (_COPIES.get(optimiser, 2) + momentum) * weight.numel() * weight.element_size()
