"""What the libraries do at every step and need do once."""

import importlib.util
from collections.abc import Callable
from typing import Any


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
