"""The `objective:` block: what is minimised, at which learning rates of which parts, and whose mean is kept."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

from hf_tune.input_error import InputError


_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|stages)\.?(\d+)(?=\.|$)")
"""The number of a block in a name: BERT (`layer.3`), GPT-2 (`h.3`), T5 (`block.3`), ResNet (`layer3`)."""

_FIRST = re.compile(r"embed|wte|wpe|shared|stem|(?:^|\.)(?:conv1|bn1)\.|patch|(?:cls|reg|dist)_token")


@dataclass(frozen=True, kw_only=True)
class Focal:
    """The focal loss (Lin et al. 2017, arXiv:1708.02002): rows that are right already count less."""

    gamma: float = 2.0
    """The loss of a row is multiplied by (1 - p) to this power, p being the probability of its label."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 < self.gamma <= 10:
            raise InputError(f"{self.gamma!r} is out of range", "it must be above 0 and at most 10", at=("gamma",))


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is optimised, and at which rates."""

    class_weights: Literal["balanced"] | Mapping[str, float] | None = None
    """`{label: weight}`, 1 where a label is left out, or `balanced`: as if train had as many rows of each class. Only
    ratios count: the mean over the training rows is 1."""
    focal: Focal | None = None
    """`{gamma: 2.0}`: rows that are right already count less; the task's own loss where it is left out."""
    costs: list[list[float]] | Mapping[str, Mapping[str, float]] | None = None
    """What mistakes cost: a matrix (true by predicted), or `{true: {predicted: cost}}` where others cost 1. Only
    ratios count."""
    loss: str | None = None
    """`module:function` of your own beside the recipe: (logits, labels) → loss of each row; it may take `rows`."""
    head_learning_rate: float | None = None
    """Learning rate of new layers; None: as all others."""
    layer_decay: float | None = None
    """Each block below the last one learns at this multiple of the rate of the one above; with `peft: full`."""
    loraplus_lr_ratio: float | None = None
    """The B factors of LoRA learn at this multiple of the rate of the A factors (LoRA+, arXiv:2402.12354)."""
    decay_norms_and_biases: bool = False
    """Whether `training.weight_decay` shrinks biases and the scales of norms too, as it shrinks all other weights."""
    ema_decay: float | None = None
    """Evaluate and save averages of the weights that keep this share of themselves at each step, such as 0.999."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, most in (("head_learning_rate", 1e3), ("layer_decay", 1.0), ("loraplus_lr_ratio", 1e6)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise InputError(f"{value!r} is out of range", f"it must be above 0 and at most {most:g}", at=(name,))
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise InputError(
                f"{self.ema_decay!r} is out of range", "it must be above 0 and below 1", at=("ema_decay",)
            )
        if self.focal is not None and self.costs is not None:
            raise InputError("`focal` and `costs` exclude each other", "leave one of the two out", at=("focal",))
        if self.loss is None:
            return
        if not all(self.loss.partition(":")):
            raise InputError(
                f"{self.loss!r} is no `module:function`", "name a function beside the recipe", at=("loss",)
            )
        beside = next((name for name in ("class_weights", "focal", "costs") if getattr(self, name) is not None), None)
        if beside is not None:
            raise InputError(
                f"`loss` and `{beside}` exclude each other", "weigh the rows in your function", at=(beside,)
            )

    @property
    def has_rates(self) -> bool:
        """Return whether parts of the network learn at rates of their own."""
        return any((self.head_learning_rate, self.layer_decay, self.loraplus_lr_ratio))

    def list_changes(self) -> dict[str, Any]:
        """Return the keys that are not as they stand in an empty block."""
        return {name: value for name, value in vars(self).items() if value != getattr(type(self), name)}


def find_decaying(names: Iterable[str], model: Any, objective: Objective) -> list[str]:
    """Return the parameters that weight decay shrinks; `names` are those that transformers would let decay.

    transformers 5.23 knows LayerNorm and RMSNorm, and takes scales of BatchNorm and GroupNorm (`bn1.weight`,
    `normalization.weight`) for weights: here, as in timm, nothing of one axis decays.
    """
    sizes = {name: getattr(value, "ds_shape", value.shape) for name, value in model.named_parameters()}
    if objective.decay_norms_and_biases:
        return list(sizes)
    return [name for name in names if len(sizes.get(name, ())) > 1]


def build_optimizer(trainer: Any, model: Any) -> Any:
    """Return the optimiser of a Trainer, with one group of parameters for each rate."""
    decaying = set(trainer.get_decay_parameter_names(model))
    objective, new_layers = trainer.data.objective, trainer.data.new_layers
    groups = group_parameters(model.named_parameters(), decaying, new_layers, objective, trainer.args)
    optimizer_class, kwargs = trainer.get_optimizer_cls_and_kwargs(trainer.args, model)
    return optimizer_class(groups, **kwargs)


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


def check_blocks(objective: Objective, names: Iterable[str]) -> None:
    """Raise where rates are to decay over blocks, and no parameter's name holds the number of one."""
    if objective.layer_decay is not None and not any(_BLOCK.search(name) for name in names):
        problem = "the layers of this network have no numbers that tell which comes first"
        raise InputError(problem, "leave it out", at=("objective", "layer_decay"))


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
