"""Say which way of tuning works on which family of networks, and why not where it does not.

hf-tune methods [--markdown]
"""

import argparse
import sys
from collections.abc import Sequence

from hf_tune.command_output import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and its reasons; return 0."""
    parser = argparse.ArgumentParser(prog="hf-tune methods", description=__doc__.partition("\n")[0])
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(argv)
    print("building one small network of each family …", file=sys.stderr)
    from hf_tune.adapter.method_table import FAMILIES, find_cell, list_methods

    cells = {method: {family: find_cell(method, family) for family in FAMILIES} for method in list_methods()}
    reasons = list(dict.fromkeys(reason for row in cells.values() for reason in row.values() if reason))
    marks: dict[str | None, str] = {None: "yes"}
    marks |= {reason: f"({number})" for number, reason in enumerate(reasons, start=1)}
    rows = [[method, *(marks[row[family]] for family in FAMILIES)] for method, row in cells.items()]
    header = ["peft:", *FAMILIES]
    if options.markdown:
        print("\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)))
    else:
        width = max(len(row[0]) for row in rows) + 2
        print("\n".join(f"{row[0]:<{width}}" + "".join(f"{cell:<12}" for cell in row[1:]) for row in (header, *rows)))
    print()
    print("\n".join(f"({number}) {reason}" for number, reason in enumerate(reasons, start=1)))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
