"""What an expression such as `train[:80%]+extra` takes of a data set; no row may be taken by two of them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from hf_tune.input_error import InputError


def find_pieces(raw: datasets.DatasetDict, expression: str, name: str) -> list[tuple[str, int, int]]:
    """Return the (split, first, last + 1) that an expression such as `train[:80%]+extra` stands for."""
    lengths = {each: len(rows) for each, rows in raw.items()}
    try:
        instructions = datasets.ReadInstruction.from_spec(expression).to_absolute(lengths)
    except (ValueError, AssertionError) as error:
        known = ", ".join(f"{each} ({length} rows)" for each, length in lengths.items())
        raise InputError(f"no such split: {error}", f"the data has: {known}", at=("splits", name)) from None
    return [
        (each.splitname, each.from_ or 0, lengths[each.splitname] if each.to is None else each.to)
        for each in instructions
    ]


def join_pieces(raw: datasets.DatasetDict, pieces: Sequence[tuple[str, int, int]], name: str) -> datasets.Dataset:
    """Return the rows of pieces, one piece behind the other."""
    parts = [raw[split].select(range(first, end)) for split, first, end in pieces]
    try:
        return parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
    except ValueError as error:  # columns, or the names of a ClassLabel, that differ
        joined = " and ".join(dict.fromkeys(split for split, _, _ in pieces))
        message = str(error).partition("\n")[0]
        hint = "give both the same columns"
        raise InputError(f"{joined} cannot be joined: {message}", hint, at=("splits", name)) from None


def check_disjoint(plan: Mapping[str, Any], pieces: Mapping[str, Sequence[tuple[str, int, int]]]) -> None:
    """Raise where one row would be in two splits."""
    for other, name in itertools.combinations(pieces, 2):
        for mine, theirs in itertools.product(pieces[name], pieces[other]):
            shared = min(mine[2], theirs[2]) - max(mine[1], theirs[1])
            if mine[0] == theirs[0] and shared > 0:
                problem = f"{name} ({plan[name]}) and {other} ({plan[other]}) share {shared} rows"
                raise InputError(problem, "a score on rows that trained is no score", at=("splits", name))
