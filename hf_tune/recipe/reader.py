"""load_recipe: source → overrides → build → rules, with every problem reported at once."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_tune.collector import imports_set_aside
from hf_tune.input_error import InputError
from hf_tune.recipe.build import Accepted, Report, build_dataclass, check_block, suggest
from hf_tune.recipe.overrides import apply_overrides
from hf_tune.recipe.source import BLOCKS, Source, read_yaml


if TYPE_CHECKING:
    from hf_tune.recipe.schema import Recipe
    from hf_tune.task import Task

_BLOCKS = Accepted(
    owner="a recipe",
    hints=dict.fromkeys(BLOCKS, Any),
    required=frozenset({"task", "model", "data", "peft", "training"}),
)


@imports_set_aside()
def load_recipe(file: str | Path, overrides: Sequence[str] = ()) -> "Recipe":
    """Return the checked recipe of a YAML file, after the overrides `block.key=value`.

    The recipe's folder joins `sys.path`, for loaders and tasks of the user's own. Raises `RecipeError` with one line
    for each problem: file, line, key, what is wrong and the cure.
    """
    values, source = read_yaml(Path(file))
    values, source = apply_overrides(values, source, overrides)
    return build_recipe(values, source)


def build_recipe(values: dict[str, Any], source: Source) -> "Recipe":
    """Return the recipe of plain values; raises `RecipeError` with all problems."""
    report = Report(source)
    values = {name: value for name, value in values.items() if value is not None}  # an empty block is none
    check_block(_BLOCKS, values, (), report)
    from hf_tune.adapter.method_words import get_learning_rates  # only now: a broken file is told without torch
    from hf_tune.data.data_source import DataSource
    from hf_tune.hub.hub_block import Hub
    from hf_tune.model.checkpoint_config import ModelSource
    from hf_tune.recipe.rules import find_broken_rules
    from hf_tune.recipe.schema import Recipe
    from hf_tune.recipe.stream_rules import get_defaults
    from hf_tune.results.decision import Decision
    from hf_tune.training.arguments import resolve_training
    from hf_tune.training.early_stopping import EarlyStopping
    from hf_tune.training.objective import Objective, resolve_objective
    from hf_tune.training.speed import Speed

    _add_folder(str(Path(source.file).parent.resolve()))
    task = _find_task(values, report)
    model = build_dataclass(ModelSource, values.get("model", {}), ("model",), report) if "model" in values else None
    data = build_dataclass(DataSource, values["data"], ("data",), report) if "data" in values else None
    _check_quantization(values, report)
    _check_load(values, report)
    preprocess = task and build_dataclass(task.preprocess, values.get("preprocess", {}), ("preprocess",), report)
    _check_peft(values.get("peft"), report)
    _check_batch_norm(values.get("batch_norm"), report)
    stopping = _build_optional(EarlyStopping, "early_stopping", values, report)
    objective = _build_optional(Objective, "objective", values, report)
    decision = _build_optional(Decision, "decision", values, report)
    _check_linear_baseline(values.get("linear_baseline"), report)
    hub = _build_optional(Hub, "hub", values, report)
    speed = build_dataclass(Speed, values.get("speed", {}), ("speed",), report)
    training = _check_training(values, report)
    card = _check_card(values, report)
    if task:
        _check_rules(find_broken_rules, values, task, report)
    report.check()
    assert task and model and data and speed  # for the type checker; report.check() raised
    resolved = resolve_training(training, stopping, {**task.training_arguments, **get_defaults(values)})
    rates = get_learning_rates(values["peft"], task.learning_rates)
    objective, resolved = resolve_objective(objective, resolved, rates)
    return Recipe(
        task=values["task"],
        model=model,
        data=data,
        preprocess=preprocess,
        peft=values["peft"],
        batch_norm=values.get("batch_norm"),
        early_stopping=stopping,
        objective=objective,
        decision=decision,
        linear_baseline=values.get("linear_baseline"),
        training=resolved,
        speed=speed,
        hub=hub,
        card=card,
        values=values,
        source=source,
    )


def _build_optional(cls: type, name: str, values: Mapping[str, Any], report: Report) -> Any:
    """Return a block as its dataclass; None where the recipe has none, or a mistake in it was noted."""
    return None if values.get(name) is None else build_dataclass(cls, values[name], (name,), report)


def _add_folder(folder: str) -> None:
    """Let modules beside a recipe be found: behind what is installed, before those of recipes that were read earlier.

    A folder `bottleneck` beside a recipe broke pandas, which looks for a package of that name: it is imported before.
    """
    import datasets  # noqa: F401

    installed = [place for place, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))]
    behind = max(installed, default=-1) + 1
    if folder not in sys.path[:behind]:
        sys.path[behind:] = [folder, *(path for path in sys.path[behind:] if path != folder)]


def _find_task(values: Mapping[str, Any], report: Report) -> "Task | None":
    from hf_tune.tasks import get_task, list_tasks

    name = values.get("task")
    if not isinstance(name, str):
        if name is not None:
            report.add(("task",), f"expected a word, got {name!r}", f"known: {', '.join(list_tasks())}")
        return None
    try:
        return get_task(name)
    except InputError as error:
        close = suggest(name, list_tasks())
        report.add(("task",), error.problem, close if close.startswith("did") else error.hint)
        return None


def _check_quantization(values: Mapping[str, Any], report: Report) -> None:
    from hf_tune.model.quantised_base import LEFT_OUT
    from hf_tune.recipe.library_arguments import accepted_by_quantization

    block = values["model"].get("quantization_config") if isinstance(values.get("model"), Mapping) else None
    if not isinstance(block, Mapping):
        return
    path, method = ("model", "quantization_config"), block.get("quant_method")
    if isinstance(method, str) and method in LEFT_OUT:
        check_block(accepted_by_quantization(method), block, path, report)
    elif method is None:
        report.add(path, "`quant_method` is missing", f"one of {', '.join(LEFT_OUT)}")
    else:
        report.add((*path, "quant_method"), f"{method!r} is not known here", suggest(method, LEFT_OUT))


def _check_load(values: Mapping[str, Any], report: Report) -> None:
    from hf_tune.recipe.library_arguments import accepted_by_load

    load = (values.get("data") or {}).get("load") if isinstance(values.get("data"), Mapping) else None
    if not isinstance(load, Mapping):
        return
    path = load.get("path")
    if not isinstance(path, str):
        problem = "`path` is missing" if path is None else f"expected a word, got {path!r}"
        report.add(
            ("data", "load", "path"), problem, "a Hub id, a folder, csv, json, parquet, or package.module:function"
        )
    elif ":" not in path or "://" in path:
        check_block(accepted_by_load(path), load, ("data", "load"), report)


def _check_peft(peft: Any, report: Report) -> None:
    from hf_tune.adapter.method_words import WORDS
    from hf_tune.recipe.library_arguments import accepted_by_peft, peft_types

    if peft is None or (isinstance(peft, str) and peft in WORDS):
        return
    if not isinstance(peft, Mapping):
        hint = suggest(peft, WORDS) + " or a block with `peft_type:` and its options"
        report.add(("peft",), f"{peft!r} is no method", hint)
        return
    peft_type = peft.get("peft_type")
    if peft_type not in peft_types():
        problem = "`peft_type` is missing" if peft_type is None else f"PEFT has no {peft_type!r}"
        path = ("peft", "peft_type") if "peft_type" in peft else ("peft",)
        report.add(path, problem, suggest(str(peft_type).upper(), peft_types()))
        return
    check_block(accepted_by_peft(str(peft_type)), peft, ("peft",), report)


def _check_batch_norm(value: Any, report: Report) -> None:
    if value not in (None, "frozen", "trained", "synced"):
        report.add(("batch_norm",), f"expected frozen, trained or synced, got {value!r}")


def _check_linear_baseline(value: Any, report: Report) -> None:
    if value is not None and not isinstance(value, bool):
        report.add(
            ("linear_baseline",),
            f"expected true or false, got {value!r}",
            "leave it out: it then runs where rows are few",
        )


def _check_training(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
    from hf_tune.recipe.library_arguments import accepted_by_training

    if "training" not in values:
        return {}
    return check_block(accepted_by_training(), values["training"], ("training",), report)


def _check_card(values: Mapping[str, Any], report: Report) -> dict[str, Any]:
    if values.get("card") is None:
        return {}
    from hf_tune.recipe.library_arguments import accepted_by_card

    return check_block(accepted_by_card(), values["card"], ("card",), report)


def _check_rules(find: Any, values: Mapping[str, Any], task: "Task", report: Report) -> None:
    """Note broken rules; blocks that are no mappings were noted already and are left out."""
    words = ("task", "peft", "batch_norm", "linear_baseline")
    usable = {name: value for name, value in values.items() if name in words or isinstance(value, Mapping)}
    told = {problem.key for problem in report.problems}
    for path, problem, hint in find(usable, task):
        key = ".".join(str(part) for part in path)
        if not any(other == key or other.startswith(f"{key}.") for other in told):
            report.add(path, problem, hint)
