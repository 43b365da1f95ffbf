"""Which layers of a loaded model are new: found by comparing shapes and keys, never by a list of names."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch


NEW_HEAD_STD = 1e-3


def find_label_parameters(build: Callable[[Any], Any], config: Any) -> set[str]:
    """Return the parameters whose shape depends on the number of labels.

    `build` makes the model of a config; it is called under the meta device with one label more.
    """
    wider = copy.deepcopy(config)
    count = config.num_labels + 1
    wider.id2label = {number: str(number) for number in range(count)}
    wider.label2id = {str(number): number for number in range(count)}
    with torch.device("meta"):
        shapes = [{name: value.shape for name, value in build(each).named_parameters()} for each in (config, wider)]
    return {name for name, shape in shapes[0].items() if shapes[1].get(name) != shape}


def name_layers(parameters: Iterable[str]) -> frozenset[str]:
    """Return the modules that own these parameters."""
    return frozenset(name.rpartition(".")[0] for name in parameters)


@torch.no_grad()
def start_near_zero(model: Any, parameters: Iterable[str]) -> None:
    """Give a new head small weights and no bias, so that the first loss is that of guessing.

    timm 1.0.31 starts a two-class head of mobilenetv2_100 with weights of 0.7: first losses of 2 to 8 instead of 0.69.
    """
    for name in parameters:
        parameter = model.get_parameter(name)
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=NEW_HEAD_STD)
        else:
            torch.nn.init.zeros_(parameter)


@torch.no_grad()
def centre_head(model: Any, value: float) -> None:
    """Let a head with one output start at `value`: a bias that starts at 0 would spend the run on its way there.

    The head of a decoder (GPT-2, Llama) has no bias and stays as it is, and so does one that was trained before.
    """
    head = model.get_submodule(find_head(model, 1))
    if head.bias is not None and not head.bias.any():
        head.bias.fill_(value)


def find_head(model: Any, num_labels: int) -> str:
    """Return the name of the last layer with one output per label: its input are the features that it judges by."""
    names = ("out_features", "out_channels")  # some of timm's heads are convolutions
    sizes = ((name, [getattr(layer, each, None) for each in names]) for name, layer in model.named_modules())
    return [name for name, size in sizes if num_labels in size][-1]
