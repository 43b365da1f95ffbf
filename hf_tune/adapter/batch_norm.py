"""Running statistics of BatchNorm: kept where they are while the rest trains, or taken over all processes."""

from typing import Any

from torch.nn.modules.batchnorm import _NormBase

from hf_tune.adapter.frozen_layers import stay_in_evaluation
from hf_tune.input_error import InputError


def find_batch_norms(model: Any) -> list[str]:
    """Return the names of the layers that hold running statistics."""
    layers = model.named_modules()
    return [name for name, layer in layers if isinstance(layer, _NormBase) and layer.track_running_stats]


def freeze_batch_norms(model: Any) -> None:
    """Keep these layers in evaluation mode, whatever mode the model is put into.

    Statistics that move while an adapter trains are in no adapter file, so the reloaded model would be another one
    (PEFT 0.21).
    """
    for layer in model.modules():
        if isinstance(layer, _NormBase) and layer.track_running_stats:
            stay_in_evaluation(layer)


def has_moving_statistics(model: Any) -> bool:
    """Return whether training moves the running statistics of a layer."""
    layers = (model.get_submodule(name) for name in find_batch_norms(model))
    return any("train" not in layer.__dict__ for layer in layers)


def synchronise_batch_norms(model: Any, device_type: str) -> Any:
    """Return the model with layers that normalise by the rows of all processes together.

    Raises `InputError` away from CUDA, where torch 2.15 has no such layer.
    """
    from timm.layers import convert_sync_batchnorm  # torch's own loses the activation in timm's layers

    if device_type != "cuda":
        problem = f"SyncBatchNorm works on CUDA devices alone, and this run is on {device_type}"
        raise InputError(problem, "write `batch_norm: trained`", at=("batch_norm",))
    return convert_sync_batchnorm(model)
