"""Predict with the model of a run: for pictures, texts, or the rows of a table, which keeps all its columns.

hf-tune predict RUN FILE_FOLDER_GLOB_OR_TEXT… [--output predictions.csv]
hf-tune predict RUN TABLE.csv --output answers.csv [--probabilities] [--abstain-below 0.8] [--column text=question]
"""

import argparse
import dataclasses
import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_tune.collector import imports_set_aside
from hf_tune.command_output import run_command, say_result, tell_error
from hf_tune.input_error import InputError


if TYPE_CHECKING:
    from hf_tune.data.table_rows import TableFile, TableWriter
    from hf_tune.finetuned import Finetuned


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line per input, or write a table; return 0, or 2 where an input is wrong."""
    options = _read_options(argv)
    try:
        with imports_set_aside():
            from hf_tune.finetuned import load_finetuned
        from hf_tune.data.table_rows import is_table, open_table
        from hf_tune.library_noise import quieten_bars

        quieten_bars()
        _check_options(options)
        tables = [name for name in options.inputs if is_table(name)]
        if tables and len(options.inputs) > 1:
            raise InputError(f"{tables[0]!r} is a table, and {len(options.inputs)} inputs were given", "give it alone")
        table = open_table(tables[0]) if tables else None
        finetuned = load_finetuned(options.run)
        answer = _build_answer(options, finetuned)
        if table is not None:
            return _predict_table(finetuned, table, answer, options)
        patterns = finetuned.task.input_patterns
        inputs = find_files(options.inputs, patterns) if patterns else read_texts(options.inputs)
        predictions = finetuned.predict(inputs, options.batch_size)
        _write(inputs, predictions, finetuned.label_names, options)
    except InputError as error:
        tell_error(error)
        return 2
    return 0


def _read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hf-tune predict", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a run, or a Hub id")
    told = "files, folders, globs; or texts, files of lines, -; or one table: csv, json, jsonl, parquet"
    parser.add_argument("inputs", nargs="+", help=told)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write here instead: .csv, .json, .jsonl, .parquet"
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="inputs at a time; default 32")
    told = "tell no label where its probability is lower, and count such inputs"
    parser.add_argument("--abstain-below", type=float, metavar="0.8", help=told)
    told = "of a table: add the probabilities of the other labels too"
    parser.add_argument("--probabilities", action="store_true", help=told)
    told = "of a table: which column is which input, such as text=question; default: as in the run's own data"
    parser.add_argument("--column", action="append", default=[], metavar="ROLE=NAME", help=told)
    parser.add_argument("--prefix", default="", help="of a table: in front of the new columns' names")
    return parser.parse_args(argv)


def _check_options(options: argparse.Namespace) -> None:
    from hf_tune.data.table_rows import WRITTEN_ENDINGS

    output: Path | None = options.output
    if output and output.suffix not in WRITTEN_ENDINGS:
        raise InputError(f"{str(output)!r} is neither {' nor '.join(WRITTEN_ENDINGS)}", "give one of these endings")
    if output and not output.parent.is_dir():
        raise InputError(f"there is no folder {str(output.parent)!r}", "make it first")
    if output and any(output.resolve() == Path(name).resolve() for name in options.inputs):
        raise InputError(f"{str(output)!r} is the input too", "write to another file")
    if options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size} is out of range", "it must be at least 1")
    wrong = next((text for text in options.column if not all(text.partition("="))), None)
    if wrong is not None:
        raise InputError(f"--column {wrong}", "write it as ROLE=NAME, such as text=question")


def _build_answer(options: argparse.Namespace, finetuned: "Finetuned") -> Any:
    from hf_tune.table_predictions import Answer, check_answer

    answer = Answer(
        probabilities=options.probabilities,
        abstain_below=options.abstain_below,
        prefix=options.prefix,
    )
    check_answer(finetuned, answer)
    return answer


def _predict_table(finetuned: "Finetuned", table: "TableFile", answer: Any, options: argparse.Namespace) -> int:
    """Write the table with its new columns, to standard output as csv where no file is named; return 0."""
    from hf_tune.table_predictions import find_roles, list_types, name_new_columns, predict_table

    roles = find_roles(finetuned, table, dict(text.split("=", 1) for text in options.column))
    new = name_new_columns(finetuned, table, answer)
    is_parquet = options.output is not None and options.output.suffix == ".parquet"
    types, metadata = list_types(finetuned, table, new, answer) if is_parquet else (None, None)
    num_rows = num_abstained = 0
    with _open_output(options.output, [*table.columns, *new], table.separator, types, metadata) as writer:
        for rows in predict_table(finetuned, table, roles, answer, options.batch_size):
            writer.write(rows)
            num_rows += len(rows)
            num_abstained += sum(row[f"{answer.prefix}prediction"] is None for row in rows)
    if num_rows == 0:
        print(f"{table.file} has no row: nothing was predicted", file=sys.stderr)
    _tell_abstained(num_abstained, num_rows, options.abstain_below)
    return 0


def _open_output(output: Path | None, columns: list[str], separator: str, types: Any, metadata: Any) -> "TableWriter":
    from hf_tune.data.table_rows import TableWriter

    return TableWriter(output, columns, separator=separator, types=types, metadata=metadata)


def _tell_abstained(count: int, total: int, below: float | None) -> None:
    if below is not None:
        print(f"no label told for {count} of {total}: their scores are below {below:g}", file=sys.stderr)


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

    A tab between two texts makes them a pair. Raises `InputError` for a file whose encoding is not sure, and where
    there is no line.
    """
    from hf_tune.data.text_encoding import find_encoding, open_text

    lines: list[str] = []
    for name in inputs:
        if name == "-":
            lines += _read_standard_input()
        elif os.path.isfile(name):
            with open_text(name, find_encoding(name, cure="save it as UTF-8")) as stream:
                lines += [line.removesuffix("\n") for line in stream]
        else:
            lines.append(name)
    if not lines:
        raise InputError(
            "there is nothing to predict: no line was read", "give texts, or a file with a text in each line"
        )
    return [tuple(line.split("\t")) if line.count("\t") == 1 else line for line in lines]


