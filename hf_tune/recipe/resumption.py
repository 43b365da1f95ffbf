"""What a resumed run may change: its length, what it logs and keeps, and how rows are loaded; nothing else."""

import re
from collections.abc import Mapping
from typing import Any

from hf_tune.input_error import InputError
from hf_tune.model.quantised_base import LEFT_OUT
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.leaves import list_leaves
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.source import KeyPath, read_yaml


_LENGTH = ("max_steps", "num_train_epochs")
_FREE = frozenset(
    {
        *_LENGTH,
        *("output_dir", "per_device_eval_batch_size", "report_to", "run_name", "project", "skip_memory_metrics"),
        # Their product with the number of processes may not change: `check_total_batch`.
        *("per_device_train_batch_size", "gradient_accumulation_steps", "auto_find_batch_size"),
        *("use_cpu", "resume_from_checkpoint"),
    }
)
_FREE_PREFIXES = ("dataloader_", "log_", "logging_", "save_", "trackio_")
_COMMIT = re.compile("[0-9a-f]{40}")
_NOTHING = object()
"""Stands for a key that is not written."""


def check_resumable(recipe: Recipe) -> None:
    """Raise where the run in `output_dir` has another recipe, one line for each key, or is finished."""
    stored = _read_stored(recipe)
    changed = _find_changes(stored, recipe.values)
    wrong = {path: pair for path, pair in changed.items() if not _is_free(path)}
    if wrong:
        hint = "give a new `output_dir`, or take back the change"
        told = {path: f"the run in {str(recipe.output_dir)!r} has {_say(*pair)}" for path, pair in wrong.items()}
        raise RecipeError([recipe.source.problem(path, problem, hint) for path, problem in told.items()])
    if (recipe.output_dir / "results.json").exists() and not any(("training", name) in changed for name in _LENGTH):
        with recipe.blame("training"):
            problem = f"the run in {str(recipe.output_dir)!r} is finished"
            raise InputError(
                problem, "raise `max_steps` or `num_train_epochs`, or give a new name", at=("output_dir",)
            )


def check_revision(recipe: Recipe, revision: str | None) -> None:
    """Raise where the checkpoint has moved on at the Hub since the run began."""
    stored = _read_stored(recipe)["model"].get("revision")
    if stored != revision:
        problem = f"the run began from commit {stored!r} of the checkpoint, and the Hub now has {revision!r}"
        with recipe.blame("model"):
            raise InputError(problem, f"write `revision: {stored}`", at=("revision",))


def _read_stored(recipe: Recipe) -> dict[str, Any]:
    file = recipe.output_dir / "recipe.yaml"
    if not file.exists():
        problem = f"{str(recipe.output_dir)!r} holds no recipe.yaml, and so nothing says what its checkpoint is"
        with recipe.blame("training"):
            raise InputError(problem, "give a new name", at=("output_dir",))
    return read_yaml(file)[0]


def _find_changes(stored: Mapping[str, Any], values: Mapping[str, Any]) -> dict[KeyPath, tuple[Any, Any]]:
    """Return each key whose value differs → the value of the run and that of the recipe."""
    old, new = dict(list_leaves(stored)), dict(list_leaves(_as_saved(values, stored)))
    pairs = {path: (old.get(path, _NOTHING), new.get(path, _NOTHING)) for path in {**new, **old}}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def _as_saved(values: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with what a run adds when it saves its recipe: the commit, and the layers left in floats."""
    model, saved = dict(values["model"]), stored.get("model") or {}
    if saved.get("revision") is not None:
        named = model.get("revision")
        # A branch or tag was saved as its commit; `check_revision` compares it when it is known where it stands now.
        model["revision"] = named if _COMMIT.fullmatch(str(named)) else saved["revision"]
    block, resolved = model.get("quantization_config"), saved.get("quantization_config")
    if isinstance(block, Mapping) and isinstance(resolved, Mapping):
        argument = LEFT_OUT[block["quant_method"]]
        added = resolved.get(argument) or []
        if set(block.get(argument) or ()) <= set(added):
            model["quantization_config"] = {**block, argument: added}
    kept = {name: value for name, value in values.items() if value is not None}
    return {**kept, "model": model}


def _is_free(path: KeyPath) -> bool:
    """Return whether a resumed run may have another value there."""
    if path[0] == "training" and len(path) > 1:
        return path[1] in _FREE or str(path[1]).startswith(_FREE_PREFIXES)
    return path[0] in ("hub", "card")


def _say(old: Any, new: Any) -> str:
    before, now = ("nothing here" if each is _NOTHING else repr(each) for each in (old, new))
    return f"{before}, this recipe {now}"
