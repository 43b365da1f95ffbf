"""The part of a network below all that trains: what it makes of a row is one vector, and the head goes on from there.

The head's own code is what runs: only the body's forward is replaced, by one that hands on the vectors.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from hf_tune.task import Batch


TOLERANCE = 1e-6
"""How far logits from kept vectors may be from those of the whole network, relative to the largest."""


@dataclass(frozen=True)
class FrozenBody:
    """The layers below the head, and what of their output the head reads."""

    module: Any
    read: Callable[[Any, Batch], torch.Tensor | None]
    """(output of the body, batch) → one vector per row, shape (rows, features); None where it has no such part."""
    name: str
    """Argument of the network's forward that takes the vectors in place of the row itself."""

    def list_weights(self) -> list[tuple[str, torch.Tensor]]:
        """Return the parameters and buffers below the head, by name."""
        head = {id(value) for layer in _list_heads(self.module) for value in (*layer.parameters(), *layer.buffers())}
        named = (*self.module.named_parameters(), *self.module.named_buffers())
        return [(name, value) for name, value in named if id(value) not in head]

    @contextmanager
    def reading(self) -> Iterator[Callable[[Batch], torch.Tensor]]:
        """Yield a function that returns the vectors of the batch which the network has taken last."""
        seen: list[Any] = []
        if _is_timm(self.module):
            layer = self.module.get_classifier()
            handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        else:
            handle = self.module.register_forward_hook(lambda module, inputs, output: seen.append(output))

        def read(batch: Batch) -> torch.Tensor:
            vectors = self.read(seen[-1], batch)
            seen.clear()
            if vectors is None or vectors.ndim != 2:
                raise LookupError("the body gives no vector of this kind")
            return vectors.detach().float()

        try:
            yield read
        finally:
            handle.remove()

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Let the body hand on vectors while the context lasts, given to the network as `build_inputs` says."""
        self.module.forward = self._hand_on
        try:
            yield
        finally:
            del self.module.forward

    def build_inputs(self, vectors: torch.Tensor) -> Batch:
        """Return the keyword arguments of the network's forward; a text's vector stands for its only token."""
        vectors = vectors.to(next(self.module.parameters()).dtype)
        return {self.name: vectors if self.name == "pixel_values" else vectors[:, None]}

    def _hand_on(self, *args: Any, **kwargs: Any) -> Any:
        vectors = kwargs[self.name] if kwargs.get(self.name) is not None else args[0]
        if _is_timm(self.module):
            return self.module.get_classifier()(vectors)
        states = vectors if vectors.ndim == 3 else vectors[:, None]
        poolers = _list_heads(self.module)
        pooled = poolers[0](states) if poolers else states[:, 0]
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=states, pooler_output=pooled)


def list_bodies(model: Any) -> list[FrozenBody]:
    """Return the ways to read the network's body that may serve its head; none where something in the body trains."""
    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    prefix = getattr(network, "base_model_prefix", "")
    module = getattr(network, prefix, None) if prefix else None
    prompts = getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False)
    if module is None or prompts:  # what is learned goes into the body from outside
        return []
    if getattr(network.config, "tiles", None):  # a row has a vector for each of its tiles
        return []
    head = {id(weight) for layer in _list_heads(module) for weight in layer.parameters()}
    if any(weight.requires_grad and id(weight) not in head for weight in module.parameters()):
        return []
    name = "pixel_values" if network.main_input_name == "pixel_values" else "inputs_embeds"
    reads = (_read_input,) if _is_timm(module) else (_read_pooled, _read_first, _read_last)
    if not _is_timm(module) and _list_heads(module):
        reads = (_read_first,)  # the head begins with the body's pooler
    return [FrozenBody(module, read, name) for read in reads]


@torch.no_grad()
def choose_body(model: Any, bodies: list[FrozenBody], inputs: Batch, batch: Batch) -> FrozenBody | None:
    """Return the body whose vectors give the logits of the whole network on a batch; None where none does.

    `inputs` are the network's keyword arguments for the batch. The network is left in evaluation mode.
    """
    model.eval()
    for body in bodies:
        try:
            with body.reading() as read:
                expected = model(**inputs).logits
                vectors = read(batch)
            with body.replaced():
                given = model(**body.build_inputs(vectors)).logits
        except (AttributeError, IndexError, LookupError, RuntimeError, TypeError, ValueError):
            continue  # this network's body has another form
        if given.shape == expected.shape and _distance(given, expected) <= TOLERANCE:
            return body
    return None


@torch.no_grad()
def is_still(model: Any, body: FrozenBody, inputs: Batch, batch: Batch) -> bool:
    """Return whether the body makes the same of a batch in training as in evaluation: it draws and moves nothing."""
    found: list[torch.Tensor] = []
    with body.reading() as read:
        for mode, seed in ((False, 0), (True, 1), (True, 2)):
            model.train(mode)
            torch.default_generator.manual_seed(seed)
            model(**inputs)
            found.append(read(batch))
    model.eval()
    return torch.equal(found[1], found[2]) and _distance(found[1], found[0]) <= TOLERANCE


def _distance(given: torch.Tensor, expected: torch.Tensor) -> float:
    return float((given - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


def _is_timm(module: Any) -> bool:
    return hasattr(module, "get_classifier")


def _list_heads(module: Any) -> list[Any]:
    """Return the layers inside a body that belong to the head: timm's classifier, and a pooler that trains."""
    if _is_timm(module):
        return [module.get_classifier()]
    pooler = getattr(module, "pooler", None)
    return [pooler] if pooler is not None and any(weight.requires_grad for weight in pooler.parameters()) else []


def _read_input(output: torch.Tensor, batch: Batch) -> torch.Tensor:
    return output


def _read_pooled(output: Any, batch: Batch) -> torch.Tensor | None:
    pooled = getattr(output, "pooler_output", None)
    return None if pooled is None else pooled.flatten(1)


def _read_first(output: Any, batch: Batch) -> torch.Tensor:
    return output.last_hidden_state[:, 0]


def _read_last(output: Any, batch: Batch) -> torch.Tensor:
    states = output.last_hidden_state
    return states[torch.arange(len(states)), batch["attention_mask"].sum(1).to(states.device) - 1]
