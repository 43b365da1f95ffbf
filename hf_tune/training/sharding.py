"""Networks cut over processes by FSDP2 or DeepSpeed: which blocks are cut, and the weights put together again."""

from collections.abc import Iterator
from typing import Any

import torch


def is_sharded(trainer: Any) -> bool:
    """Return whether each process of a Trainer holds a part of the weights alone."""
    return bool(trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)


def choose_blocks(trainer: Any) -> None:
    """Tell FSDP which blocks to cut, where the launcher's config names none.

    accelerate 1.15 takes those that a network must not split: of BERT and ViT they overlap with the embeddings, which
    it cuts as well, and of timm it finds none; both end in a TypeError.
    """
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is not None and not plugin.transformer_cls_names_to_wrap:
        plugin.transformer_cls_names_to_wrap = sorted({type(block).__name__ for block in _find_blocks(trainer.model)})


def _find_blocks(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yield the outermost modules that stand in a list or a sequence: the layers of a network."""
    for child in module.children():
        if isinstance(module, (torch.nn.ModuleList, torch.nn.Sequential)) and not _is_torchs_own(child):
            yield child
        else:
            yield from _find_blocks(child)


def _is_torchs_own(module: torch.nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


def collect_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """Return the whole weights of a sharded network on the CPU; on processes but the first they may be empty."""
    return trainer.accelerator.get_state_dict(trainer.model_wrapped)
