"""Fine-tune a Hub or timm checkpoint from one recipe; what is saved is proved to be what was trained."""

import importlib
from typing import TYPE_CHECKING, Any

from hf_tune.adapter.peft_registration import register_with_peft


if TYPE_CHECKING:
    from hf_tune.finetuned import load_finetuned as load_finetuned
    from hf_tune.recipe.error import RecipeError as RecipeError
    from hf_tune.recipe.reader import load_recipe as load_recipe
    from hf_tune.recipe.schema import Recipe as Recipe
    from hf_tune.run import finetune as finetune

__all__ = ["Recipe", "RecipeError", "finetune", "load_finetuned", "load_recipe"]

register_with_peft()

_HOMES = (
    ("Recipe", "hf_tune.recipe.schema"),
    ("RecipeError", "hf_tune.recipe.error"),
    ("finetune", "hf_tune.run"),
    ("load_finetuned", "hf_tune.finetuned"),
    ("load_recipe", "hf_tune.recipe.reader"),
)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: torch and transformers cost seconds."""
    homes = dict(_HOMES)
    if name not in homes:
        raise AttributeError(f"module 'hf_tune' has no attribute {name!r}")
    return getattr(importlib.import_module(homes[name]), name)
