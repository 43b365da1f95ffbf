"""`hf-tune VERB …`: finds the verb's file in this folder and calls it; nothing heavy is imported for `--help`."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.command_output import run_command
from hf_tune.library_noise import quieten_loggers


_FIRST_STEPS = (
    "The way from your data to a model:",
    "  hf-tune new mine.yaml --data FOLDER_OR_TABLE      a first recipe, with the reason for each choice",
    "  hf-tune check mine.yaml                           what it would do, and how long it would take",
    "  accelerate launch -m hf_tune.run mine.yaml        train; change values by block.key=value",
    "  hf-tune predict outputs/mine FILES                use it",
    "",
    "A recipe that is there already: accelerate launch -m hf_tune.run RECIPE [block.key=value …]",
    "For programs: --log-format json makes every command speak JSON, one object a line.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Call the verb's `main` with the rest of the command line and return its exit code."""
    return run_command(_call_verb, argv)


def _call_verb(argv: Sequence[str] | None) -> int:
    arguments, verbs = list(argv or ()), find_verbs()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(describe_verbs(verbs))
        return 0
    verb, *rest = arguments
    quieten_loggers()
    if verb not in verbs:
        print(f"hf-tune: no verb {verb!r}; known: {', '.join(verbs)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"hf_tune.commands.{verbs[verb].stem}")
    try:
        return int(module.main(rest))
    except SystemExit as end:
        if not end.code and {"-h", "--help"} & set(rest):
            print(f"\n{(module.__doc__ or '').partition(chr(10))[2].strip()}")
        raise


def find_verbs() -> dict[str, Path]:
    """Return verb → file; the verb is the first word of the file's name (`evaluate_run.py` → `evaluate`)."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    return {file.stem.partition("_")[0]: file for file in files}


def describe_verbs(verbs: dict[str, Path]) -> str:
    """Return the help text: the first line of each verb's docstring, read without importing it."""
    lines = ["usage: hf-tune VERB …        (hf-tune VERB --help says more)", ""]
    lines += [f"  {verb:<10} {_first_line(file)}" for verb, file in verbs.items()]
    return "\n".join([*lines, "", *_FIRST_STEPS])


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
