"""Predict for files or texts with the model of a run.

hf-tune predict RUN FILE_FOLDER_GLOB_OR_TEXT… [--output predictions.csv]
"""

import argparse
import csv
import dataclasses
import glob
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_tune.collector import imports_set_aside
from hf_tune.input_error import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line per file, or write a table; return 0, or 2 where an input is wrong."""
    parser = argparse.ArgumentParser(prog="hf-tune predict", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a run, or a Hub id")
    parser.add_argument("inputs", nargs="+", help="files, folders, globs; or texts, files of lines, -")
    parser.add_argument("--output", type=Path, help="write here instead: .csv or .json")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args(argv)
    try:
        with imports_set_aside():
            from hf_tune.finetuned import load_finetuned
        from hf_tune.library_noise import quieten_bars

        quieten_bars()
        if options.output and options.output.suffix not in (".csv", ".json"):
            raise InputError(f"{str(options.output)!r} is neither .csv nor .json", "give one of the two endings")
        if options.output and not options.output.parent.is_dir():
            raise InputError(f"there is no folder {str(options.output.parent)!r}", "make it first")
        if options.batch_size < 1:
            raise InputError(f"--batch-size {options.batch_size} is out of range", "it must be at least 1")
        finetuned = load_finetuned(options.run)
        patterns = finetuned.task.input_patterns
        inputs = find_files(options.inputs, patterns) if patterns else read_texts(options.inputs)
        predictions = finetuned.predict(inputs, options.batch_size)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    _write(inputs, predictions, finetuned.label_names, options.output)
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


def read_texts(inputs: Sequence[str]) -> list[Any]:
    """Return the texts of arguments: `-` is standard input, a file stands for its lines, anything else for itself.

    A tab between two texts makes them a pair.
    """
    lines: list[str] = []
    for name in inputs:
        if name == "-":
            lines += sys.stdin.read().splitlines()
        elif "\n" not in name and len(name) < 255 and Path(name).is_file():
            lines += Path(name).read_text(encoding="utf-8").splitlines()
        else:
            lines.append(name)
    return [tuple(line.split("\t")) if line.count("\t") == 1 else line for line in lines]


def _write(inputs: Sequence[Any], predictions: Sequence[Any], label_names: Sequence[str], output: Path | None) -> None:
    if output is None:
        for each, prediction in zip(inputs, predictions, strict=True):
            print(f"{' | '.join(each) if isinstance(each, tuple) else each}: {_describe(prediction)}")
        return
    answers = [_as_row(prediction, label_names) for prediction in predictions]
    rows = [{"input": each, **answer} for each, answer in zip(inputs, answers, strict=True)]
    if output.suffix == ".json":
        output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        return
    with output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _describe(prediction: Any) -> str:
    """Return one line: the answer first, then what is next likely."""
    fields = dataclasses.asdict(prediction)
    if "value" in fields:
        return f"{prediction.value:.4f}"
    scores = _rank(prediction.scores)
    if "labels" in fields:
        return ", ".join(f"{name} {score:.3f}" for name, score in scores if name in prediction.labels) or "no label"
    rest = ", ".join(f"{name} {score:.3f}" for name, score in scores[1:3])
    return f"{prediction.label} {prediction.score:.3f}" + (f"   (then {rest})" if rest else "")


def _as_row(prediction: Any, label_names: Sequence[str]) -> dict[str, Any]:
    """Return one column per label; where not every label has a score, one per rank, so that rows have the same."""
    fields = dataclasses.asdict(prediction)
    scores = fields.pop("scores", {})
    fields = {name: " ".join(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    if len(scores) == len(label_names):
        return fields | {f"score of {name}": value for name, value in scores.items()}
    for rank, (name, score) in enumerate(_rank(scores)[1:], start=2):
        fields |= {f"label {rank}": name, f"score {rank}": score}
    return fields


def _rank(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])


if __name__ == "__main__":
    sys.exit(main())
