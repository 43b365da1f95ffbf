"""What a benchmark came to, as a Markdown table and as JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.rounds import Result


def format_table(results: Sequence[Result], described: Mapping[str, Any]) -> str:
    """Return the page: what was measured where, a row for each figure, medians of contestants, what was left out."""
    rows = ["| # | measure | median (min to max) | target | met | rounds |", "|---|---|---|---|---|---|"]
    rows += [_format_row(result) for result in results]
    contestants = [
        "| contestant | rounds | seconds | rows/s | ms/step | peak MiB | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    contestants += [
        f"| {name} | {each['rounds']} | " + " | ".join(_number(each.get(key)) for key in _SHOWN) + " |"
        for name, each in described["contestants"].items()
    ]
    slow = [f"- {name}, round {number + 1}: {times:.1f} times its median" for name, number, times in described["slow"]]
    left_out = ["Left out, for the process had fallen into the slow mode of OpenMP:", "", *slow] if slow else []
    failed = [f"- {name}, round {number + 1}: {reason}" for name, number, reason in described["failed"]]
    left_out += ["Gave no number:", "", *failed] if failed else []
    return "\n".join([*_format_head(described), "", *rows, "", *contestants, "", *left_out, ""])


def find_missed(results: Sequence[Result]) -> list[str]:
    """Return a sentence for each target that is missed and each figure that has no value."""
    found = []
    for result in results:
        name = f"{result.figure.measure}: {result.figure.title}"
        if result.is_met is False:
            found.append(f"{name}: {result.median:.3g}, target {_format_target(result)}")
        elif not result.values:
            found.append(f"{name}: {result.problem}")
    return found


def as_json(results: Sequence[Result], described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same as plain values."""
    figures = [
        {
            "measure": result.figure.measure,
            "title": result.figure.title,
            "above": result.figure.above,
            "below": result.opponent,
            "kind": result.figure.kind,
            "quantity": result.figure.quantity,
            "median": None if math.isnan(result.median) else result.median,
            "min": min(result.values, default=None),
            "max": max(result.values, default=None),
            "values": list(result.values),
            "at_least": result.figure.at_least,
            "at_most": result.figure.at_most,
            "met": result.is_met,
            "problem": result.problem,
        }
        for result in results
    ]
    return {**described, "figures": figures}


_SHOWN = ("seconds", "rows_per_second", "milliseconds_per_step", "peak_mib", "cpu_seconds")


def _format_head(described: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in described["versions"].items())
    versions += f", commit {described['commit']}"
    real = [name for name, is_real in described["real"].items() if is_real]
    made = [name for name, is_real in described["real"].items() if not is_real]
    gpu = described["gpu"] or "no GPU"
    threads = f"{described['threads']} threads" if described["threads"] != 1 else "one thread"
    return [
        f"{described['date']}, {described['cpu']}, {described['cores']} cores, {threads} each, {gpu}; {versions}.",
        f"{described['rounds']} rounds; every contestant in a process of its own; ratios within each round.",
        f"Real data and checkpoints: {', '.join(real) or 'none'}; made here: {', '.join(made) or 'none'}.",
        *(["**The quick form: it shows that everything works, its numbers mean nothing.**"] * described["small"]),
    ]


def _format_row(result: Result) -> str:
    figure = result.figure
    if result.values:
        spread = f"{min(result.values):.3g} to {max(result.values):.3g}"
        value = f"{result.median:.3g} ({spread})" if len(result.values) > 1 else f"{result.median:.3g}"
    else:
        value = str(result.problem)
    met = {True: "yes", False: "**no**", None: ""}[result.is_met]
    against = f" (against {result.opponent})" if len(figure.below) > 1 and result.values else ""
    cells = (figure.measure, figure.title + against, value.replace("|", "/"), _format_target(result), met)
    return f"| {' | '.join(cells)} | {len(result.values)} |"


def _format_target(result: Result) -> str:
    low, high = result.figure.at_least, result.figure.at_most
    return f"≥ {low:g}" if low is not None else f"≤ {high:g}" if high is not None else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