def _read_standard_input() -> list[str]:
    try:
        lines = [line.removesuffix("\n") for line in sys.stdin]
    except UnicodeDecodeError:
        raise InputError("standard input is not UTF-8", "give the file itself, whose encoding is found") from None
    return [line.removeprefix("\ufeff") if not number else line for number, line in enumerate(lines)]


def _write(
    inputs: Sequence[Any], predictions: Sequence[Any], label_names: Sequence[str], options: argparse.Namespace
) -> None:
    below, output = options.abstain_below, options.output
    unsure = [below is not None and prediction.score < below for prediction in predictions]
    if output is None:
        for each, prediction, is_unsure in zip(inputs, predictions, unsure, strict=True):
            told = "no label: " * is_unsure + _describe(prediction)
            result = {"input": each, **dataclasses.asdict(prediction), **({"label": None} if is_unsure else {})}
            if not say_result(result):
                print(f"{' | '.join(each) if isinstance(each, tuple) else each}: {told}")
    else:
        answers = [_as_row(prediction, label_names) for prediction in predictions]
        answers = [row | {"label": None} if no else row for row, no in zip(answers, unsure, strict=True)]
        rows = [{"input": each, **answer} for each, answer in zip(inputs, answers, strict=True)]
        with _open_output(output, list(rows[0]), ",", None, None) as writer:
            writer.write(rows)
    _tell_abstained(sum(unsure), len(unsure), below)


def _describe(prediction: Any) -> str:
    """Return one line: the answer first, then what is next likely."""
    fields = dataclasses.asdict(prediction)
    if "value" in fields:
        return f"{prediction.value:.4f}"
    scores = sorted(prediction.scores.items(), key=lambda item: -item[1])
    if "labels" in fields:
        return ", ".join(f"{name} {score:.3f}" for name, score in scores if name in prediction.labels) or "no label"
    rest = ", ".join(f"{name} {score:.3f}" for name, score in scores[1:3])
    return f"{prediction.label} {prediction.score:.3f}" + (f"   (then {rest})" if rest else "")


def _as_row(prediction: Any, label_names: Sequence[str]) -> dict[str, Any]:
    from hf_tune.table_predictions import list_scores

    fields = dataclasses.asdict(prediction)
    scores = fields.pop("scores", {})
    return fields | (list_scores(scores, label_names) if scores else {})


if __name__ == "__main__":
    sys.exit(run_command(main))
