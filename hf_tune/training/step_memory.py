"""Count what one micro-batch needs beside weights and states: a whole step on tensors that have no memory.

They are torch's fake tensors: meta tensors that say that they are on a CPU. Forward, backward, half precision and
activation checkpointing are the libraries' own, and only the sizes of what is alive are added up.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from hf_tune.task import Batch


ComputeLoss: TypeAlias = Callable[[Any, Batch], torch.Tensor]
"""(model, batch) → the loss, a scalar."""


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes at the moment of a step when most is alive, beside weights and optimiser states."""

    with_gradients: int
    """Activations and those gradients that are there; the two are rarely whole at one time."""
    activations: int
    """What the backward pass needs of the forward pass, and the passing results of the layer at work."""
    uncast_activations: int
    """The same without copies of weights in half precision, which a strategy that shards in it does without."""


def count_step_memory(
    model: Any, batch: Batch, num_rows: int, compute_loss: ComputeLoss, training: Mapping[str, Any]
) -> StepMemory | None:
    """Return the memory of one micro-batch; None where the network looks at the values of its inputs.

    `model` is on the meta device, and every tensor of `batch` is made `num_rows` long. Of `training`, the recipe's
    block, `bf16`, `fp16` and `activation_checkpointing` are read; a network without checkpointing goes on without.
    """
    is_half = bool(training.get("bf16") or training.get("fp16"))
    is_checkpointed = training.get("activation_checkpointing") and can_checkpoint(model)
    was_training = model.training
    model.train()
    if is_checkpointed:
        options = dict(training.get("activation_checkpointing_kwargs") or {})
        every_n_layers = options.pop("every_n_layers", 1)
        options.pop("offload", None)  # what would go to the CPU's memory is counted as kept
        model.activation_checkpointing_enable(options or None, every_n_layers=every_n_layers)
    try:
        return _run_step(_Step(model, compute_loss, is_half), batch, num_rows)
    except (RuntimeError, TypeError, ValueError):  # what torch 2.15 and networks raise where a value is read
        return None
    finally:
        if is_checkpointed:
            model.activation_checkpointing_disable()
        model.train(was_training)


def can_checkpoint(model: Any) -> bool:
    """Return whether a network can compute its activations anew in the backward pass."""
    return bool(getattr(model, "supports_gradient_checkpointing", False))


class _Step(torch.nn.Module):
    """Forward and backward in one call, so that what is computed anew in backward meets the same weights."""

    def __init__(self, model: Any, compute_loss: ComputeLoss, is_half: bool) -> None:
        super().__init__()
        self.model = model
        self.compute_loss = compute_loss
        self.is_half = is_half

    def forward(self, batch: Batch) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.is_half):
            loss = self.compute_loss(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]


def _run_step(step: _Step, batch: Batch, num_rows: int) -> StepMemory:
    with FakeTensorMode(allow_non_fake_inputs=True):
        values = {
            name: torch.empty_like(value, device="cpu").requires_grad_(value.requires_grad)
            for name, value in (*step.named_parameters(), *step.named_buffers())
        }
        with _LiveBytes(values.values()) as live:
            rows = {name: torch.empty((num_rows, *row.shape[1:]), dtype=row.dtype) for name, row in batch.items()}
            torch.func.functional_call(step, values, (rows,))
    return StepMemory(with_gradients=live.peak, activations=live.peak_activations, uncast_activations=live.peak_uncast)


class _LiveBytes(TorchDispatchMode):
    """Follow the bytes of all tensors that are alive, but for the weights and buffers given."""

    def __init__(self, weights: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.weights = {each.untyped_storage()._cdata for each in weights}
        self.alive: dict[int, tuple[str, int]] = {}
        self.bytes = {"cast": 0, "gradient": 0, "other": 0}
        self.peak = self.peak_activations = self.peak_uncast = 0
        for each in weights:
            if each.requires_grad:
                each.register_post_accumulate_grad_hook(self._note_gradient)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        is_cast = func is torch.ops.aten._to_copy.default and args[0].untyped_storage()._cdata in self.weights
        for each in tree_iter(result):
            if isinstance(each, torch.Tensor):
                self._add(each.untyped_storage(), "cast" if is_cast else "other")
        return result

    def _add(self, storage: torch.UntypedStorage, kind: str) -> None:
        key = storage._cdata
        if key in self.weights or key in self.alive:
            return
        self._put(key, kind, storage.nbytes())
        weakref.finalize(storage, self._remove, key)
        self.peak = max(self.peak, sum(self.bytes.values()))
        self.peak_activations = max(self.peak_activations, self.bytes["cast"] + self.bytes["other"])
        self.peak_uncast = max(self.peak_uncast, self.bytes["other"])

    def _note_gradient(self, weight: torch.Tensor) -> None:
        """Move the gradient of a weight, which has just been computed, from the activations to the gradients."""
        if weight.grad is not None:
            key = weight.grad.untyped_storage()._cdata
            self._put(key, "gradient", self._remove(key))

    def _put(self, key: int, kind: str, size: int) -> None:
        self.alive[key] = (kind, size)
        self.bytes[kind] += size

    def _remove(self, key: int) -> int:
        kind, size = self.alive.pop(key)
        self.bytes[kind] -= size
        return size
