"""What one word under `peft:` stands for: the fields of a PEFT config, and measured learning rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class MethodWord:
    """One way of tuning with its defaults."""

    block: Mapping[str, Any] | None = None
    """Fields of the PEFT config with its `peft_type`; None where PEFT is not used."""
    learning_rate: float
    """Where `training.learning_rate` is left out."""
    head_learning_rate: float
    """Of new layers, where `training.learning_rate` and `objective.head_learning_rate` are left out."""


WORDS: Mapping[str, MethodWord] = MappingProxyType(
    {
        "full": MethodWord(learning_rate=2e-4, head_learning_rate=5e-3),
        "lora": MethodWord(
            block=MappingProxyType({"peft_type": "LORA", "r": 8, "lora_alpha": 16}),
            learning_rate=1e-3,
            head_learning_rate=5e-3,
        ),
        "prefix": MethodWord(
            block=MappingProxyType({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 16}),
            learning_rate=1e-2,
            head_learning_rate=1e-2,
        ),
        "bottleneck": MethodWord(
            block=MappingProxyType({"peft_type": "BOTTLENECK", "placement": "houlsby", "reduction_factor": 16.0}),
            learning_rate=2e-3,
            head_learning_rate=1e-2,
        ),
        "probe": MethodWord(learning_rate=1e-2, head_learning_rate=1e-2),
    }
)


def get_block(method: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the PEFT config of a word or a block; none for `full` and `probe`."""
    return dict(WORDS[method].block or {}) if isinstance(method, str) else dict(method)


def get_learning_rates(
    method: str | Mapping[str, Any], of_task: Mapping[str, tuple[float, float]] = MappingProxyType({})
) -> tuple[float, float]:
    """Return the default rates of the base or adapter, and of new layers: a word's own, for a block those of its type.

    A type that no word stands for learns at the rates of LoRA. `of_task` are the rates of words that were measured on
    a task, in place of those of the words.
    """
    types = {word.block["peft_type"]: name for name, word in WORDS.items() if word.block}
    name = method if isinstance(method, str) else types.get(str(method.get("peft_type")), "lora")
    return of_task.get(name) or (WORDS[name].learning_rate, WORDS[name].head_learning_rate)
