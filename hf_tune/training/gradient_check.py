"""Stop a run whose trainable weights do not learn: in the first two steps each must have a finite gradient."""

from typing import Any

import torch
from transformers import TrainerCallback

from hf_tune.input_error import InputError


_BEFORE_ANY_STEP = (
    "no weight has moved yet, so that the network itself overflows: train in float32 (`model.dtype`, no `bf16`), "
    "look for inputs that are not finite or far too large, or take another method under `peft:`"
)
_AFTER_A_STEP = "lower `learning_rate`, add `warmup_steps`, or train in float32"


class GradientCheck(TrainerCallback):
    """Looks at every trainable tensor before the first two optimiser steps."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        """Raise `InputError` with the names of the tensors that get no gradient, or none that is finite."""
        if state.global_step >= 2 or args.fp16:  # fp16 finds its loss scale by trying steps that overflow
            return
        trainable = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        absent = [name for name, value in trainable if value.grad is None]
        if absent:
            hint = "is the layer used in the forward pass? Leave it out of `target_modules` or `modules_to_save`"
            raise InputError(f"no gradient reaches {_list(absent)}", hint)
        broken = [name for name, value in trainable if not torch.isfinite(value.grad).all()]
        if broken:
            hint = _BEFORE_ANY_STEP if state.global_step == 0 else _AFTER_A_STEP
            raise InputError(f"step {state.global_step + 1}: the gradient of {_list(broken)} is not finite", hint)


def _list(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
