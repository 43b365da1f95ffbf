"""Predict for files with the model of a run.

hf-tune predict RUN FILE_FOLDER_OR_GLOB… [--output predictions.csv]
"""

import argparse
import csv
import glob
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_tune.input_error import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line per file, or write a table; return 0, or 2 where an input is wrong."""
    parser = argparse.ArgumentParser(prog="hf-tune predict", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a run, or a Hub id")
    parser.add_argument("inputs", nargs="+", help="files, folders or globs")
    parser.add_argument("--output", type=Path, help="write here instead: .csv or .json")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args(argv)
    try:
        from hf_tune.finetuned import load_finetuned
        from hf_tune.training.progress import quieten_libraries

        quieten_libraries()
        if options.output and options.output.suffix not in (".csv", ".json"):
            raise InputError(f"{str(options.output)!r} is neither .csv nor .json", "give one of the two endings")
        if options.output and not options.output.parent.is_dir():
            raise InputError(f"there is no folder {str(options.output.parent)!r}", "make it first")
        if options.batch_size < 1:
            raise InputError(f"--batch-size {options.batch_size} is out of range", "it must be at least 1")
        finetuned = load_finetuned(options.run)
        files = find_files(options.inputs, finetuned.task.input_patterns)
        predictions = finetuned.predict(files, options.batch_size)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    _write(files, predictions, options.output)
    return 0


def find_files(inputs: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the files of names, folders (every file that matches a pattern, in order) and globs.

    Raises `InputError` for an input that stands for no file.
    """
    files: list[str] = []
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            endings = tuple(pattern.removeprefix("*") for pattern in patterns)
            found = sorted(str(each) for each in path.rglob("*") if each.is_file() and each.suffix.lower() in endings)
        else:
            found = (
                [name]
                if path.is_file()
                else sorted(each for each in glob.glob(name, recursive=True) if Path(each).is_file())
            )
        if not found:
            raise InputError(f"{name!r} stands for no file", f"a folder's files must be {', '.join(patterns)}")
        files += found
    return files


def _write(files: Sequence[str], predictions: Sequence[Any], output: Path | None) -> None:
    if output is None:
        for file, each in zip(files, predictions, strict=True):
            others = sorted(each.scores.items(), key=lambda item: -item[1])[1:3]
            rest = ", ".join(f"{label} {score:.3f}" for label, score in others)
            print(f"{file}: {each.label} {each.score:.3f}" + (f"   (then {rest})" if rest else ""))
        return
    rows = [
        {
            "file": file,
            "label": each.label,
            "score": each.score,
            **{f"score of {name}": value for name, value in each.scores.items()},
        }
        for file, each in zip(files, predictions, strict=True)
    ]
    if output.suffix == ".json":
        output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        return
    with output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
