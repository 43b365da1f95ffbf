"""Layers that stay in evaluation mode, whatever mode the network around them is put into."""

import types
from typing import Any


def stay_in_evaluation(layer: Any) -> None:
    """Put a layer, and not those inside it, into evaluation mode for good.

    The Trainer calls `model.train()` at every step, which undoes a plain `.eval()`.
    """
    layer.training = False
    layer.__dict__["train"] = types.MethodType(_stay, layer)  # in place of the method of the class


def rest_frozen_layers(model: Any) -> None:
    """Keep every layer that has weights of which none trains, with all inside it, in evaluation mode.

    What a probe judges by are the network's features without noise: without the dropout of the layers that made them.
    Dropout that stands beside the head is part of the head and stays.
    """
    for layer in model.modules():
        weights = list(layer.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            for inner in layer.modules():
                stay_in_evaluation(inner)


def _stay(layer: Any, mode: bool = True) -> Any:
    """Take the place of `Module.train` and change nothing."""
    return layer
