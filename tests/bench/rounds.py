"""Rounds of contestants: their order, processes that fell into OpenMP's slow mode, and ratios within each round."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


SLOW = 2.5
"""A process that takes so many times its contestant's median is left out: a few in a hundred spin in OpenMP."""

Outcomes = Mapping[str, Sequence[Mapping[str, Any] | None]]
"""Contestant → what it measured in each round; None where it did not run in a round."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One process of a round."""

    name: str
    run: str
    """`file.function` of tests/bench."""
    options: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    """2: started by `accelerate launch` with the config for two processes on the CPU."""
    cache: str = "warm"
    """`warm`: the cache of the whole benchmark; `primed`: that, after a run that does not count; `cold`: empty."""
    max_rounds: int | None = None
    """Of six rounds, and of fewer in proportion, for what hardly differs between rounds, such as memory."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table: a quantity of one contestant, alone or compared with another one."""

    measure: str
    title: str
    quantity: str
    """Name in what the contestants return."""
    above: str
    below: tuple[str, ...] = ()
    """What it is compared with; of several the best one, by its median."""
    kind: str = "ratio"
    """`ratio`, `difference` (above minus below), `distance` (its absolute value) or `value` (of `above` alone)."""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def contestants(self) -> tuple[str, ...]:
        """Return the names of all contestants that are needed."""
        return (self.above, *self.below)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a figure came to."""

    figure: Figure
    values: tuple[float, ...] = ()
    """One for each round that counts."""
    opponent: str | None = None
    """Which of the contestants in `below` it was compared with."""
    problem: str | None = None
    """Why there is no value."""

    @property
    def median(self) -> float:
        """Return the median over rounds; NaN where there is no value."""
        return statistics.median(self.values) if self.values else math.nan

    @property
    def is_met(self) -> bool | None:
        """Return whether the target is met; None where there is none, or no value."""
        low, high = self.figure.at_least, self.figure.at_most
        if not self.values or (low is None and high is None):
            return None
        return (low is None or self.median >= low) and (high is None or self.median <= high)


def order_round(contestants: Sequence[Contestant], number: int) -> list[str]:
    """Return the names of a round: those of one file after one another, each time another one first."""
    ordered = []
    for _, group in itertools.groupby(contestants, lambda each: each.run.split(".")[0]):
        names = [each.name for each in group]
        start = number % len(names)
        ordered += [*names[start:], *names[:start]]
    return ordered


def find_failed(outcomes: Outcomes) -> list[tuple[str, int, str]]:
    """Return (contestant, round, reason) of the processes that gave nothing."""
    return [
        (name, number, each["not_measured"])
        for name, rounds in outcomes.items()
        for number, each in enumerate(rounds)
        if each and "not_measured" in each
    ]


def find_slow(outcomes: Outcomes) -> list[tuple[str, int, float]]:
    """Return (contestant, round, times its median) of the processes in the slow mode; two rounds tell nothing."""
    slow = []
    for name, rounds in outcomes.items():
        measured = {number: each["seconds"] for number, each in enumerate(rounds) if each and "seconds" in each}
        if len(measured) < 3:
            continue
        median = statistics.median(measured.values())
        slow += [(name, number, each / median) for number, each in measured.items() if each > SLOW * median]
    return slow


def leave_out(outcomes: Outcomes, slow: Sequence[tuple[str, int, float]]) -> dict[str, list[Mapping[str, Any] | None]]:
    """Return the outcomes without those of slow processes."""
    chosen = {(name, number) for name, number, _ in slow}
    return {
        name: [None if (name, number) in chosen else each for number, each in enumerate(rounds)]
        for name, rounds in outcomes.items()
    }


def compare(figure: Figure, outcomes: Outcomes) -> Result:
    """Return the figure: its value within each round where all that it needs was measured."""
    opponent = _choose_best(figure, outcomes)
    needed = (figure.above, opponent) if opponent else (figure.above,)
    values = []
    for row in zip(*(outcomes.get(name, ()) for name in needed), strict=False):
        numbers = [each.get(figure.quantity) for each in row if each is not None]
        if len(numbers) == len(needed) and None not in numbers:
            values.append(_combine(figure.kind, [float(number) for number in numbers]))
    problem = None if values else f"not measured: {_find_reason(needed, outcomes)}"
    return Result(figure=figure, values=tuple(values), opponent=opponent, problem=problem)


def _find_reason(needed: Sequence[str], outcomes: Outcomes) -> str:
    for name in needed:
        for each in outcomes.get(name, ()):
            if each and "not_measured" in each:
                return f"{name}: {each['not_measured']}"
    return f"no round in which all of {', '.join(needed)} came to an end"


def _combine(kind: str, numbers: Sequence[float]) -> float:
    if kind == "ratio":
        return numbers[0] / numbers[1]
    if kind == "value":
        return numbers[0]
    return abs(numbers[0] - numbers[1]) if kind == "distance" else numbers[0] - numbers[1]


def _choose_best(figure: Figure, outcomes: Outcomes) -> str | None:
    """Return the strongest contestant in `below`: the most rows per second, else the least of the quantity."""
    medians = {}
    for name in figure.below:
        numbers = [each[figure.quantity] for each in outcomes.get(name, ()) if each and figure.quantity in each]
        medians[name] = statistics.median(numbers) if numbers else None
    known = {name: median for name, median in medians.items() if median is not None}
    if not known:
        return figure.below[0] if figure.below else None
    return (max if figure.quantity == "rows_per_second" else min)(known, key=lambda name: known[name])
