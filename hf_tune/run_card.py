"""The card of a finished run, from what its folder holds: written at the end of a run, again, or for the Hub."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_tune.hub.card import build_card, save_card
from hf_tune.hub.card_facts import CardFacts
from hf_tune.input_error import InputError
from hf_tune.model.own_network import describe_own_parts, read_own_parts
from hf_tune.recipe.build import Report, check_block
from hf_tune.recipe.error import Problem, RecipeError
from hf_tune.recipe.library_arguments import accepted_by_card
from hf_tune.recipe.overrides import apply_overrides
from hf_tune.recipe.source import read_yaml
from hf_tune.results.record import read_results
from hf_tune.tasks import get_stored_task


def write_card(
    run: Path, name: str | None = None, overrides: Sequence[str] = (), results: Mapping[str, Any] | None = None
) -> Path:
    """Write README.md of a finished run and return its path.

    `name` is how the model is loaded: the name of the folder unless given, or `user/name` of the Hub. `overrides` are
    `card.key=value`, for this card alone: recipe.yaml stays as it is. `results` is what results.json will hold, where
    it is not written yet. Raises `InputError` where the folder is no finished run, and `RecipeError` for a value of
    `card:` that is not accepted.
    """
    results = read_results(run) if results is None else results
    values = _read_recipe(run, overrides)
    task = get_stored_task(values["task"], run)
    config = _read_config(run)
    facts = CardFacts(
        name=name or run.resolve().name,
        recipe=(run / "recipe.yaml").read_text(encoding="utf-8"),
        section=task.card_section(results),
        plots=[plot for plot in results["plots"] if (run / "plots" / plot).is_file()],
        sample=task.sample,
        auto_model=task.auto_model,
        auto_processor=task.auto_processor,
        model_type=config.get("model_type"),
        in_halves=config.get("dtype") in ("float16", "bfloat16"),
        intensity=config.get("intensity"),
        own_parts=describe_own_parts(read_own_parts(config)),
        verified=results.get("verified"),
    )
    return save_card(build_card(results, values.get("card") or {}, facts), run)


def _read_config(run: Path) -> dict[str, Any]:
    file = run / "config.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}", "give the output_dir of a finished run") from None


def _read_recipe(run: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the values of recipe.yaml with the overrides; the other blocks were checked when it ran."""
    strange = [text for text in overrides if text.partition("=")[0].partition(".")[0] != "card"]
    if strange:
        hint = "a card takes `card.key=value`, such as `card.license=mit`"
        raise RecipeError(
            [Problem(place=f"command line: {text}", key="", problem="not of the card", hint=hint) for text in strange]
        )
    values, source = apply_overrides(*read_yaml(run / "recipe.yaml"), overrides)
    report = Report(source)
    if values.get("card") is not None:
        values["card"] = check_block(accepted_by_card(), values["card"], ("card",), report)
    report.check()
    return values
