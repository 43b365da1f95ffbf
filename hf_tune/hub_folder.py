"""What goes to the Hub, as a folder on the disk: `RUN/hub`, which anyone may look at before it is pushed."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hf_tune.hub.hub_block import Hub
from hf_tune.hub.private_text import find_private_text
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import save_config
from hf_tune.recipe.hub_rules import say_how_to_allow
from hf_tune.recipe.stored import dump_recipe
from hf_tune.results.record import read_results, save_results
from hf_tune.results.saved_files import check_files
from hf_tune.run_card import write_card
from hf_tune.task import Task


_WEIGHTS = ("model*.safetensors*", "adapter_model*.safetensors", "adapter_config.json")
"""Of a checkpoint; never optimiser states, and never training_args.bin, which is a pickle."""
_EXAMPLES = ("predictions.parquet", "reference.parquet")
"""Files with numbers of single rows."""
_READ = ("README.md", "recipe.yaml", "results.json")
"""Files that are looked through for what must not be told."""


def build_hub_folder(run: Path, values: Mapping[str, Any], hub: Hub, task: Task) -> Path:
    """Write `run`/hub anew and return it: model, card, recipe, results and plots; large files are hard links.

    `values` are those of the recipe with what the command line changed. Raises `InputError` for a run that is not
    finished, was not proved, or was changed since.
    """
    results = read_results(run)
    if not results["proof"]["passed"]:
        raise InputError(f"the proof of {run} failed: what was saved is not what was trained", "train it again")
    check_files(run, results["files"])
    folder = run / "hub"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "plots").mkdir(parents=True)
    shown = [name for name in results["plots"] if hub.include_examples or name not in task.example_plots]
    names = [*results["files"], "log.jsonl", *(f"plots/{name}" for name in shown)]
    for name in [*names, *(_EXAMPLES if hub.include_examples else ())]:
        _link(run / name, folder / name)
    results["plots"] = shown
    if hub.base_model is not None:
        values = name_base(folder, values, hub)
        results["base"] |= {"id": hub.base_model.id, "revision": hub.base_model.revision}
    (folder / "recipe.yaml").write_text(dump_recipe(values), encoding="utf-8")
    save_results(results, folder)
    write_hub_card(folder, hub)
    return folder


def write_hub_card(folder: Path, hub: Hub, verified: Mapping[str, Any] | None = None) -> None:
    """Write the card of a folder that `build_hub_folder` made; `verified` is kept in its results.json too."""
    if verified is not None:
        save_results(read_results(folder) | {"verified": verified}, folder)
    write_card(folder, name=hub.repo_id)


def check_text(folder: Path, allowed: Sequence[str], token: str | None) -> None:
    """Raise `InputError` with file and line where a text would tell what looks private, or the token itself."""
    for name in _READ:
        text = (folder / name).read_text(encoding="utf-8") if (folder / name).exists() else ""
        if token and token in text:
            raise InputError(f"{folder / name} holds the token of the Hub", "take it out, and make it void")
        for line, kind, found in find_private_text(text, allowed):
            raise InputError(f"{folder / name}:{line}: {found!r} looks like {kind}", say_how_to_allow(kind))


def build_unfinished_folder(checkpoint: Path, run: Path) -> Path:
    """Return a new folder with links to the weights of a checkpoint, which may then be deleted; quick."""
    folder = run / f"hub-{checkpoint.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in checkpoint.iterdir():
        if any(fnmatch(path.name, pattern) for pattern in _WEIGHTS):
            _link(path, folder / path.name)
    _link(checkpoint / "trainer_state.json", folder / "trainer_state.json")
    return folder


def complete_unfinished_folder(folder: Path, model: Any, processor: Any, values: Mapping[str, Any], hub: Hub) -> None:
    """Add what makes a model of the weights: configuration, labels, preprocessing, recipe, and a card that warns."""
    from huggingface_hub import ModelCard, ModelCardData

    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    (folder / "trainer_state.json").unlink()
    save_config(model.config, processor, folder)
    if hub.base_model is not None:
        values = name_base(folder, values, hub)
    (folder / "recipe.yaml").write_text(dump_recipe(values), encoding="utf-8")
    scores: dict[str, float] = next((event for event in reversed(state["log_history"]) if "eval_loss" in event), {})
    told = [f"- {name.removeprefix('eval_')}: {scores[name]:.4f}" for name in scores if name.startswith("eval_")]
    told = [line for line in told if "runtime" not in line and "per_second" not in line]
    title = f"# {hub.repo_id}, unfinished\n\nStep {state['global_step']} of {state['max_steps']}."
    warning = "Nothing of it was proved or verified: it is here in case the run is lost."
    lines = [title, warning, *(["On the validation split:", "\n".join(told)] if told else [])]
    data = ModelCardData(**(values.get("card") or {}))
    ModelCard(f"---\n{data}\n---\n\n" + "\n\n".join(lines) + "\n").save(folder / "README.md")


def name_base(folder: Path, values: Mapping[str, Any], hub: Hub) -> dict[str, Any]:
    """Let an adapter's config name its base by its Hub id; return the values with it."""
    assert hub.base_model is not None  # for the type checker
    file = folder / "adapter_config.json"
    if file.exists():
        config = json.loads(file.read_text(encoding="utf-8"))
        config |= {"base_model_name_or_path": hub.base_model.id, "revision": hub.base_model.revision}
        file.unlink()  # a link to the run's own, which stays as it is
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    named = {"pretrained_model_name_or_path": hub.base_model.id, "revision": hub.base_model.revision}
    return {**values, "model": {**values["model"], **named}}


def _link(source: Path, target: Path) -> None:
    """Let a file, if it is there, stand at a second place: by a hard link, or a copy where the disk has none."""
    if not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
