"""Estimate what a training step needs, from a model on the meta device: no weight and no memory is touched."""

from collections.abc import Mapping
from typing import Any

import torch


@torch.no_grad()
def estimate_memory_bytes(model: Any, inputs: Mapping[str, torch.Tensor], batch_size: int) -> tuple[int, bool]:
    """Return weights, gradients, two optimiser states and the activations of one batch, in bytes of float32.

    Activations are the outputs of all layers: an upper bound where the base is frozen. `inputs` holds one row. The
    second value is False where activations could not be counted: the network looks at the values of its inputs.
    """
    weights = sum(value.numel() * value.element_size() for value in model.parameters())
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    outputs: list[int] = []

    def note(layer: Any, arguments: Any, output: Any) -> None:
        outputs.extend(each.numel() for each in [output] if isinstance(each, torch.Tensor))

    leaves = [layer for layer in model.modules() if not list(layer.children())]
    handles = [layer.register_forward_hook(note) for layer in leaves]
    training = model.training
    model.eval()
    counted = True
    try:
        model(**{name: value.to("meta") for name, value in inputs.items() if name != "attention_mask"})
    except (RuntimeError, NotImplementedError):  # what torch 2.15 raises where a meta tensor is read
        counted = False
        outputs.clear()
    model.train(training)
    for handle in handles:
        handle.remove()
    return weights + trained * 12 + sum(outputs) * 4 * batch_size, counted
