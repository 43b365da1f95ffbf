"""Compare runs on the same rows: scores, costs, and whether a difference to the first run is real.

hf-tune compare RUN RUN… [--metric f1_macro] [--require not-worse[=0.01]] [--output table.md]
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_tune.command_output import run_command, tell_error
from hf_tune.input_error import InputError


if TYPE_CHECKING:
    import numpy as np

MARGIN = 0.01
COSTS = ("trainable_parameters", "peak_memory_mib", "examples_per_second", "train_seconds")


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One finished run: its results.json and its predictions, row by row."""

    name: str
    results: Mapping[str, Any]
    split: str
    columns: Mapping[str, Any]
    table: "np.ndarray"
    statistics: Mapping[str, Any]
    saved_mib: float


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 0, 2 where the runs cannot be compared, or 4 where `--require` is not met."""
    parser = argparse.ArgumentParser(prog="hf-tune compare", description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output_dir of a run; the first is the reference")
    parser.add_argument("--metric", help="default: the first that the task reports")
    parser.add_argument(
        "--require",
        metavar="not-worse[=MARGIN]",
        help=f"exit 4 where a loss of more than MARGIN (default {MARGIN}) to the first run cannot be excluded",
    )
    parser.add_argument("--output", metavar="FILE", help="also write the table, as .md or .json")
    options = parser.parse_args(argv)
    try:
        margin = _read_margin(options.require)
        if options.output and not options.output.endswith((".md", ".json")):
            raise InputError(f"--output {options.output}: its end says the format", "name a .md or a .json file")
        runs = _read_runs(options.runs)
        metric = _choose_metric(runs, options.metric)
    except InputError as error:
        tell_error(error)
        return 2
    records = _compare(runs, metric)
    _show(records, metric, runs)
    if options.output:
        Path(options.output).write_text(_format(records, metric, runs, options.output), encoding="utf-8")
    return 0 if margin is None else _judge(records, metric, margin)


def _read_margin(text: str | None) -> float | None:
    if text is None:
        return None
    word, _, number = text.partition("=")
    try:
        margin = float(number or MARGIN)
    except ValueError:
        margin = -1.0
    if word != "not-worse" or margin < 0:
        raise InputError(f"--require {text}", "write `not-worse`, or `not-worse=0.02` for another margin")
    return margin


def _read_runs(names: Sequence[str]) -> list[_Run]:
    runs = [_read_run(Path(name)) for name in names]
    first = runs[0]
    if len(runs) < 2:
        raise InputError(f"{first.name} alone cannot be compared", "name two runs or more")
    for run in runs[1:]:
        for what, own, other in (
            ("the task", run.results["task"], first.results["task"]),
            ("the data (fingerprint)", run.results["data"]["fingerprint"], first.results["data"]["fingerprint"]),
            ("the split", run.split, first.split),
            ("the rows", (run.columns["id"], run.columns["label"]), (first.columns["id"], first.columns["label"])),
        ):
            if own != other:
                told = f": {other} and {own}" if isinstance(own, str) else ""
                raise InputError(
                    f"{first.name} and {run.name} differ in {what}{told}",
                    "scores on different rows say nothing about the runs: train both on the same data and splits",
                )
    return runs


def _read_run(folder: Path) -> _Run:
    from hf_tune.results.paired_tests import tabulate_rows
    from hf_tune.results.predictions import read_predictions
    from hf_tune.results.record import read_results
    from hf_tune.results.two_classes import ROW_STATISTICS

    results = read_results(folder)
    if not (folder / "predictions.parquet").exists():
        raise InputError(f"{folder} holds no predictions.parquet", "give the output_dir of a finished run")
    columns, kept = read_predictions(folder / "predictions.parquet", results["label_names"])
    table, statistics = tabulate_rows(kept)
    split = columns["split"][0]
    if "sensitivity" in results["splits"][split]:
        statistics |= ROW_STATISTICS
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return _Run(
        name=str(folder),
        results=results,
        split=split,
        columns=columns,
        table=table,
        statistics=statistics,
        saved_mib=sum(file.stat().st_size for file in weights) / 2**20,
    )


def _choose_metric(runs: Sequence[_Run], name: str | None) -> str:
    known = list(runs[0].statistics)
    if name is not None and name not in known:
        raise InputError(f"--metric {name}: it cannot be compared row by row", f"choose of {', '.join(known)}")
    metric = name or known[0]
    positive = sorted({str(run.results.get("positive")) for run in runs})
    if metric in ("sensitivity", "specificity") and len(positive) > 1:
        raise InputError(f"--metric {metric}: the positive class differs: {', '.join(positive)}", "choose another")
    for run in runs:
        stated, found = run.results["splits"][run.split][metric]["value"], run.statistics[metric](run.table)
        if abs(stated - found) > 1e-6 * max(1, abs(stated)):
            problem = f"{run.name}: results.json says {metric} {stated:.6f}, its predictions.parquet {found:.6f}"
            raise InputError(problem, "one of the two files was changed: run it again")
    return metric


def _compare(runs: Sequence[_Run], metric: str) -> list[dict[str, Any]]:
    """Return one record per run, with its difference to the first."""
    records = []
    for run in runs:
        difference = None if run is runs[0] else asdict(_compare_pair(runs[0], run, metric))
        cost = {name: run.results["cost"][name] for name in COSTS}
        score, passed = run.results["splits"][run.split][metric], run.results["proof"]["passed"]
        records.append(
            {"run": run.name, "method": run.results["method"], "score": score, "difference": difference}
            | {"saved_mib": run.saved_mib, **cost, "proof_passed": passed}
        )
    return records


def _compare_pair(first: _Run, run: _Run, metric: str) -> Any:
    from hf_tune.results.paired_tests import compare_hits, compare_statistic

    if metric in ("accuracy", "subset_accuracy"):
        return compare_hits(_find_hits(first), _find_hits(run))
    return compare_statistic(first.table, run.table, run.statistics[metric])


def _find_hits(run: _Run) -> "np.ndarray":
    import numpy as np

    pairs = zip(run.columns["label"], run.columns["prediction"], strict=True)
    return np.asarray([label == prediction for label, prediction in pairs])


def _show(records: Sequence[Mapping[str, Any]], metric: str, runs: Sequence[_Run]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_title(metric, runs[0]))
    for column in _columns(metric):
        table.add_column(column, justify="left" if column in ("run", "method") else "right")
    for record in records:
        table.add_row(*_cells(record))
    console = Console()
    console.print(table)
    for note in _notes(records, runs):
        console.print(note, highlight=False)


def _title(metric: str, run: _Run) -> str:
    return f"{metric} on {len(run.table):,} {run.split} rows, with 95 % intervals"


def _columns(metric: str) -> list[str]:
    return ["run", "method", metric, "Δ to the first", "p", "trained", "saved MiB", "peak MiB", "rows/s", "seconds"]


def _cells(record: Mapping[str, Any]) -> list[str]:
    from hf_tune.results.record import format_score

    difference = record["difference"]
    if difference is None:
        change, chance = "", ""
    else:
        change = f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
        chance = f"{difference['p_value']:.2g}" if difference["p_value"] >= 0.001 else "< 0.001"
    return [
        record["run"],
        record["method"] + ("" if record["proof_passed"] else " (proof FAILED)"),
        format_score(record["score"]),
        change,
        chance,
        f"{record['trainable_parameters']:,}",
        f"{record['saved_mib']:.1f}",
        f"{record['peak_memory_mib']:.0f}",
        *("" if record[name] is None else f"{record[name]:.0f}" for name in ("examples_per_second", "train_seconds")),
    ]


def _notes(records: Sequence[Mapping[str, Any]], runs: Sequence[_Run]) -> list[str]:
    tests = sorted({record["difference"]["test"] for record in records if record["difference"]})
    notes = [f"p: {', '.join(tests)}, two-sided; rows are paired."]
    machines = {
        (each["device"], each["threads"], each["num_processes"])
        for each in (run.results["environment"] for run in runs)
    }
    if len(machines) > 1:
        notes.append("Memory, rows/s and seconds do not compare: the runs had other devices, threads or processes.")
    return notes


def _format(records: Sequence[Mapping[str, Any]], metric: str, runs: Sequence[_Run], file: str) -> str:
    if file.endswith(".json"):
        about = {"metric": metric, "split": runs[0].split, "rows": len(runs[0].table), "reference": runs[0].name}
        return json.dumps({**about, "runs": records}, indent=2) + "\n"
    header = _columns(metric)
    rows = [header, ["---"] * len(header), *(_cells(record) for record in records)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{_title(metric, runs[0])}:\n\n{table}\n\n{' '.join(_notes(records, runs))}\n"


def _judge(records: Sequence[Mapping[str, Any]], metric: str, margin: float) -> int:
    """Return 4 and say which runs may have lost more than the margin, or 0."""
    from hf_tune.task import is_higher_better

    code = 0
    for record in records[1:]:
        difference = record["difference"]
        worst = difference["low"] if is_higher_better(metric) else -difference["high"]
        if worst < -margin:
            told = f"{record['run']}: a loss of up to {-worst:.4f} {metric} to {records[0]['run']} cannot be excluded"
            print(f"{told}; {margin:g} is allowed", file=sys.stderr)
            code = 4
        if not record["proof_passed"]:
            print(f"{record['run']}: its proof failed: what was saved is not what was scored", file=sys.stderr)
            code = 4
    return code


if __name__ == "__main__":
    sys.exit(run_command(main))
