"""Weights that do not learn stop the run with their name."""

from types import SimpleNamespace

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.training.gradient_check import GradientCheck


def look(model: torch.nn.Module, step: int = 0, fp16: bool = False) -> None:
    GradientCheck().on_pre_optimizer_step(SimpleNamespace(fp16=fp16), SimpleNamespace(global_step=step), None, model)


def test_an_unused_layer_and_a_broken_gradient_are_named() -> None:
    model = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 2), "unused": torch.nn.Linear(2, 2)})
    model["used"](torch.ones(1, 2)).sum().backward()
    with pytest.raises(InputError, match=r"no gradient reaches unused\.weight, unused\.bias"):
        look(model)
    model["unused"].requires_grad_(False)
    look(model)
    model["used"].weight.grad[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"step 2: the gradient of used\.weight is not finite"):
        look(model, step=1)
    look(model, step=2)
    look(model, fp16=True)


def test_before_any_step_a_lower_rate_is_no_cure() -> None:
    """Found: "lower learning_rate" at step 1, where no weight had moved yet and the inputs overflowed."""
    model = torch.nn.Linear(2, 2)
    (model(torch.ones(1, 2)).sum() * float("inf")).backward()
    with pytest.raises(InputError, match=r"step 1: .*no weight has moved yet") as caught:
        look(model, step=0)
    assert "learning_rate" not in caught.value.hint
    with pytest.raises(InputError, match=r"step 2: .*lower `learning_rate`"):
        look(model, step=1)
