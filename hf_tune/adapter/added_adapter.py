"""Load an adapter onto a network that carries others: each keeps its head, its statistics and its outputs."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hf_tune.adapter.method_values import FROM_WEIGHTS
from hf_tune.input_error import InputError


ALONE = "load it by itself with load_finetuned"


def add_saved_adapter(model: Any, folder: Path, outline: Any) -> str:
    """Return the name that the adapter of a folder has in a `peft.PeftModel` now; no adapter that was there changes.

    `outline` is the folder's own network, on the meta device. The new adapter is active. Raises `InputError` where
    PEFT cannot hold it beside the others, which then answer as before.
    """
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(folder)
    _check_kinds(config, list(model.peft_config.values()))
    active = model.active_adapter
    names = (f"added_{number}" for number in itertools.count(1))
    name = next(each for each in names if each not in model.peft_config)
    device = next(model.parameters()).device
    try:
        with _heads_of(model, outline):
            found = model.load_adapter(folder, name, torch_device=str(device))
        lost = {*found.missing_keys, *found.unexpected_keys} - {"prompt_embeddings"}  # PEFT 0.21 loads these elsewhere
        if lost:
            raise ValueError(f"{min(lost)} has no place")
    except (KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        _take_out(model, name, config, active)
        problem = (
            f"PEFT cannot hold this adapter beside the one that is there: {str(error).strip().partition(chr(10))[0]}"
        )
        raise InputError(problem, ALONE) from None
    model.set_adapter(name, inference_mode=True)
    return name


def _check_kinds(config: Any, others: list[Any]) -> None:
    """Raise where PEFT 0.21 refuses two methods in one network, or mixes their weights without a word."""
    own, other = (str(getattr(each.peft_type, "value", each.peft_type)) for each in (config, others[0]))
    if own != other:
        raise InputError(f"PEFT cannot hold {own} beside {other} in one network", ALONE)
    for each in (config, *others):
        start = getattr(each, "init_lora_weights", None)
        if isinstance(start, str) and start in FROM_WEIGHTS:
            problem = (
                f"LoRA with init_lora_weights {start!r} changes the weights of the base, which others stand on too"
            )
            raise InputError(problem, ALONE)


@contextmanager
def _heads_of(model: Any, outline: Any) -> Iterator[None]:
    """Lend every layer that is saved whole the shape that it has in another network: PEFT copies it for an adapter."""
    from peft.utils import ModulesToSaveWrapper

    lent, others = [], dict(outline.named_modules())
    for name, layer in model.get_base_model().named_modules():
        if isinstance(layer, ModulesToSaveWrapper) and name in others:
            own, other = layer.original_module, others[name]
            if _list_shapes(own) != _list_shapes(other):
                first = next(own.parameters())
                lent.append((layer, own))
                layer.original_module = other.to_empty(device=first.device).to(first.dtype)  # the file fills all of it
    try:
        yield
    finally:
        for layer, own in lent:
            layer.original_module = own


def _list_shapes(layer: Any) -> dict[str, Any]:
    return {name: value.shape for name, value in layer.state_dict().items()}


def _take_out(model: Any, name: str, config: Any, active: str) -> None:
    """Remove what was loaded of an adapter; PEFT 0.21 itself forgets its name and leaves its layers."""
    model.peft_config.setdefault(name, config)
    model.delete_adapter(name)
    model.set_adapter(active, inference_mode=True)
