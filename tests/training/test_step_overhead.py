"""What the libraries do at every step and need do once."""

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from hf_tune.training import trainer as trainer_module


def test_no_step_looks_for_packages_or_counts_weights(build_tiny: Callable[..., Any], monkeypatch: Any) -> None:
    """accelerate 1.15 and transformers 5.23 do both at every step."""
    trainer = build_tiny()
    looked: list[str] = []
    real = importlib.util.find_spec

    def find(name: str, *args: Any) -> Any:
        looked.append(name)
        return real(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    trainer.train()
    assert trainer.state.global_step == 6
    assert looked.count("lomo_optim") <= 2  # once where the parts are put together, once in the first step
    assert trainer.state.total_flos == 0


def test_accelerate_looks_for_a_package_at_every_step() -> None:
    import inspect

    import accelerate.optimizer
    import accelerate.utils.imports as found

    assert "lru_cache" not in inspect.getsource(found.is_lomo_available), "step_overhead.py is no longer needed"
    assert inspect.getsource(accelerate.optimizer.AcceleratedOptimizer.step).count("is_lomo_available()") == 2


class Gradients(TrainerCallback):
    """Notes at the end of every step how many weights still have a gradient."""

    def __init__(self) -> None:
        self.left: list[int] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        self.left.append(sum(weight.grad is not None for weight in model.parameters()))


def test_steps_compute_what_they_would_with_the_libraries_own_methods(
    build_tiny: Callable[..., Any], monkeypatch: Any
) -> None:
    """Evaluations between the steps, gradients that are clipped, and a layer that does not train."""
    found = []
    for own in (False, True):
        if own:
            monkeypatch.setattr(trainer_module, "settle_network", lambda trainer, model: None)
        modes: list[tuple[bool, bool]] = []

        def look(network: Any, rows: int, modes: list[tuple[bool, bool]] = modes) -> float:
            modes.append((network.training, network.norm.training))
            return 1.0

        gradients = Gradients()
        settings = {"eval_strategy": "steps", "eval_steps": 1, "max_grad_norm": 0.01, "save_strategy": "no"}
        trainer = build_tiny(look, callbacks=(gradients,), **settings)
        trainer.model.norm.requires_grad_(False)
        trainer.train()
        weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        found.append((weights, modes, gradients.left, [event.get("grad_norm") for event in trainer.state.log_history]))
        assert not {"train", "zero_grad"} & trainer.model.__dict__.keys()
        assert "_clip_grad_norm" not in trainer.__dict__
    lean, plain = found
    assert lean[1:] == plain[1:] and lean[2] == [0] * 6
    assert lean[1].count((True, True)) == 6 and (False, False) in lean[1]
    assert all(torch.equal(value, plain[0][name]) for name, value in lean[0].items())
