"""What monitoring compares with later: features, certainty and input statistics of validation rows, no raw inputs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hf_tune.task import Batch, Kept


MAX_ROWS = 2000


@torch.inference_mode()
def read_features(model: Any, cut: str, batches: Any, to_inputs: Callable[[Batch], Batch]) -> np.ndarray:
    """Return the input of the module named `cut` for every row of the batches: float32, shape (rows, features).

    Where a row comes there in several parts, such as the tiles of a picture, it is their mean.
    """
    features: list[torch.Tensor] = []
    seen: list[torch.Tensor] = []
    handle = model.get_submodule(cut).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    device = next(model.parameters()).device
    model.eval()
    try:
        for batch in batches:
            seen.clear()
            model(**to_inputs({name: value.to(device) for name, value in batch.items()}))
            pooled = _pool(seen[-1].float(), batch.get("attention_mask"))
            rows = len(next(iter(batch.values())))
            features.append(pooled.unflatten(0, (rows, -1)).mean(1).cpu())
    finally:
        handle.remove()
    return torch.cat(features).numpy()


def _pool(features: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """Return one vector per row: where a head judges every token, that of the last one, as decoders read it.

    Prompts stand before the tokens, padding behind them.
    """
    if features.ndim != 3 or attention_mask is None:
        return features.flatten(1)
    padding = attention_mask.shape[1] - attention_mask.sum(1).to(features.device)
    return features[torch.arange(len(features), device=features.device), features.shape[1] - 1 - padding]


def build_reference(features: np.ndarray, kept: Kept, statistics: list[Mapping[str, float]]) -> dict[str, Any]:
    """Return the columns of reference.parquet, one entry per row of features; certainty only where rows have a class.

    `kept` may hold more rows, of which the first are those of the features.
    """
    columns: dict[str, Any] = {"row": np.arange(len(features)), "features": features.astype(np.float32)}
    if "entropy" in kept:
        columns["top_score"] = np.exp(kept["top_log_probabilities"][: len(features), 0].astype(np.float64))
        columns["entropy"] = kept["entropy"][: len(features)].astype(np.float64)
    for name in statistics[0]:
        columns[name] = np.asarray([each[name] for each in statistics])
    return columns
