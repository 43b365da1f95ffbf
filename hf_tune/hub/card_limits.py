"""The limits of a model, as far as its run measured them: each a sentence with its numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_tune.hub.card_facts import format_number, reported_split
from hf_tune.markdown_text import escape, quote
from hf_tune.task import MULTI_LABEL, SINGLE_LABEL, is_higher_better


FEW_ROWS = 300
"""Scored rows below which an interval is so wide that a reader has to be told what it means."""
MOST = 3
"""Labels that are named where several share a fate."""


def list_limits(results: Mapping[str, Any]) -> list[str]:
    """Return one Markdown sentence for each limit that the results show."""
    split, _ = reported_split(results)
    details = results.get("details") or {}
    found = [_compare_with_baseline(results), _tell_interval(results), _tell_missing_test(results)]
    found += _tell_classes(details.get("classes") or (), split)
    found.append(_tell_confusion(details.get("confusion_matrix") or (), results["label_names"]))
    found.append(_tell_fit(results.get("fit")))
    found += results.get("advice") or ()  # our own words, which name keys as code
    found += [escape(note) for note in results.get("notes", ()) if " were cut; " in note]
    found.append(f"One run with one seed ({results['seed']}): how far the scores move with the seed was not measured.")
    found.append(_tell_unknown_inputs(results["problem_type"]))
    return [sentence for sentence in found if sentence]


def _tell_interval(results: Mapping[str, Any]) -> str:
    split, scores = reported_split(results)
    metric, rows = results["baseline"]["metric"], results["data"]["rows"][split]
    low, high = scores[metric]["low"], scores[metric]["high"]
    if low is None or high is None:
        return f"How sure the {metric} is, is not known: {rows:,} {split} rows give no interval."
    known = f"{format_number(low)} to {format_number(high)}"
    told = f"The {metric} is known from {rows:,} {split} rows: its 95 % interval, {known}, is {high - low:.4f} wide"
    return f"{told}; a smaller difference between two models may be chance." if rows < FEW_ROWS else f"{told}."


def _tell_missing_test(results: Mapping[str, Any]) -> str:
    if "test" in results["splits"]:
        return ""
    chosen = ", and they chose the checkpoint too" if results.get("best_checkpoint") else ""
    return f"There is no test split: the validation rows are what is reported{chosen}."


def _tell_classes(classes: Sequence[Mapping[str, Any]], split: str) -> Iterator[str]:
    """Yield which labels are judged by the fewest rows, and which are found least."""
    if not classes:
        return
    unseen = [row["label"] for row in classes if row["rows"] == 0]
    seen = sorted((row for row in classes if row["rows"]), key=lambda row: row["rows"])
    if unseen:
        yield f"No {split} row is of {_join(unseen)}: nothing was measured of {_it(unseen)}."
    if seen:
        fewest = seen[0]["rows"]
        names = [row["label"] for row in seen if row["rows"] == fewest]
        yield f"Fewest {split} rows: {fewest:,} {'of' if len(names) == 1 else 'each of'} {_join(names)}."
    missed = sorted((row for row in seen if row["recall"] < 1), key=lambda row: row["recall"])
    if missed:
        told = [
            f"{quote(row['label'])} {row['recall']:.3f} ({round(row['recall'] * row['rows']):,} of {row['rows']:,})"
            for row in missed[:MOST]
        ]
        yield f"Lowest recall: {', '.join(told)}."


def _tell_confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    pairs = [
        (count, true, predicted)
        for true, row in enumerate(matrix)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    if not pairs:
        return ""
    most = max(count for count, _, _ in pairs)
    commonest = [(true, predicted) for count, true, predicted in pairs if count == most]
    told = [f"{quote(names[true])} taken for {quote(names[predicted])}" for true, predicted in commonest[:MOST]]
    others = len(commonest) - MOST
    rest = f" and {others} other {'pair' if others == 1 else 'pairs'}" if others > 0 else ""
    each = " each" if len(commonest) > 1 else ""
    return f"Commonest confusion: {', '.join(told)}{rest}, {most:,} {'row' if most == 1 else 'rows'}{each}."


def _compare_with_baseline(results: Mapping[str, Any]) -> str:
    _, scores = reported_split(results)
    baseline = results["baseline"]
    metric, guessed, value = baseline["metric"], baseline["value"], scores[baseline["metric"]]["value"]
    if value > guessed if is_higher_better(metric) else value < guessed:
        return ""
    return (
        f"**The {metric} of {format_number(value)} is no better than that of always answering the "
        f"{escape(baseline['name'])}, {format_number(guessed)}.**"
    )


def _tell_fit(fit: Mapping[str, Any] | None) -> str:
    """Return how far train and validation part."""
    if not fit:
        return ""
    pairs = [
        f"{escape(name)} {format_number(value)} and {format_number(fit['validation'][name])}"
        for name, value in fit["train"].items()
    ]
    means = "those of train are means over the batches of an epoch, as they were trained on"
    return f"Train and validation at the step that was saved ({fit['step']:,}): {', '.join(pairs)}; {means}."


def _tell_unknown_inputs(problem_type: str) -> str:
    if problem_type == SINGLE_LABEL:
        return "Rows outside these labels are still given one of them."
    if problem_type == MULTI_LABEL:
        return "A label is given where its probability is at least one half; a row may be given none."
    return ""


def _join(names: Sequence[str]) -> str:
    rest = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(quote(name) for name in names[:MOST]) + rest


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
