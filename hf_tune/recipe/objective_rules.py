"""What a recipe may say of its objective; each function is named as the sentence that it enforces."""

from collections.abc import Iterator, Mapping
from typing import Any

from hf_tune.adapter.method_words import WORDS, get_block
from hf_tune.recipe.source import KeyPath
from hf_tune.task import Task


def rates_of_layers_need_such_layers(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield a rate of layers that the method does not train."""
    objective, peft = values.get("objective") or {}, values.get("peft")
    if objective.get("layer_decay") is not None and peft not in ("full", None):
        yield ("objective", "layer_decay"), "only `peft: full` trains the layers of the base", "leave it out"
    block = peft if isinstance(peft, Mapping) else get_block(peft) if isinstance(peft, str) and peft in WORDS else {}
    if objective.get("loraplus_lr_ratio") is not None and block.get("peft_type") != "LORA":
        yield ("objective", "loraplus_lr_ratio"), "only LoRA has A and B factors", "leave it out"


def a_loss_of_ones_own_smooths_its_labels_itself(
    values: Mapping[str, Any], task: Task
) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield label smoothing beside a loss that knows nothing of it."""
    objective, training = values.get("objective") or {}, values.get("training") or {}
    if objective.get("loss") is not None and training.get("label_smoothing_factor"):
        problem = "`objective.loss` gets the labels as they are"
        yield ("training", "label_smoothing_factor"), problem, "smooth them in your function"


OBJECTIVE_RULES = (
    rates_of_layers_need_such_layers,
    a_loss_of_ones_own_smooths_its_labels_itself,
)
