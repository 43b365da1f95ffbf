"""Print the JSON schema of a recipe, by which editors complete keys, say what they mean, and mark mistakes.

hf-tune schema [--output recipe.schema.json]

A recipe that opens with `# yaml-language-server: $schema=recipe.schema.json` is checked against the file beside it, by
every editor with the YAML language server (VS Code with the extension "YAML", Neovim, Emacs …).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.command_output import run_command, tell_error


def main(argv: Sequence[str] | None = None) -> int:
    """Print the schema or write it; return 0, or 2 where the folder is not there."""
    parser = argparse.ArgumentParser(prog="hf-tune schema", description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it here; default: print it")
    options = parser.parse_args(argv)
    from hf_tune.input_error import InputError

    try:
        if options.output is not None and not options.output.parent.is_dir():
            raise InputError(f"there is no folder {str(options.output.parent)!r}", "make it first")
        from hf_tune.recipe.json_schema import dump_schema

        text = dump_schema()
    except InputError as error:
        tell_error(error)
        return 2
    if options.output is None:
        print(text, end="")
    else:
        options.output.write_text(text, encoding="utf-8")
        print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
