"""What optimisers keep, against the states of real ones."""

from pathlib import Path

import pytest
import torch
from transformers import Trainer

from hf_tune.training.arguments import build_arguments
from hf_tune.training.optimiser_states import count_state_bytes


@pytest.mark.parametrize(
    ("optimiser", "optim_args"),
    [
        ("adamw_torch", None),
        ("adamw_torch_fused", None),
        ("sgd", None),
        ("sgd", "momentum=0.9"),
        ("adagrad", None),
        ("rmsprop", None),
        ("rmsprop", "momentum=0.5"),
        ("adafactor", None),
    ],
)
def test_states_are_those_of_the_real_optimiser(optimiser: str, optim_args: str | None, tmp_path: Path) -> None:
    shapes = ((30, 20), (20,), (8, 4, 3, 3))
    weights = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
    given = {"output_dir": str(tmp_path), "use_cpu": True, "optim": optimiser, "optim_args": optim_args}
    arguments = build_arguments({**given, "learning_rate": 0.1})
    optimizer_class, kwargs = Trainer.get_optimizer_cls_and_kwargs(arguments)
    real = optimizer_class(weights, **kwargs)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    real.step()
    kept = [value for state in real.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    total = sum(value.numel() * value.element_size() for value in kept if value.ndim)  # without the counts of steps
    assert count_state_bytes(optimiser, optim_args, weights) == total


def test_packed_and_unknown_ones_are_counted_by_their_names() -> None:
    weight = torch.zeros(100, dtype=torch.bfloat16)
    assert count_state_bytes("adamw_bnb_8bit", None, [weight]) == 200
    assert count_state_bytes("lion_8bit", None, [weight]) == 100
    assert count_state_bytes("galore_adamw", None, [weight]) == count_state_bytes("adamw_torch", None, [weight]) == 400
