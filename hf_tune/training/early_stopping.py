"""Stop when validation no longer improves, or when it is good enough; the best checkpoint is what remains."""

from dataclasses import dataclass
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback

from hf_tune.input_error import InputError
from hf_tune.task import is_higher_better


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """The `early_stopping:` block."""

    metric: str = "loss"
    """A metric that the task reports on validation, or `loss`."""
    patience: int = 3
    """Evaluations without improvement before the run stops."""
    threshold: float = 0.0
    """Smallest change that counts as an improvement."""
    target: float | None = None
    """Stop as soon as validation has reached it."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.patience < 1:
            raise InputError(f"{self.patience!r} is out of range", "it must be at least 1", at=("patience",))
        if self.threshold < 0:
            raise InputError(f"{self.threshold!r} is out of range", "it must be at least 0", at=("threshold",))

    def training_arguments(self) -> dict[str, Any]:
        """Return the flags of the Trainer that this block stands for."""
        return {
            "load_best_model_at_end": True,
            "metric_for_best_model": self.metric,
            "greater_is_better": is_higher_better(self.metric),
        }

    def callbacks(self) -> list[TrainerCallback]:
        """Return the callbacks that stop the Trainer."""
        stops: list[TrainerCallback] = [EarlyStoppingCallback(self.patience, self.threshold)]
        if self.target is not None:
            stops.append(StopAtTarget(self.metric, self.target))
        return stops


class StopAtTarget(TrainerCallback):
    """Stop when the validation metric has reached its target."""

    def __init__(self, metric: str, target: float) -> None:
        """Remember what to look for."""
        self.metric = metric
        self.target = target

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """Stop where the target is reached."""
        value = metrics[f"eval_{self.metric}"]
        if value >= self.target if is_higher_better(self.metric) else value <= self.target:
            control.should_training_stop = True
