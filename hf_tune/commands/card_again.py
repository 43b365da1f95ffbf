"""Write the model card of a finished run again, with other values of `card:` where they are given.

hf-tune card RUN [card.license=mit …]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.command_output import run_command, tell_error
from hf_tune.input_error import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Say where the card was written; return 0, or 2 where the folder is no finished run or a value is wrong."""
    parser = argparse.ArgumentParser(prog="hf-tune card", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a finished run")
    told = "for this card alone; recipe.yaml stays as it is"
    parser.add_argument("overrides", nargs="*", metavar="card.key=value", help=told)
    options = parser.parse_args(argv)
    try:
        from hf_tune.run_card import write_card

        print(write_card(Path(options.run), overrides=options.overrides))
    except InputError as error:
        tell_error(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
