"""Push a finished run to the Hub, with its card, and verify what was pushed.

hf-tune push RUN [owner/name] [hub.key=value card.key=value …] [--dry-run]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.collector import imports_set_aside
from hf_tune.command_output import run_command, tell_error
from hf_tune.input_error import InputError, RunStopped
from hf_tune.process_end import get_exit_code, start_logging


def main(argv: Sequence[str] | None = None) -> int:
    """Push the run; return 0, 2 where it cannot be pushed, or 3 where the push failed and may be repeated."""
    parser = argparse.ArgumentParser(prog="hf-tune push", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a finished run")
    parser.add_argument("repo_id", nargs="?", help="owner/name; default: as the run's recipe says")
    parser.add_argument("overrides", nargs="*", metavar="hub.key=value", help="such as hub.private=false")
    parser.add_argument("--dry-run", action="store_true", help="list every file and its size, and send nothing")
    options = parser.parse_intermixed_args(argv)
    overrides = list(options.overrides)
    if options.repo_id is not None and "=" in options.repo_id:  # the name was left out
        overrides.insert(0, options.repo_id)
    elif options.repo_id is not None:
        overrides.append(f"hub.repo_id={options.repo_id}")
    start_logging()
    try:
        _push(Path(options.run), overrides, options.dry_run)
    except (InputError, RunStopped) as error:
        tell_error(error)
        return get_exit_code(error)
    return 0


def _push(run: Path, overrides: list[str], dry_run: bool) -> None:
    with imports_set_aside():
        from hf_tune.data.splits import load_splits
        from hf_tune.publication import check_hub, push_run, stage
    from hf_tune.library_noise import quieten_bars
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.results.record import read_results
    from hf_tune.tasks import get_task
    from hf_tune.training.folder_lock import check_unheld

    read_results(run)
    check_unheld(run)
    completed = _complete(run, overrides)
    quieten_bars()
    recipe = load_recipe(run / "recipe.yaml", completed)
    assert recipe.hub is not None  # for the type checker: the overrides give one
    task = get_task(recipe.task)
    if dry_run:
        with recipe.blame("hub"):
            _list(stage(recipe, recipe.hub, task, run), str(recipe.hub.repo_id))
        return
    check_hub(recipe)
    split = None
    if recipe.hub.verify:
        with recipe.blame("data"):
            splits = load_splits(recipe.data, task, recipe.model.problem_type)
        split = splits.test or splits.validation
    push_run(recipe, task, split, run, overrides)


def _complete(run: Path, overrides: Sequence[str]) -> list[str]:
    """Return the overrides with one that ends `offline: true`.

    Raises where they would change what the run was trained by, or nobody says where to push.
    """
    from hf_tune.recipe.source import read_yaml

    for text in overrides:
        if text.partition(".")[0] not in ("hub", "card"):
            hint = "`hub.` and `card.` keys may be given here, the rest is as the run was trained"
            raise InputError(f"{text!r} is neither a name on the Hub nor one of its keys", hint)
    stored = read_yaml(run / "recipe.yaml")[0].get("hub") or {}
    if not stored.get("repo_id") and not any(text.startswith("hub.repo_id=") for text in overrides):
        raise InputError("neither the command nor the run's recipe says where to", f"hf-tune push {run} owner/name")
    return [*overrides, *(["hub.offline=false"] if stored.get("offline") else [])]


def _list(folder: Path, repo_id: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from hf_tune.hub.hub_commit import list_files

    table = Table(title=f"{folder}, as it would stand in {repo_id}")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    files = list_files(folder)
    for name, path in files.items():
        table.add_row(name, f"{path.stat().st_size:,}")
    table.add_section()
    table.add_row(f"{len(files)} files", f"{sum(path.stat().st_size for path in files.values()):,}")
    Console().print(table)
    print("nothing was sent")


if __name__ == "__main__":
    sys.exit(run_command(main))
