"""How far train and validation part at the step that a run saves."""

from collections.abc import Mapping, Sequence
from typing import Any


def describe_fit(history: Sequence[Mapping[str, Any]], saved_step: int | None) -> dict[str, Any] | None:
    """Return the scores of train and validation at the saved step; None where they were not both logged there.

    `history` are the Trainer's log events; `saved_step` None: the last one. Scores of train are means over the batches
    since the evaluation before, as they were trained on.
    """
    entries = [entry for entry in history if "eval_loss" in entry and "train_mean_loss" in entry]
    if saved_step:
        entries = [entry for entry in entries if entry["step"] == saved_step]
    if not entries:
        return None
    last = entries[-1]
    names = [name.removeprefix("train_") for name in last if name.startswith("train_")]
    pairs = {name: (last[f"train_{name}"], last[f"eval_{name}"]) for name in names if f"eval_{name}" in last}
    pairs = {"loss": (last["train_mean_loss"], last["eval_loss"]), **pairs}
    seen = [entry for entry in history if "eval_loss" in entry and entry["step"] <= last["step"]]
    lowest = min(seen, key=lambda entry: entry["eval_loss"])
    return {
        "step": last["step"],
        "lowest": {"step": lowest["step"], "loss": lowest["eval_loss"]},
        "train": {name: train for name, (train, _) in pairs.items()},
        "validation": {name: validation for name, (_, validation) in pairs.items()},
    }
