"""Write a first recipe for your own data, with the reason for each choice; it passes `check` and trains as it stands.

hf-tune new [TASK] FILE --data PATH [--model NAME] [--column label=NAME] [--device-memory 24GiB]

PATH is a folder of class folders of pictures, a folder of tables, or one csv, json or parquet file; a csv may name
picture files, with paths that start at its own folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.command_output import run_command, tell_error
from hf_tune.input_error import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Write the recipe and say what was found; return 0, or 2 where the data or a choice does not do."""
    parser = argparse.ArgumentParser(prog="hf-tune new", description=__doc__.partition("\n")[0])
    parser.add_argument("task", nargs="?", help="such as image_classification; default: what the data looks like")
    parser.add_argument("file", type=Path, help="the recipe to write; it must not be there yet")
    parser.add_argument("--data", required=True, metavar="PATH", help="a folder, or a csv, json or parquet file")
    parser.add_argument("--model", metavar="NAME", help="the checkpoint: a Hub id, or a folder where there is no Hub")
    parser.add_argument("--column", action="append", default=[], metavar="ROLE=NAME", help="such as label=diagnosis")
    told = "of the GPU that will train, such as 24GiB; default: what this machine has"
    parser.add_argument("--device-memory", metavar="SIZE", help=told)
    options = parser.parse_intermixed_args(argv)
    print("looking at the data; the libraries take a few seconds to load …", file=sys.stderr)
    try:
        _write(options)
    except InputError as error:
        tell_error(error)
        return 2
    return 0


def _write(options: argparse.Namespace) -> None:
    from hf_tune.first_recipe import SCHEMA, draft_recipe, find_machine
    from hf_tune.library_noise import quieten_bars
    from hf_tune.recipe.json_schema import write_schema
    from hf_tune.tasks import get_task
    from hf_tune.training.memory_size import read_memory_size

    file: Path = options.file
    _check_file(file)
    if options.task is not None:
        get_task(options.task)
    memory = None if options.device_memory is None else read_memory_size(options.device_memory)
    quieten_bars()
    given = dict(_read_column(text) for text in options.column)
    given |= {} if options.model is None else {"model": options.model}
    text, found = draft_recipe(file, options.data, options.task, find_machine(memory), given)
    with file.open("x", encoding="utf-8") as stream:
        stream.write(text)
    schema = file.parent / SCHEMA
    if not schema.exists():
        write_schema(schema)
    print("\n".join(found))
    print(f"wrote {file}, and {schema} for editors\n")
    print(f"look at it:  hf-tune check {file}\ntrain:       accelerate launch -m hf_tune.run {file}")


def _check_file(file: Path) -> None:
    if file.exists():
        raise InputError(f"{str(file)!r} is there already", "give another name; nothing is overwritten")
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"{str(file)!r} is no name of a recipe", "let it end in .yaml")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {str(file.parent)!r}", "make it first")


def _read_column(text: str) -> tuple[str, str]:
    role, _, name = text.partition("=")
    if not role or not name:
        raise InputError(f"--column {text}", "write it as ROLE=NAME, such as label=diagnosis")
    return f"columns.{role}", name


if __name__ == "__main__":
    sys.exit(run_command(main))
