"""What monitoring compares with later: features, certainty and input statistics of validation rows, no raw inputs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hf_tune.task import Batch


MAX_ROWS = 2000


@torch.inference_mode()
def read_features(model: Any, cut: str, batches: Any, to_inputs: Callable[[Batch], Batch]) -> np.ndarray:
    """Return the input of the module named `cut` for every row of the batches: float32, shape (rows, features)."""
    features: list[torch.Tensor] = []
    handle = model.get_submodule(cut).register_forward_pre_hook(
        lambda module, inputs: features.append(inputs[0].detach().float().flatten(1).cpu())
    )
    device = next(model.parameters()).device
    model.eval()
    try:
        for batch in batches:
            model(**to_inputs({name: value.to(device) for name, value in batch.items()}))
    finally:
        handle.remove()
    return torch.cat(features).numpy()


def build_reference(
    features: np.ndarray, log_probabilities: np.ndarray | None, statistics: list[Mapping[str, float]]
) -> dict[str, Any]:
    """Return the columns of reference.parquet; all arguments have one entry per row."""
    columns: dict[str, Any] = {"row": np.arange(len(features)), "features": features.astype(np.float32)}
    if log_probabilities is not None:
        probabilities = np.exp(log_probabilities.astype(np.float64))
        columns["top_score"] = probabilities.max(1)
        columns["entropy"] = -(probabilities * log_probabilities).sum(1)
    for name in statistics[0]:
        columns[name] = np.asarray([each[name] for each in statistics])
    return columns
