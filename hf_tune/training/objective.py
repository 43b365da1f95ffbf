"""The `objective:` block: learning rates that differ between the parts of a network."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from hf_tune.input_error import InputError


_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|stages)\.?(\d+)(?=\.|$)")
"""The number of a block in a name: BERT (`layer.3`), GPT-2 (`h.3`), T5 (`block.3`), ResNet (`layer3`)."""

_FIRST = re.compile(r"embed|wte|wpe|shared|stem|(?:^|\.)(?:conv1|bn1)\.|patch|(?:cls|reg|dist)_token")


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is optimised, and at which rates."""

    head_learning_rate: float | None = None
    """Learning rate of new layers; None: as all others."""
    layer_decay: float | None = None
    """Each block below the last one learns at this multiple of the rate of the one above; with `peft: full`."""
    loraplus_lr_ratio: float | None = None
    """The B factors of LoRA learn at this multiple of the rate of the A factors (LoRA+, arXiv:2402.12354)."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, most in (("head_learning_rate", 1e3), ("layer_decay", 1.0), ("loraplus_lr_ratio", 1e6)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise InputError(f"{value!r} is out of range", f"it must be above 0 and at most {most:g}", at=(name,))


def group_parameters(
    parameters: Iterable[tuple[str, Any]],
    decaying: Set[str],
    new_layers: Set[str],
    objective: Objective,
    arguments: Any,
) -> list[dict[str, Any]]:
    """Return parameter groups with `lr` and `weight_decay` for an optimiser; what does not train is left out.

    `decaying` are the parameters that decay (no norms, no biases); `arguments` are `TrainingArguments`.
    """
    trained = [(name, value) for name, value in parameters if value.requires_grad]
    depths = _depths(name for name, _ in trained)
    deepest = max(depths.values(), default=0)
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, value in trained:
        rate = arguments.learning_rate
        plain = name.replace(".modules_to_save.default", "")  # where PEFT keeps the copy that trains
        if any(f".{layer}." in f".{plain}" for layer in new_layers):
            rate = objective.head_learning_rate or rate
        else:
            rate *= (objective.layer_decay or 1.0) ** (deepest - depths[name])
            rate *= (objective.loraplus_lr_ratio or 1.0) if "lora_B" in name else 1.0
        decay = arguments.weight_decay if name in decaying else 0.0
        groups.setdefault((rate, decay), []).append(value)
    return [{"params": values, "lr": rate, "weight_decay": decay} for (rate, decay), values in groups.items()]


def resolve_objective(
    objective: Objective | None, training: Mapping[str, Any], rates: tuple[float, float]
) -> tuple[Objective, dict[str, Any]]:
    """Return the objective and the `training:` block with the method's measured rates where none is written."""
    found = objective or Objective()
    if "learning_rate" in training:
        return found, dict(training)
    head = found.head_learning_rate or rates[1]
    return replace(found, head_learning_rate=head), {**training, "learning_rate": rates[0]}


def _depths(names: Iterable[str]) -> dict[str, int]:
    """Return the block of each parameter: 0 before the first, then 1, 2 …; what follows the last counts with it."""
    found = {name: _BLOCK.search(name) for name in names}
    numbers = {name: int(match.group(1)) for name, match in found.items() if match}
    first, last = min(numbers.values(), default=0), max(numbers.values(), default=-1)  # timm's ResNets count from 1
    outside = {name: 0 if _FIRST.search(name) else last - first + 1 for name in found}
    return {**outside, **{name: number - first + 1 for name, number in numbers.items()}}
