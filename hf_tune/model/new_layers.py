"""Which layers of a loaded model are new: found by comparing shapes and keys, never by a list of names."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch

from hf_tune.input_error import InputError


NEW_HEAD_STD = 1e-3


class HiddenLayers(torch.nn.Sequential):
    """A head with hidden layers, the last of which has one output per label."""


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


def find_head_parameters(model: Any, of_labels: set[str]) -> set[str]:
    """Return the parameters of the head, hidden layers too, from those whose shape depends on the number of labels."""
    hidden = [name for name, layer in model.named_modules() if isinstance(layer, HiddenLayers)]
    inside = {name for name, _ in model.named_parameters() if name.startswith(tuple(f"{each}." for each in hidden))}
    if hidden and not of_labels <= inside:
        strange = ", ".join(sorted(of_labels - inside))
        raise InputError(f"this network has a second head: {strange}", "leave it out", at=("head",))
    return of_labels | inside


@torch.no_grad()
def start_head(model: Any, parameters: Iterable[str]) -> None:
    """Give new layers of a head the values that they start with: the last near zero, hidden ones torch's own.

    They are drawn in the order of their names: that of a set differs from process to process.
    """
    heads = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, HiddenLayers)]
    hidden = {f"{name}.{number}" for name, head in heads for number in range(len(head) - 1)}
    new = sorted(parameters)
    inside = [name for name in new if name.rpartition(".")[0] in hidden]
    for layer in sorted(name_layers(inside)):
        model.get_submodule(layer).reset_parameters()
    start_near_zero(model, [name for name in new if name not in inside])


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
    head: Any = model.get_submodule(find_head(model, 1))
    head = head[-1] if isinstance(head, HiddenLayers) else head
    if head.bias is not None and not head.bias.any():
        head.bias.fill_(value)


def find_head(model: Any, num_labels: int) -> str:
    """Return the name of the head: the last layer with one output per label, or all layers of a head with hidden ones.

    Its input are the features that it judges by.
    """
    hidden = [name for name, layer in model.named_modules() if isinstance(layer, HiddenLayers)]
    if hidden:
        return hidden[-1]
    names = ("out_features", "out_channels")  # some of timm's heads are convolutions
    sizes = ((name, [getattr(layer, each, None) for each in names]) for name, layer in model.named_modules())
    return [name for name, size in sizes if num_labels in size][-1]
