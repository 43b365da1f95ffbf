"""The exponential moving average of the weights that train: what is evaluated, saved and chosen in their place.

The network trains on with weights of its own. What averages are good for, and how long they should reach back:
Morales-Brotons et al. 2024, arXiv:2411.18704.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback

from hf_tune.input_error import InputError
from hf_tune.training.processes import average_statistics
from hf_tune.training.sharding import is_sharded


TRAINED = "trained_weights.safetensors"
"""File of a checkpoint: the weights that training goes on with; its model file holds their averages."""


class WeightAverage(TrainerCallback):
    """Averages of trained weights, and of the running statistics of BatchNorm, which belong to weights.

    After step t each average moves to the weights of now by 1 - min(decay, (1 + t) / (10 + t)): without this warm-up,
    which is that of TensorFlow's `ExponentialMovingAverage`, a short run would end near where it began.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        """Start at the weights of now."""
        self.decay = decay
        self.values = {**_list_statistics(model), **_list_trained(model)}
        self.aside = {name: value.detach().clone() for name, value in self.values.items()}
        """What is not in the network: while it trains the averages, while these are `in_place` the trained weights."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the averages after a step of the optimiser."""
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        values = [value.detach() for value in self.values.values()]
        get_ema_multi_avg_fn(decay)(list(self.aside.values()), values, state.global_step)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the averages while the context lasts."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        """Let what is in the network and what is aside take each other's place."""
        for name, value in self.values.items():
            held = value.detach().clone()
            value.copy_(self.aside[name])
            self.aside[name].copy_(held)

    def save(self, checkpoint: Path) -> None:
        """Write what is aside into a checkpoint."""
        values = {name: value.contiguous() for name, value in self.aside.items()}  # all that its format knows
        safetensors.torch.save_file(values, checkpoint / TRAINED)

    @torch.no_grad()
    def resume(self, checkpoint: Path) -> None:
        """Put the averages, which the network has from a checkpoint's model file, aside for the weights to go on with.

        Raises `RuntimeError` where the file is not that of this network.
        """
        trained = safetensors.torch.load_file(checkpoint / TRAINED)
        if trained.keys() != self.values.keys():
            raise RuntimeError(f"{checkpoint / TRAINED} has other weights than the network")
        for name, value in self.values.items():
            self.aside[name].copy_(value)
            value.copy_(trained[name])


def build_average(trainer: Any) -> WeightAverage | None:
    """Return the averages of a Trainer's network, which its steps move; None where the objective wants none."""
    decay = trainer.data.objective.ema_decay
    average = None if decay is None else WeightAverage(trainer.model, decay)
    if average is not None:
        trainer.add_callback(average)
    return average


def check_average(trainer: Any) -> None:
    """Raise where the weights are cut over processes: no process has a whole one to average."""
    if trainer.average is not None and is_sharded(trainer):
        hint = "leave it out, or train under DDP"
        raise InputError("FSDP and DeepSpeed cut the weights", hint, at=("ema_decay",))


@contextlib.contextmanager
def reading_weights(trainer: Any) -> Iterator[None]:
    """Let the network be the one that is evaluated and saved, the same on all processes, while the context lasts."""
    average_statistics(trainer.model)
    with contextlib.ExitStack() as stack:
        if trainer.average is not None:
            stack.enter_context(trainer.average.in_place())
            average_statistics(trainer.model)
        yield


def settle_average(trainer: Any) -> None:
    """Leave a network that has taken its last step with the averages, unless it was given those of its best step."""
    is_best = trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint is not None
    if trainer.average is not None and not is_best:
        trainer.average.exchange()


def _list_trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def _list_statistics(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    layers = (pair for pair in model.named_modules() if isinstance(pair[1], torch.nn.modules.batchnorm._NormBase))
    named = {
        f"{name}.{kind}": getattr(layer, kind) for name, layer in layers for kind in ("running_mean", "running_var")
    }
    return {name: value for name, value in named.items() if value is not None}
