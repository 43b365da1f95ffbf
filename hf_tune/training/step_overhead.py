"""What the libraries do at every step and need do once: half of what a small network costs."""

import functools
from typing import Any

import accelerate.optimizer
import transformers.trainer

from hf_tune.training.sharding import is_sharded


def lighten_steps(trainer: Any) -> None:
    """Let the steps of a Trainer do less; what they compute stays the same.

    accelerate 1.15 looks twice a step through all of `sys.path` for a package (0.2 ms on a warm disk). transformers
    5.23 reads an environment variable as JSON, and counts all weights for a number of operations that nothing here
    tells.
    """
    accelerate.optimizer.is_lomo_available = functools.cache(accelerate.optimizer.is_lomo_available)
    transformers.trainer.is_sagemaker_mp_enabled = functools.cache(transformers.trainer.is_sagemaker_mp_enabled)
    trainer.floating_point_ops = lambda inputs: 0


def settle_network(trainer: Any, model: Any) -> None:
    """Let the steps of a Trainer look at the weights that train, and not at every module of the network each time.

    The network is put into training mode, and not there again and again; `model` may be wrapped, as by DDP, while an
    evaluation puts the network inside it into the other mode. Of MiniLM with a new head alone, looking for gradients
    to clip and to forget took 0.7 ms a step.
    """
    model.train()

    def train(mode: bool = True) -> Any:
        is_there = mode and model.training and trainer.model.training
        return model if is_there else type(model).train(model, mode)

    model.__dict__["train"] = train  # in place of the method of the class
    if is_sharded(trainer):
        return
    trained = [weight for weight in model.parameters() if weight.requires_grad]

    def forget_gradients(set_to_none: bool = True) -> None:
        for weight in trained:
            weight.grad = None

    model.__dict__["zero_grad"] = forget_gradients
    trainer._clip_grad_norm = lambda model: trainer.accelerator.clip_grad_norm_(trained, trainer.args.max_grad_norm)


def release_network(trainer: Any) -> None:
    """Give a Trainer and its network their own methods back."""
    for name in ("train", "zero_grad"):
        trainer.model_wrapped.__dict__.pop(name, None)
    trainer.__dict__.pop("_clip_grad_norm", None)
