"""What a recipe with a `hub:` block must say; each function is named as the sentence that it enforces."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_tune.hub.private_text import find_private_text
from hf_tune.recipe.leaves import list_leaves
from hf_tune.recipe.source import KeyPath
from hf_tune.task import Task


def a_pushed_run_has_a_licence(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield a card without a licence: nobody may use what is pushed with it."""
    if _is_pushed(values) and not (values.get("card") or {}).get("license"):
        hint = "write `card: {license: apache-2.0}`, that of your data and checkpoint, or `other`"
        yield ("card", "license"), "the card of a run that is pushed names its licence", hint


def a_pushed_adapter_has_its_base_on_the_hub(
    values: Mapping[str, Any], task: Task
) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield a base that is a folder of this disk: nobody else could load the adapter (transformers#43746)."""
    name = (values.get("model") or {}).get("pretrained_model_name_or_path")
    is_adapter = values.get("peft") not in ("full", "probe", None)
    if not (_is_pushed(values) and is_adapter and isinstance(name, str) and Path(name).exists()):
        return
    if not values["hub"].get("base_model"):
        problem = f"the adapter's base {name!r} is a folder of this disk, and nobody else could load the adapter"
        hint = "name it by its Hub id, or write `hub: {base_model: {id: owner/name, revision: commit}}`"
        yield ("model", "pretrained_model_name_or_path"), problem, hint


def a_push_while_training_has_its_checkpoint(
    values: Mapping[str, Any], task: Task
) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield pushes of checkpoints that are never written or chosen."""
    every, training = (values.get("hub") or {}).get("every"), values.get("training") or {}
    best = values.get("early_stopping") is not None or training.get("load_best_model_at_end")
    if every == "best" and not best:
        yield ("hub", "every"), "no checkpoint is the best one", "write `early_stopping:`, or `every: epoch`"
    if every == "epoch" and training.get("save_strategy", "epoch") != "epoch":
        yield ("hub", "every"), "no checkpoint is saved at the end of an epoch", "write `save_strategy: epoch`"


def nothing_private_is_pushed(values: Mapping[str, Any], task: Task) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield a value that looks like a token, an e-mail address or a phone number: recipe and card are pushed."""
    if values.get("hub") is None:
        return
    allowed = values["hub"].get("allow_text") or []
    for path, value in list_leaves({name: block for name, block in values.items() if name != "hub"}):
        for _, kind, found in find_private_text(str(value), allowed if isinstance(allowed, list) else []):
            yield path, f"{found!r} looks like {kind}, and would be pushed", say_how_to_allow(kind)


def say_how_to_allow(kind: str) -> str:
    """Return what to do with text that looks private."""
    if "token" in kind:
        return "take it out, and make it void if anyone has seen it"
    return "take it out, or write it under `hub.allow_text` if everyone may read it"


def _is_pushed(values: Mapping[str, Any]) -> bool:
    hub = values.get("hub")
    return hub is not None and not hub.get("offline")


HUB_RULES = (
    a_pushed_run_has_a_licence,
    a_pushed_adapter_has_its_base_on_the_hub,
    a_push_while_training_has_its_checkpoint,
    nothing_private_is_pushed,
)
